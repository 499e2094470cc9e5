"""Which column holds what: mapping, precedence, types, and the sentences that say what is missing."""

import pyarrow as pa
import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.storage.columns import (
    COLUMNS,
    accepts,
    check_schema,
    explain_missing,
    missing_columns,
    resolve_columns,
)
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.schemas import MESSAGES

FROM_VALUE = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))


def test_unmapped_names_are_themselves():
    names = resolve_columns({})
    assert names.inputs == {name: name for name in COLUMNS}
    assert not names.mapped


def test_unknown_canonical_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"input\.columns\.respons: .*'response'"):
        resolve_columns({"respons": "output"})


@pytest.mark.parametrize(
    ("mapping", "dropped"),
    [
        ({"response": "output"}, {"reasoning", "answer"}),
        ({"reasoning": "thoughts"}, {"response"}),
        ({"messages": "dialog"}, {"prompt", "conversations"}),
        ({"messages": "dialog", "prompt": "problem"}, {"conversations"}),
        ({"source": ""}, {"source"}),
    ],
)
def test_a_mapping_replaces_the_other_ways_of_giving_the_same(mapping, dropped):
    names = resolve_columns(mapping)
    assert set(COLUMNS) - set(names.inputs) == dropped
    assert all(names.inputs[name] == column for name, column in mapping.items() if column)


@pytest.mark.parametrize(
    ("mapping", "there", "missing"),
    [
        ({}, ["prompt", "response"], []),
        ({}, ["prompt", "reasoning", "answer"], []),
        ({}, ["messages"], []),
        ({}, ["conversations", "response"], []),
        ({}, ["prompt"], ["response"]),
        ({}, ["prompt", "answer"], ["response"]),
        ({}, ["response"], ["prompt"]),
        ({}, [], ["prompt", "response"]),
        ({"response": "output"}, ["prompt", "response"], ["response"]),
        ({"response": "output"}, ["messages"], ["response"]),
        ({"answer": "final"}, ["prompt", "reasoning"], ["answer"]),
        ({"prompt": "problem"}, ["problem", "response"], []),
        ({"prompt": "problem"}, ["prompt", "response"], ["prompt"]),
        ({"source": "origin"}, ["prompt", "response"], []),
    ],
)
def test_missing_columns(mapping, there, missing):
    assert missing_columns(resolve_columns(mapping), there) == missing


@pytest.mark.parametrize(
    ("missing", "there", "nearest"),
    [
        ("response", ["input", "output", "category"], "output"),
        ("prompt", ["question", "solution"], "question"),
        ("response", ["responses", "id"], "responses"),
    ],
)
def test_explain_missing_names_what_is_there_and_how_to_map_it(missing, there, nearest):
    text = explain_missing(resolve_columns({}), missing, there)
    assert f"column {missing!r} is missing" in text
    assert all(name in text for name in there)
    assert f"input.columns: {{{missing}: {nearest}}}" in text


def test_explain_missing_in_an_empty_row():
    text = explain_missing(resolve_columns({}), "response", [])
    assert text == "column 'response' is missing (columns there: none)"


@pytest.mark.parametrize(
    ("name", "data_type", "expected"),
    [
        ("response", pa.string(), True),
        ("response", pa.large_string(), True),
        ("response", pa.string_view(), True),
        ("response", pa.dictionary(pa.int8(), pa.string()), True),
        ("response", pa.null(), True),
        ("response", pa.binary(), False),
        ("response", pa.large_binary(), False),
        ("response", pa.dictionary(pa.int8(), pa.binary()), False),
        ("response", pa.int64(), False),
        ("response", pa.list_(pa.string()), False),
        ("response", pa.struct([("text", pa.string())]), False),
        ("correct", pa.bool_(), True),
        ("correct", pa.int64(), False),
        ("messages", MESSAGES, True),
        ("messages", FROM_VALUE, True),
        ("messages", pa.large_list(MESSAGES.value_type), True),
        ("messages", pa.string(), False),
        ("messages", pa.list_(pa.string()), False),
        ("metadata", pa.binary(), True),
        ("metadata", pa.map_(pa.string(), pa.int64()), True),
    ],
)
def test_accepts(name, data_type, expected):
    assert accepts(name, data_type) is expected


def schema(**types):
    return pa.schema(list(types.items()))


def test_check_schema_returns_what_to_read():
    names = resolve_columns({"response": "output", "source": ""})
    found = check_schema(
        names, schema(prompt=pa.string(), output=pa.string(), source=pa.int64(), other=pa.int64())
    )
    assert found == {"prompt": "prompt", "response": "output"}


@pytest.mark.parametrize(
    ("mapping", "columns", "reason", "column"),
    [
        ({}, {"prompt": pa.string()}, "missing_column", "response"),
        ({"response": "out"}, {"prompt": pa.string()}, "missing_column", "out"),
        ({}, {"prompt": pa.int64(), "response": pa.string()}, "wrong_type", "prompt"),
        (
            {"response": "out"},
            {"prompt": pa.string(), "out": pa.list_(pa.string())},
            "wrong_type",
            "out",
        ),
        (
            {},
            {"prompt": pa.string(), "response": pa.string(), "correct": pa.int8()},
            "wrong_type",
            "correct",
        ),
        (
            {"messages": "chat"},
            {"chat": pa.string(), "response": pa.string()},
            "wrong_type",
            "chat",
        ),
    ],
)
def test_check_schema_faults(mapping, columns, reason, column):
    with pytest.raises(Fault) as caught:
        check_schema(resolve_columns(mapping), schema(**columns))
    assert (caught.value.reason, caught.value.column) == (reason, column)
    if reason == "wrong_type":
        assert str(columns[column]) in caught.value.detail


def test_a_spare_column_of_another_type_is_left_out():
    found = check_schema(
        resolve_columns({}), schema(prompt=pa.string(), response=pa.string(), messages=pa.string())
    )
    assert found == {"prompt": "prompt", "response": "response"}


def test_a_column_twice_is_a_fault():
    twice = pa.schema([("prompt", pa.string()), ("response", pa.string()), ("prompt", pa.int8())])
    with pytest.raises(Fault) as caught:
        check_schema(resolve_columns({}), twice)
    assert (caught.value.reason, caught.value.column) == ("duplicate_key", "prompt")


def test_any_column_can_become_a_key_of_the_metadata():
    names = resolve_columns({"metadata.uuid": "sample_uuid"})
    assert names.found(["sample_uuid", "prompt"]) == {
        "prompt": "prompt",
        "metadata.uuid": "sample_uuid",
    }
    schema = pa.schema(
        [(name, pa.string()) for name in ("prompt", "response")] + [("sample_uuid", pa.int64())]
    )
    assert check_schema(names, schema)["metadata.uuid"] == "sample_uuid"
    with pytest.raises(ConfigError, match=r"input\.columns\.metadata\.: "):
        resolve_columns({"metadata.": "sample_uuid"})
