"""Which input column holds what: the canonical names, their types, and what to say when one is missing."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from pyarrow import types

from rdpt_ray.errors import ConfigError
from rdpt_ray.storage.faults import Fault

Kind = Literal["text", "flag", "messages", "anything"]

COLUMNS: dict[str, Kind] = {
    "prompt": "text",
    "messages": "messages",
    "conversations": "messages",
    "system": "text",
    "response": "text",
    "reasoning": "text",
    "answer": "text",
    "reference_answer": "text",
    "correct": "flag",
    "complete": "flag",
    "teacher_name": "text",
    "source": "text",
    "license": "text",
    "metadata": "anything",
}
"""Canonical name -> kind of value. `conversations` is another name for `messages`."""

INTO_METADATA = "metadata."
"""Starts the canonical name of a column that becomes a key of `metadata`: metadata.uuid."""

Row = tuple[int | None, dict[str, Any] | Fault]
"""What a reader yields: the 0-based row (None: the file as a whole), its values by canonical name."""

_EXPECTED = {"text": "string", "flag": "bool", "messages": "list of {role, content}"}

_USUAL_NAMES = {
    "prompt": ("problem", "question", "input", "instruction", "query"),
    "response": ("output", "completion", "generation", "solution", "text"),
}
"""What public trace datasets call these two (`response: output` is no near miss in spelling)."""

_RESPONSES = frozenset({"response", "reasoning", "answer"})
_NEEDED = frozenset({"prompt", "messages", "conversations"}) | _RESPONSES


@dataclass(frozen=True)
class ColumnNames:
    """The config's `input.columns`, resolved.

    Attributes:
        inputs: Canonical name -> the input's own name, for every column that may be read.
        mapped: The canonical names that the config maps; one of these that is needed must exist.
        as_is: These are the input's own names, of a layout that judges them row by row: none of them
            must exist or have a certain type.
        prompts_only: No response is read, and none needed.
    """

    inputs: dict[str, str]
    mapped: frozenset[str]
    as_is: bool = False
    prompts_only: bool = False

    def found(self, there: Collection[str]) -> dict[str, str]:
        """Canonical name -> input name, of the columns that `there` holds."""
        return {name: column for name, column in self.inputs.items() if column in there}


def resolve_columns(mapping: Mapping[str, str]) -> ColumnNames:
    """Merge the config's mapping with the canonical names.

    A name mapped to the empty string is not read at all. `metadata.KEY` is a canonical name for any
    KEY: its column becomes that key of the trace's metadata. When one way of giving the response is
    mapped (`response`, or `reasoning` and `answer`), the other is not looked for.

    Raises:
        ConfigError: if the mapping names an unknown canonical name, with the nearest known one.
    """
    for name in mapping:
        if name not in COLUMNS and (not name.startswith(INTO_METADATA) or name == INTO_METADATA):
            near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.0)
            raise ConfigError(
                f"input.columns.{name}: unknown name; did you mean {near[0]!r}?"
                f" (known here: {', '.join(COLUMNS)})"
            )
    inputs = {name: mapping.get(name, name) for name in (*COLUMNS, *mapping)}
    mapped = frozenset(name for name in mapping if mapping[name])
    if "response" in mapped:
        _drop(inputs, {"reasoning", "answer"} - mapped)
    elif mapped & {"reasoning", "answer"}:
        _drop(inputs, {"response"})
    if mapped & {"messages", "conversations"}:
        _drop(inputs, {"prompt", "messages", "conversations"} - mapped)
    return ColumnNames({name: column for name, column in inputs.items() if column}, mapped)


def without_responses(names: ColumnNames) -> ColumnNames:
    """The same where only prompts are read."""
    if names.as_is:
        return names
    inputs = {name: column for name, column in names.inputs.items() if name not in _RESPONSES}
    return ColumnNames(inputs, names.mapped - _RESPONSES, prompts_only=True)


def missing_columns(names: ColumnNames, there: Collection[str]) -> list[str]:
    """Canonical names of what is needed and not in `there`; empty if a trace can be made.

    Needed are a prompt (`prompt` or messages) and a response (`response`, or `reasoning` and
    `answer`, or messages that end with it), and every needed column that the config maps.
    """
    if names.as_is:
        return []
    found = names.found(there)
    missing = [name for name in sorted(names.mapped & _NEEDED) if name not in found]
    conversation = "messages" in found or "conversations" in found
    if not conversation and "prompt" not in found and "prompt" not in missing:
        missing.append("prompt")
    if names.prompts_only:
        return missing
    response = "response" in found or ("reasoning" in found and "answer" in found)
    if not conversation and not response and not set(missing) & {"response", "reasoning", "answer"}:
        missing.append("response")
    return missing


def explain_missing(names: ColumnNames, missing: str, there: Iterable[str]) -> str:
    """One sentence: what is missing, what is there, and how to map the nearest."""
    there = list(there)
    column = names.inputs.get(missing, missing)
    listed = ", ".join(there[:12]) + (", ..." if len(there) > 12 else "")
    text = f"column {column!r} is missing (columns there: {listed or 'none'})"
    usual = [name for name in _USUAL_NAMES.get(missing, ()) if name in there]
    near = usual or difflib.get_close_matches(column, there, n=1, cutoff=0.0)
    if near:
        text += f"; if it is {near[0]!r}, set input.columns: {{{missing}: {near[0]}}}"
    return text


def explain_type(name: str, came: str) -> str:
    """One sentence: which type column `name` needs and which came."""
    return f"expected {_EXPECTED[COLUMNS[name]]}, got {came}"


def check_schema(names: ColumnNames, schema: pa.Schema) -> dict[str, str]:
    """The columns to read from a Parquet file: canonical name -> input name.

    A column of the wrong type that the config does not map, and that the trace does not need
    because another one holds the same, is left out.

    Raises:
        Fault: `missing_column`, `wrong_type` or `duplicate_key`; all rows of the file have it.
    """
    found = names.found(schema.names)
    for name in missing_columns(names, schema.names):
        detail = explain_missing(names, name, schema.names)
        raise Fault("missing_column", names.inputs.get(name, name), detail)
    for column in found.values():
        if schema.names.count(column) > 1:
            raise Fault("duplicate_key", column, f"the schema has several columns {column!r}")
    if names.as_is:
        return found
    wrong = {name for name in found if not accepts(name, schema.field(found[name]).type)}
    rest = set(schema.names) - {found[name] for name in wrong}
    spare = _NEEDED - names.mapped if not missing_columns(names, rest) else frozenset[str]()
    for name in sorted(wrong - spare):
        column = found[name]
        raise Fault("wrong_type", column, explain_type(name, str(schema.field(column).type)))
    return {name: column for name, column in found.items() if name not in wrong}


def accepts(name: str, data_type: pa.DataType) -> bool:
    """Whether a Parquet column of this type may hold the canonical column `name`."""
    kind = COLUMNS.get(name, "anything")
    if kind == "anything" or types.is_null(data_type):
        return True
    if kind == "flag":
        return types.is_boolean(data_type)
    if kind == "messages":
        return _is_list(data_type) and types.is_struct(data_type.value_type)
    if types.is_dictionary(data_type):
        data_type = data_type.value_type
    return (
        types.is_string(data_type)
        or types.is_large_string(data_type)
        or types.is_string_view(data_type)
    )


def _is_list(data_type: pa.DataType) -> bool:
    return (
        types.is_list(data_type)
        or types.is_large_list(data_type)
        or types.is_fixed_size_list(data_type)
    )


def _drop(inputs: dict[str, str], names: Iterable[str]) -> None:
    for name in names:
        inputs[name] = ""
