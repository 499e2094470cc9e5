"""The same facts give the same run, and where a manifest is, a run is complete."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.runs import (
    MANIFEST,
    canonical_json,
    read_json,
    read_manifest,
    run_folder,
    run_id,
    write_json,
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def reordered(value, rng):
    """The same value with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: reordered(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [reordered(one, rng) for one in value]
    return value


def test_canonical_json_by_hand():
    value = {"b": [1, 2.5, None, True], "a": {"\u00fc": "x y", "A": ""}}
    assert canonical_json(value) == '{"a":{"A":"","\u00fc":"x y"},"b":[1,2.5,null,true]}'
    assert canonical_json({"a": (1, 2)}) == canonical_json({"a": [1, 2]})


@given(values, st.randoms())
def test_equal_values_have_one_text_and_one_run(value, rng):
    assert canonical_json(reordered(value, rng)) == canonical_json(value)
    assert json.loads(canonical_json(value)) == value
    facts = {"facts": value, "version": 1}
    assert run_id("demo", reordered(facts, rng)) == run_id("demo", facts)


@given(st.lists(values, min_size=2, max_size=2, unique_by=canonical_json))
def test_different_values_are_different_runs(pair):
    one, other = ({"facts": value} for value in pair)
    assert run_id("demo", one) != run_id("demo", other)


def test_a_run_id_is_its_name_and_a_short_hash():
    """Written down, because another hash means that no finished run is found again."""
    assert run_id("demo", {}) == "demo-44136fa355b3"  # sha256 of "{}"
    assert run_id("other", {}) == "other-44136fa355b3"
    assert run_folder(run_id("demo", {})) == "runs/demo-44136fa355b3"


def test_an_order_that_means_something_counts():
    assert run_id("demo", {"inputs": ["a", "b"]}) != run_id("demo", {"inputs": ["b", "a"]})


@given(values)
def test_json_reads_back_as_it_was(value):
    root = open_root("memory://runs")
    write_json(root, "value.json", value)
    assert read_json(root, "value.json") == value


def test_json_is_for_people_too(tmp_path):
    root = open_root(str(tmp_path))
    write_json(root, "value.json", {"b": 1, "a": "\u00fcber"})
    assert root.read_bytes("value.json").decode() == '{\n  "a": "\u00fcber",\n  "b": 1\n}\n'


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe{}", b"{} {}"])
def test_json_that_is_none_is_named(tmp_path, content):
    root = open_root(str(tmp_path))
    root.write_bytes("value.json", content)
    with pytest.raises(StoreError, match=f"{tmp_path}/value.json: not valid JSON"):
        read_json(root, "value.json")


def test_json_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=f"{tmp_path}/value.json: cannot be read"):
        read_json(open_root(str(tmp_path)), "value.json")


def test_a_manifest_makes_a_finished_run(tmp_path):
    run = open_root(str(tmp_path / "runs" / "demo-1"))
    run.write_bytes("selected/bucket=0000.parquet", b"x")
    with pytest.raises(StoreError) as caught:
        read_manifest(run)
    assert str(caught.value).startswith(f"{run.uri}: no manifest.json, so no finished run")
    write_json(run, MANIFEST, {"rows_read": 3})
    assert read_manifest(run) == {"rows_read": 3}
