"""Canonical JSON of anything an input row can hold."""

import datetime
import decimal
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.json_text import dump_json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({"b": 1, "a": [1.5, True, None]}, '{"a":[1.5,true,null],"b":1}'),
        ("text", '"text"'),
        ({"e": "\u00e9 \u4e2d \u202e"}, '{"e":"\u00e9 \u4e2d \u202e"}'),
        ({"a": math.nan, "b": [math.inf, 1.0]}, '{"a":null,"b":[null,1.0]}'),
        ([("k", "v")], '[["k","v"]]'),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), '"2026-01-02T03:04:05"'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (b"\x00\xff", '"00ff"'),
        ({"n": 10**400}, '{"n":1' + "0" * 400 + "}"),
    ],
)
def test_dump_json(value, expected):
    assert dump_json(value, "metadata") == expected


def test_lone_surrogate_is_a_fault():
    with pytest.raises(Fault) as caught:
        dump_json({"a": "\udc00"}, "extra")
    assert (caught.value.reason, caught.value.column) == ("invalid_unicode", "extra")


@pytest.mark.parametrize("leaf", [None, math.nan])
def test_deep_nesting_is_a_fault(leaf):
    value = leaf
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Fault) as caught:
        dump_json(value, "metadata")
    assert caught.value.reason == "too_deep"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)  # fmt: skip


@given(values.filter(lambda value: value is not None))
def test_equal_values_are_equal_text_and_come_back(value):
    text = dump_json(value, "metadata")
    assert json.loads(text) == value
    assert dump_json(json.loads(text), "metadata") == text
