"""Evaluation sets that the user names -> their texts.

What cannot be read is the config's fault, at once: a set that was read in part would let through what it is
there to keep out.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import ConfigError, InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.selection_config import EvaluationSetConfig
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.read_jsonl import parse_json, split_lines, unpack
from rdpt_ray.storage.read_parquet import open_parquet
from rdpt_ray.storage.sources import InputFile, Source, open_input

_KEY = "selection.filters.contamination.sets"


def list_evaluation_sets(sets: Mapping[str, EvaluationSetConfig]) -> dict[str, list[InputFile]]:
    """The files of each set, with a fingerprint of their content.

    Raises:
        ConfigError: naming the key, if a path does not exist, cannot be listed or matches no file.
    """
    found: dict[str, list[InputFile]] = {}
    for name, spec in sets.items():
        try:
            found[name] = list_inputs(InputConfig(path=spec.path, format=spec.format))
        except InputError as error:
            said = str(error).replace("input.path", f"{_KEY}.{name}.path")
            raise ConfigError(said.replace("input.format", f"{_KEY}.{name}.format")) from error
    return found


def read_evaluation_sets(
    sets: Mapping[str, EvaluationSetConfig], files: Mapping[str, list[InputFile]]
) -> Iterator[tuple[str, str]]:
    """Every text of every set.

    Args:
        sets: From the config.
        files: From `list_evaluation_sets`.

    Yields:
        Label ("aime24 row 7", or with the file's name where a set has several) and text; nothing for a
        null.

    Raises:
        ConfigError: naming the key and the file, if a file cannot be read to its end, a column is
            missing, or a value is no text.
    """
    for name, spec in sets.items():
        for file in files[name]:
            where = f" {file.uri.rsplit('/', 1)[-1]}" if len(files[name]) > 1 else ""
            try:
                for row, texts in _read(file, spec.columns):
                    for text in texts:
                        yield f"{name}{where} row {row}", text
            except Fault as fault:
                said = f"{fault.detail or fault.reason}"
                raise ConfigError(f"{_KEY}.{name}: {file.uri}: {said}") from fault
            except InputError as error:
                raise ConfigError(f"{_KEY}.{name}: {error}") from error


def _read(file: InputFile, columns: list[str]) -> Iterator[tuple[int, list[str]]]:
    with open_input(file) as source:
        rows = _parquet_rows if file.format == "parquet" else _jsonl_rows
        for row, record in rows(file, source, columns):
            texts = [_text(record[column], column, row) for column in columns]
            yield row, [text for text in texts if text]


def _parquet_rows(
    file: InputFile, source: Source, columns: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    parquet = open_parquet(source)
    _check(columns, parquet.schema_arrow.names)
    row = 0
    try:
        for batch in parquet.iter_batches(256, columns=columns, use_threads=False):
            for record in batch.to_pylist():
                yield row, record
                row += 1
    except (OSError, pa.ArrowException, ValueError) as error:
        source.raise_failure()
        raise Fault("corrupt_file", detail=f"cannot be read after row {row}: {error}") from error


def _jsonl_rows(
    file: InputFile, source: Source, columns: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for row, line in split_lines(unpack(source, file.compression)):
        if line is not None and not line.strip(b" \t\r"):
            continue
        try:
            record = parse_json(line.removeprefix(b"\xef\xbb\xbf")) if line is not None else None
        except Fault as fault:
            raise Fault(
                fault.reason, detail=f"row {row}: {fault.detail or fault.reason}"
            ) from fault
        if not isinstance(record, dict):
            raise Fault("not_an_object", detail=f"row {row}: expected a JSON object")
        _check(columns, record)
        yield row, record


def _check(columns: Iterable[str], there: Iterable[str]) -> None:
    there = list(there)
    for column in columns:
        if column not in there:
            near = difflib.get_close_matches(column, there, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            listed = ", ".join(there[:12]) or "none"
            raise Fault(
                "missing_column", detail=f"has no column {column!r} (columns there: {listed}){hint}"
            )


def _text(value: Any, column: str, row: int) -> str:
    """A text; the texts of a list, as of answer choices, as lines."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    if not isinstance(value, str):
        came = type(value).__name__
        raise Fault("wrong_type", detail=f"row {row}: column {column!r}: expected text, got {came}")
    return value
