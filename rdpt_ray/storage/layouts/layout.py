"""What a layout is: how the rows of one public dataset, or of a family of them, become candidates.

A row holds its candidates in one of three shapes: itself (prompts repeat over rows), as entries of a list
beside parallel lists, or as several columns. A layout is data that says which, and one small function for
what columns alone cannot say.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rdpt_ray.storage.column_types import Kind
from rdpt_ray.storage.columns import ColumnNames
from rdpt_ray.storage.faults import Fault

Values = dict[str, Any]
"""Canonical column name (see `columns.COLUMNS`) -> value, for one candidate."""

Columns = Mapping[str, str]
"""Canonical column name -> the input's column."""


class Candidate(NamedTuple):
    """One candidate of a row, as the input has it.

    Attributes:
        item: Its place among the row's candidates, from 0.
        values: For `canonical.to_trace`, or why it cannot be one.
        columns: Where the values come from.
    """

    item: int
    values: Values | Fault
    columns: Columns


def _unchanged(values: Values) -> Values:
    return values


@dataclass(frozen=True)
class Layout:
    """How to know and to read one dataset.

    Attributes:
        name: As `input.format` takes it.
        dataset: As its publisher calls it.
        needs: Column -> what it must hold. All of them must be there.
        also: Columns that speak for this layout among several that fit, and that it can do without.
        columns: Read once per row, the same for all its candidates.
        lists: Read from lists with one entry per candidate; `response` says how many there are, and an
            entry that another list lacks is null.
        variants: Read from columns of their own, one mapping for each candidate of a row.
        constants: Values that the schema states by its column names, one mapping per variant, or one
            for all candidates.
        finish: Turns what was read into canonical values; must take any value of any type. A name
            like `correct.by_model` holds something that it makes `correct` of.
        note: What else people should know; shown by `rdpt ingest --explain`.
    """

    name: str
    dataset: str
    needs: Mapping[str, Kind]
    also: tuple[str, ...] = ()
    columns: Columns = field(default_factory=dict)
    lists: Columns = field(default_factory=dict)
    variants: tuple[Columns, ...] = ()
    constants: tuple[Mapping[str, str], ...] = ()
    finish: Callable[[Values], Values] = _unchanged
    note: str = ""

    def reads(self) -> ColumnNames:
        """The input's columns that a reader must fetch, under their own names."""
        mappings = [self.columns, self.lists, *self.variants]
        names = {column: column for mapping in mappings for column in mapping.values()}
        return ColumnNames(names, frozenset(), as_is=True)


def read_candidates(layout: Layout, row: Mapping[str, Any]) -> Iterator[Candidate]:
    """The candidates of one row, at least one: a row without any is one fault.

    Args:
        layout: Not the plain one.
        row: Input column -> value; a column that is absent counts as null.
    """
    shared = _take(row, layout.columns)
    if layout.lists:
        yield from _from_lists(layout, row, shared)
    elif layout.variants:
        yield from _from_variants(layout, row, shared)
    else:
        yield _candidate(layout, 0, shared, layout.columns)


def _from_lists(layout: Layout, row: Mapping[str, Any], shared: Values) -> Iterator[Candidate]:
    columns = {**layout.columns, **layout.lists}
    column = layout.lists["response"]
    responses = row.get(column)
    if isinstance(responses, str):
        responses = [responses]
    if responses is not None and not isinstance(responses, list):
        came = type(responses).__name__
        yield Candidate(0, Fault("wrong_type", column, f"expected a list, got {came}"), columns)
    elif not responses:
        detail = f"the list of candidates is {'null' if responses is None else 'empty'}"
        yield Candidate(0, Fault("no_response", column, detail), columns)
    else:
        for item in range(len(responses)):
            own = {name: _entry(row.get(of), item) for name, of in layout.lists.items()}
            yield _candidate(layout, item, {**shared, **own}, columns)


def _entry(parallel: Any, item: int) -> Any:
    """One candidate's entry; a value that is no list is everybody's, for `to_trace` to judge."""
    if not isinstance(parallel, list):
        return parallel
    return parallel[item] if item < len(parallel) else None


def _from_variants(layout: Layout, row: Mapping[str, Any], shared: Values) -> Iterator[Candidate]:
    empty = True
    for item, variant in enumerate(layout.variants):
        own = _take(row, variant)
        if all(own.get(name) is None for name in ("response", "reasoning", "answer")):
            continue
        empty = False
        yield _candidate(layout, item, {**shared, **own}, {**layout.columns, **variant})
    if empty:
        column = next(iter(layout.variants[0].values()))
        detail = "every candidate's columns are null"
        yield Candidate(0, Fault("no_response", column, detail), layout.columns)


def _candidate(layout: Layout, item: int, values: Values, columns: Columns) -> Candidate:
    if layout.constants:
        values |= layout.constants[min(item, len(layout.constants) - 1)]
    values = layout.finish(values)
    reference = values.get("reference_answer")
    if type(reference) in (int, float):  # JSONL writes some answers as numbers
        values["reference_answer"] = str(reference)
    return Candidate(item, values, columns)


def _take(row: Mapping[str, Any], columns: Columns) -> Values:
    return {name: row[column] for name, column in columns.items() if column in row}
