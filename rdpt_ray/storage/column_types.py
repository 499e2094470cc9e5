"""What a file's columns hold, in words: one small language for Parquet schemas and JSONL rows.

`string`, `bool`, `int`, `float`, `null` (nothing but nulls seen), `list<T>`, `{key, key}` for an object, and
Arrow's own name for everything else.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import pyarrow as pa
from pyarrow import types

Types = Mapping[str, str]
"""Column -> what it holds."""

Kind = Callable[[str], bool]
"""Whether a column that holds this will do."""


def describe_schema(schema: pa.Schema) -> dict[str, str]:
    """The types of a Parquet file's columns."""
    return {field.name: _describe(field.type) for field in schema}


def describe_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The types of the columns of some JSON objects, by what most of them hold; keys as they appear."""
    seen: dict[str, list[Any]] = {}
    for row in rows:
        for key, value in row.items():
            seen.setdefault(key, []).append(value)
    return {key: _describe_values(values) for key, values in seen.items()}


def text(held: str) -> bool:
    """A string."""
    return held in ("string", "null")


def text_or_number(held: str) -> bool:
    """A string, or a number that JSONL wrote without quotes."""
    return text(held) or held in ("int", "float")


def texts(held: str) -> bool:
    """A list of strings."""
    return held in ("list<string>", "list<null>", "null")


def conversation(held: str) -> bool:
    """A list of messages: {role, content} or {from, value}."""
    if held in ("list<null>", "null"):
        return True
    keys = message_keys(held)
    return {"role", "content"} <= keys or {"from", "value"} <= keys


def text_or_conversation(held: str) -> bool:
    """A prompt as one string or as messages."""
    return text(held) or conversation(held)


def conversation_with(*fields: str) -> Kind:
    """A list of messages that have one of these fields as well."""

    def judge(held: str) -> bool:
        return conversation(held) and bool(message_keys(held) & set(fields))

    return judge


def anything(held: str) -> bool:
    """Whatever it is."""
    return True


def message_keys(held: str) -> set[str]:
    """The keys of the objects in a list of them; empty for anything else."""
    if not (held.startswith("list<{") and held.endswith("}>")):
        return set()
    return set(held[len("list<{") : -len("}>")].split(", "))


def _describe(data_type: pa.DataType) -> str:
    if types.is_dictionary(data_type):
        return _describe(data_type.value_type)
    if types.is_string(data_type) or types.is_large_string(data_type):
        return "string"
    if types.is_string_view(data_type):
        return "string"
    if types.is_boolean(data_type):
        return "bool"
    if types.is_integer(data_type):
        return "int"
    if types.is_floating(data_type):
        return "float"
    if types.is_list(data_type) or types.is_large_list(data_type):
        return f"list<{_describe(data_type.value_type)}>"
    if types.is_fixed_size_list(data_type):
        return f"list<{_describe(data_type.value_type)}>"
    if types.is_struct(data_type):
        return _object(field.name for field in data_type)
    return str(data_type)


def _describe_values(values: Iterable[Any]) -> str:
    """What most of the values are: a few broken rows do not hide what a file is."""
    by_kind: dict[type, list[Any]] = {}
    for value in values:
        if value is not None:
            by_kind.setdefault(type(value), []).append(value)
    if not by_kind:
        return "null"
    if set(by_kind) == {int, float}:
        return "float"
    kind, most = max(by_kind.items(), key=lambda item: len(item[1]))
    if kind is list:
        return f"list<{_describe_values(_typical_entries(most))}>"
    if kind is dict:
        return _object(key for value in most for key in value)
    return {str: "string"}.get(kind, kind.__name__)


def _typical_entries(lists: Iterable[list[Any]]) -> Iterator[Any]:
    """The entries of the lists that are like most: a list has one vote, however long it is."""
    voters: dict[type, list[list[Any]]] = {}
    for entries in lists:
        kinds = Counter(type(entry) for entry in entries if entry is not None)
        for kind, _ in kinds.most_common(1):
            voters.setdefault(kind, []).append(entries)
    return chain.from_iterable(max(voters.values(), key=len, default=[]))


def _object(keys: Iterable[str]) -> str:
    return "{" + ", ".join(sorted(set(keys))) + "}"
