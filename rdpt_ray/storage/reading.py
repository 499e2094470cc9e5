"""How one input file is read: by the layout that the config names or the file shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rdpt_ray.storage.column_types import Types, describe_rows, describe_schema
from rdpt_ray.storage.columns import ColumnNames, Row, resolve_columns
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.input_spec import InputSpec
from rdpt_ray.storage.layouts import LAYOUTS, PLAIN, Candidate, Layout, read_candidates
from rdpt_ray.storage.read_jsonl import first_objects, read_jsonl
from rdpt_ray.storage.read_parquet import open_parquet, read_parquet
from rdpt_ray.storage.recognise import recognise
from rdpt_ray.storage.sources import InputFile, Source, open_input

_RECOGNISED_ROWS = 32
"""How many rows of a JSONL file show its columns."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of a file become candidates.

    Attributes:
        layout: Which dataset's.
        why: One sentence per piece of evidence.
        names: What the reader fetches.
    """

    layout: Layout
    why: tuple[str, ...]
    names: ColumnNames

    def candidates(self, values: dict[str, Any]) -> Iterable[Candidate]:
        """The candidates of a row as `read_rows` yields it, at least one."""
        if self.layout is PLAIN:
            return (Candidate(0, values, self.names.inputs),)
        return read_candidates(self.layout, values)


def read_types(file: InputFile) -> dict[str, str]:
    """What the columns of a file hold: from its footer, or its first rows; nothing if it has none.

    Raises:
        InputError: if the file has changed or gone since it was listed, or its file system fails.
    """
    if file.size == 0:
        return {}
    with open_input(file) as source:
        if file.format == "jsonl":
            found = first_objects(source, file.compression)
            return describe_rows(islice(found, _RECOGNISED_ROWS))
        try:
            return describe_schema(open_parquet(source).schema_arrow)
        except Fault:  # the reader will say so, row by row
            return {}


def recognises(config: InputSpec) -> bool:
    """Whether the files decide their layouts: the config neither names one nor maps columns."""
    return config.format not in LAYOUTS and not config.columns


def choose_reading(config: InputSpec, types: Types, uri: str) -> Reading:
    """Decide how to read a file.

    Args:
        config: Its `format` may force a layout; its `columns` mean the plain one.
        types: What the file's columns hold; may be empty unless `recognises(config)`.
        uri: The file's address.

    Raises:
        ConfigError: if the config maps an unknown canonical name.
    """
    if config.format in LAYOUTS:
        layout, why = LAYOUTS[config.format], (f"input.format is {config.format}",)
    elif config.columns:
        layout, why = PLAIN, ("input.columns is given, so nothing is recognised",)
    else:
        found = recognise(types, uri=uri)
        layout, why = found.layout, found.why
    names = resolve_columns(config.columns) if layout is PLAIN else layout.reads()
    return Reading(layout, why, names)


def read_rows(
    file: InputFile, source: Source, names: ColumnNames, limit: int | None
) -> Iterator[Row]:
    """The raw rows of an open file, in order; a file of zero bytes is one fault."""
    if file.size == 0:
        return iter([(None, Fault("empty_file"))])
    if file.format == "parquet":
        return read_parquet(source, names, limit=limit)
    return read_jsonl(source, file.compression, names, limit=limit)
