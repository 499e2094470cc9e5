"""One language for what columns hold, the same for Parquet and for JSONL."""

import pyarrow as pa
import pytest

from rdpt_ray.storage.column_types import (
    conversation,
    conversation_with,
    describe_rows,
    describe_schema,
    message_keys,
    text,
    text_or_conversation,
    text_or_number,
    texts,
)

ROWS = [
    {
        "text": "a",
        "flag": True,
        "whole": 1,
        "real": 0.5,
        "nothing": None,
        "texts": ["a", None],
        "flags": [True],
        "nulls": [None],
        "chat": [{"role": "user", "content": "q"}],
        "deep": [[{"b": 1, "a": 2}]],
        "object": {"b": 1, "a": 2},
    }
]
TYPES = {
    "text": "string",
    "flag": "bool",
    "whole": "int",
    "real": "float",
    "nothing": "null",
    "texts": "list<string>",
    "flags": "list<bool>",
    "nulls": "list<null>",
    "chat": "list<{content, role}>",
    "deep": "list<list<{a, b}>>",
    "object": "{a, b}",
}


def test_rows_and_schemas_are_described_alike():
    assert describe_rows(ROWS) == TYPES
    assert describe_schema(pa.Table.from_pylist(ROWS).schema) == TYPES


@pytest.mark.parametrize(
    ("data_type", "described"),
    [
        (pa.large_string(), "string"),
        (pa.string_view(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.large_list(pa.string()), "list<string>"),
        (pa.list_(pa.bool_(), 2), "list<bool>"),
        (pa.binary(), "binary"),
        (pa.date32(), "date32[day]"),
    ],
)
def test_other_arrow_types(data_type, described):
    assert describe_schema(pa.schema([("x", data_type)])) == {"x": described}


@pytest.mark.parametrize(
    ("values", "described"),
    [
        ([1, 0.5], "float"),
        (["a", 1, "b"], "string"),
        ([None, ["a"], []], "list<string>"),
        ([["a", 1, "b"], "broken"], "list<string>"),
        ([{"a": 1}, {"b": 1}], "{a, b}"),
        ([[{"a": 1}], [False] * 9, [{"b": 1}]], "list<{a, b}>"),
        ([["a"], ["b"], [None] * 9, [1] * 9], "list<string>"),
    ],
)
def test_a_few_broken_rows_do_not_hide_what_a_file_is(values, described):
    assert describe_rows([{"x": value} for value in values]) == {"x": described}


def test_columns_are_those_of_any_row():
    assert describe_rows([{"a": 1}, {"b": "x"}]) == {"a": "int", "b": "string"}
    assert describe_rows([]) == {}


CHAT = "list<{content, role, thinking}>"


@pytest.mark.parametrize(
    ("kind", "yes", "no"),
    [
        (text, ["string", "null"], ["int", "list<string>"]),
        (text_or_number, ["string", "int", "float"], ["bool", CHAT]),
        (texts, ["list<string>", "list<null>", "null"], ["string", "list<int>"]),
        (conversation, [CHAT, "list<{from, value}>", "null"], ["string", "list<{role}>"]),
        (text_or_conversation, ["string", CHAT], ["int", "list<string>"]),
        (conversation_with("info", "thinking"), [CHAT], ["list<{content, role}>", "null"]),
    ],
)
def test_kinds(kind, yes, no):
    assert all(kind(held) for held in yes)
    assert not any(kind(held) for held in no)


def test_message_keys():
    assert message_keys(CHAT) == {"content", "role", "thinking"}
    assert message_keys("list<list<{a}>>") == message_keys("string") == set()
