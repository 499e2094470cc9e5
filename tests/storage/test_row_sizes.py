"""What rows hold, counted without making them, for every type that a Parquet file can bring."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.row_sizes import row_sizes


def counted(value):
    """The same by walking the Python value."""
    if isinstance(value, str):
        return 8 + len(value.encode())
    if isinstance(value, bytes):
        return 8 + len(value)
    if isinstance(value, dict):
        return 8 + sum(counted(entry) for entry in value.values())
    if isinstance(value, list):
        return 8 + sum(counted(entry) for entry in value)
    return 8


TEXTS = ["a", "", "\u00e9t\u00e9", "a text of more than twelve bytes"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
)
def test_text_of_every_type(kind):
    array = pa.array([*TEXTS, None, TEXTS[3]], kind)
    sizes = [counted(text) for text in [*TEXTS, "", TEXTS[3]]]
    found = row_sizes(array)
    assert found[[0, 1, 2, 3, 5]].tolist() == sizes[:4] + sizes[5:]
    assert row_sizes(array.slice(2, 2)).tolist() == sizes[2:4]


values = st.recursive(
    st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
rows = st.lists(
    st.lists(st.fixed_dictionaries({"role": st.text(max_size=20), "n": st.integers(0, 9)}))
)


@given(rows, st.sampled_from([pa.list_, pa.large_list, pa.list_view]), st.integers(0, 3))
def test_nested_rows_of_any_list_type(value, list_of, first):
    entry = pa.struct([("role", pa.string()), ("n", pa.int8())])
    array = pa.array(value, list_of(entry)).slice(first)
    assert row_sizes(array).tolist() == [counted(row) for row in value[first:]]


def test_fixed_lists_maps_numbers_bytes_and_nulls():
    pairs = pa.array(
        [[["x", "y"]], [["z", ""]], [["u", "v"]]], pa.list_(pa.list_(pa.string(), 2), 1)
    )
    assert row_sizes(pairs.slice(1)).tolist() == [counted([["z", ""]]), counted([["u", "v"]])]
    maps = pa.array([[("key", 1)], []], pa.map_(pa.string(), pa.int32()))
    assert row_sizes(maps).tolist() == [8 + 8 + (8 + 3) + 8, 8]
    assert row_sizes(pa.array([b"abc", b""])).tolist() == [11, 8]
    assert row_sizes(pa.array([1.5, None])).tolist() == row_sizes(pa.nulls(2)).tolist() == [8, 8]
    assert row_sizes(pa.array([None, None], pa.dictionary(pa.int8(), pa.string()))).tolist() == [
        8,
        8,
    ]
    assert row_sizes(pa.array(["{}"], pa.json_())).tolist() == [10]


def test_a_text_in_a_dictionary_counts_each_time_it_is_used():
    texts = pa.DictionaryArray.from_arrays(np.zeros(30_000, np.int32), pa.array(["x" * 1_000_000]))
    row = pa.ListArray.from_arrays(pa.array([0, 30_000], pa.int32()), texts)
    assert row_sizes(row).tolist() == [8 + 30_000 * 1_000_008]
