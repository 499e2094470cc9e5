"""Token scores on disk: what goes in comes out, bit for bit, and is found by trace."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.schemas import TOKENS
from rdpt_ray.storage.token_scores import (
    StoredTokens,
    parts_with_tokens,
    read_tokens,
    stored_tokens,
    token_name,
    tokens_table,
)


def tokens(count, *, error=None, signals=True, seed=0):
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.integers(0, 4, count + 1))
    return StoredTokens(
        np.stack([edges[:-1], edges[1:]], axis=1),
        -rng.random(count, np.float32),
        rng.integers(1, 100, count).astype(np.int32) if signals else None,
        rng.random(count, np.float32) if signals else None,
        7,
        error,
    )


def same(ours, theirs):
    arrays = ("spans", "logprobs", "ranks", "briers")
    pairs = [(getattr(ours, name), getattr(theirs, name)) for name in arrays]
    return (ours.num_prompt_tokens, ours.error) == (theirs.num_prompt_tokens, theirs.error) and all(
        a is b is None or (a.dtype == b.dtype and a.tobytes() == b.tobytes()) for a, b in pairs
    )


@st.composite
def any_tokens(draw):
    if draw(st.booleans()):
        nothing = np.empty(0, np.float32)
        return StoredTokens(
            np.empty((0, 2), np.int64), nothing, None, None, 0, draw(st.text("ab: ", min_size=1))
        )
    count = draw(st.integers(0, 5))
    floats = hnp.arrays(np.float32, count, elements=st.floats(width=32, allow_nan=False))
    integers = hnp.arrays(np.int32, count)
    return StoredTokens(
        draw(hnp.arrays(np.int64, (count, 2), elements=st.integers(0, 2**31 - 1))),
        draw(floats),
        draw(st.none() | integers),
        draw(st.none() | floats),
        draw(st.integers(0, 2**31 - 1)),
    )


@given(st.lists(any_tokens(), max_size=4))
def test_what_goes_in_comes_out_bit_for_bit(tmp_path_factory, given_tokens):
    root = open_root(str(tmp_path_factory.mktemp("store")))
    by_id = {f"t{index}": each for index, each in enumerate(given_tokens)}
    root.write_table("x.parquet", tokens_table(by_id))
    found = read_tokens(root, ["x.parquet"], by_id)
    assert found.keys() == by_id.keys()
    assert all(same(found[trace_id], each) for trace_id, each in by_id.items())


def test_a_trace_is_found_in_whichever_file_of_its_bucket_holds_it(tmp_path):
    root = open_root(str(tmp_path))
    first, second, other = (
        token_name("m", "d", 3, "aa"),
        token_name("m", "d", 3, "bb"),
        token_name("m", "d", 4, "cc"),
    )
    root.write_table(first, tokens_table({"t1": tokens(3), "t2": tokens(2)}))
    root.write_table(second, tokens_table({"t2": tokens(5), "t3": tokens(4)}))
    root.write_table(other, tokens_table({}))
    assert stored_tokens(root, "m", "d", 3) == {"t1": first, "t2": first, "t3": second}
    assert stored_tokens(root, "m", "d", 4) == stored_tokens(root, "m", "elsewhere", 3) == {}
    assert parts_with_tokens(root, "m", "d") == {"aa", "bb", "cc"}
    assert parts_with_tokens(root, "other", "d") == set()
    found = read_tokens(root, [second, first], ["t2", "t3", "t9"])
    assert {trace_id: len(each.logprobs) for trace_id, each in found.items()} == {"t2": 2, "t3": 4}
    assert read_tokens(root, [], ["t1"]) == {}


def test_a_table_without_signals_has_null_lists_and_the_schema(tmp_path):
    table = tokens_table({"a": tokens(2, signals=False), "b": tokens(0, error="x: y")})
    assert table.schema == TOKENS
    assert table.column("ranks").null_count == table.column("briers").null_count == 2
    assert table.column("logprobs").null_count == 1


def test_a_file_of_another_schema_is_named(tmp_path):
    root = open_root(str(tmp_path))
    root.write_table("x.parquet", pa.table({"trace_id": ["a"], "logprobs": [[0.5]]}))
    with pytest.raises(
        StoreError, match=r"x\.parquet: expected the columns trace_id, starts.*delete"
    ):
        read_tokens(root, ["x.parquet"], ["a"])


def test_a_trace_whose_error_may_pass_counts_as_not_there(tmp_path):
    root = open_root(str(tmp_path))
    first, second = token_name("m", "d", 3, "aa"), token_name("m", "d", 3, "bb")
    met = {
        "t1": tokens(0, error="engine_error: it was down"),
        "t2": tokens(0, error="nonfinite_score: 1 of 2"),
        "t3": tokens(2),
    }
    root.write_table(first, tokens_table(met))
    assert stored_tokens(root, "m", "d", 3) == {"t2": first, "t3": first}
    assert read_tokens(root, [first], list(met)).keys() == {"t2", "t3"}
    root.write_table(second, tokens_table({"t1": tokens(4)}))
    assert stored_tokens(root, "m", "d", 3) == {"t1": second, "t2": first, "t3": first}
    found = read_tokens(root, [first, second], list(met))
    assert len(found["t1"].logprobs) == 4
