"""Verdicts at rest: named by what they are about, refused where they are about something else."""

from hashlib import sha256

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import DamagedError, StoreError
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.verified import (
    VERIFIED,
    read_verified,
    references,
    verified_name,
)


@pytest.fixture
def root(tmp_path):
    return Root(str(tmp_path))


def verdicts(*rows):
    return pa.Table.from_pylist(
        [dict(zip(VERIFIED.names, row, strict=True)) for row in rows], schema=VERIFIED
    )


def ledger_row(trace_id, *, reference="1", correct=None, reason=None):
    return {
        "trace_id": trace_id,
        "reference_answer": reference,
        "correct": correct,
        "reason": reason,
    }


def test_what_the_input_says_is_verified_only_to_overwrite_it():
    rows = [
        ledger_row("a"),
        ledger_row("b", correct=True),
        ledger_row("c", reference=None),
        ledger_row("d", reason="duplicate"),
    ]
    assert references(rows, overwrite=False) == {"a": "1", "c": None}
    assert references(rows, overwrite=True) == {"a": "1", "b": "1", "c": None}


def test_verdicts_are_read_back_without_those_nobody_could_give(root):
    wanted = {"b": "2", "a": "1", "c": None}
    table = verdicts(("a", True, None), ("b", False, None), ("c", None, "no reference answer"))
    root.write_table(verified_name("math-1", "key", wanted), table)
    assert read_verified(root, "math-1", "key", wanted) == {"a": True, "b": False}


def test_nothing_wanted_needs_no_file(root):
    assert read_verified(root, "math-1", "key", {}) == {}


@pytest.mark.parametrize(
    "table",
    [
        verdicts(("a", True, None)),
        verdicts(("b", True, None), ("a", True, None)),
        verdicts(("a", True, None), ("b", True, None), ("c", True, None)),
        verdicts(("a", True, None), ("b", True, None)).drop_columns("detail"),
        verdicts(("a", True, None), ("b", True, None)).drop_columns("trace_id"),
    ],
    ids=["short", "order", "stranger", "missing", "nameless"],
)
def test_verdicts_on_anything_else_are_refused_by_name(root, table):
    wanted = {"a": "1", "b": "2"}
    name = verified_name("math-1", "key", wanted)
    root.write_table(name, table)
    with pytest.raises(StoreError, match=name):
        read_verified(root, "math-1", "key", wanted)


def test_verdicts_that_are_not_there_are_an_error(root):
    with pytest.raises(StoreError):
        read_verified(root, "math-1", "key", {"a": "1"})


WANTED = st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3), max_size=4)


@given(WANTED, WANTED)
def test_two_sets_of_references_share_a_name_only_if_they_are_equal(one, other):
    same = verified_name("v", "k", one) == verified_name("v", "k", other)
    assert same is (one == other)


def test_the_order_of_references_does_not_matter():
    assert verified_name("v", "k", {"a": "1", "b": None}) == verified_name(
        "v", "k", {"b": None, "a": "1"}
    )


def test_verdicts_of_another_verifier_are_refused(root):
    wanted, said = {"a": "1"}, b'{"name":"math"}'
    one, other = (f"{name}-{sha256(said).hexdigest()[:12]}" for name in ("math", "moved"))
    facts = {"verifier": said.decode()}
    for verifier_id in (one, f"{other[:-1]}!"):
        name = verified_name(verifier_id, "key", wanted)
        root.write_table(name, verdicts(("a", True, None)), facts)
    assert read_verified(root, one, "key", wanted) == {"a": True}
    with pytest.raises(DamagedError, match="expected verdicts of moved-"):
        read_verified(root, f"{other[:-1]}!", "key", wanted)
