"""From what a file's columns hold to the dataset it comes from, with the evidence in sentences."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rdpt_ray.storage.column_types import Types, text
from rdpt_ray.storage.layouts import LAYOUTS, PLAIN, Layout


@dataclass(frozen=True, slots=True)
class Recognised:
    """A layout, and why: one sentence per piece of evidence."""

    layout: Layout
    why: tuple[str, ...]


def recognise(types: Types, *, uri: str = "") -> Recognised:
    """Tell the layout of a file; the plain one where no other fits.

    A layout fits when all the columns it needs hold what it needs. Of several, the one that explains
    most columns wins; of those with the very same columns, the one whose name the file's address
    holds, else the first. A file with columns `prompt` and `response` is plain: these are our own names.

    Args:
        types: Column -> what it holds, from `describe_schema` or `describe_rows`.
        uri: The file's address; only ever tells apart layouts with the same columns.
    """
    if all(name in types and text(types[name]) for name in ("prompt", "response")):
        return Recognised(PLAIN, (f"{_shown(types, ('prompt', 'response'))} are canonical names",))
    fits = [layout for layout in LAYOUTS.values() if layout.needs and not lacking(layout, types)]
    if not fits:
        return Recognised(PLAIN, ("the columns are those of no known dataset", *_nearest(types)))
    most = max(_explained(layout, types) for layout in fits)
    best = [layout for layout in fits if _explained(layout, types) == most]
    named = [layout for layout in best if _names(layout, uri)]
    layout = (named or best)[0]
    return Recognised(layout, tuple(_evidence(layout, types, best, bool(named))))


def lacking(layout: Layout, types: Types) -> list[str]:
    """The columns that a layout needs and that are not there, or hold something else."""
    return [
        column
        for column, will_do in layout.needs.items()
        if column not in types or not will_do(types[column])
    ]


def explain_unknown(types: Types) -> str:
    """For a file that no layout fits: the nearest one, and which there are."""
    return ". ".join([*_nearest(types), f"known layouts: {', '.join(LAYOUTS)}"])


def _explained(layout: Layout, types: Types) -> int:
    return len(layout.needs) + sum(column in types for column in layout.also)


def _evidence(layout: Layout, types: Types, best: list[Layout], named: bool) -> Iterable[str]:
    yield f"{_shown(types, layout.needs)}: the columns that {layout.dataset} is known by"
    also = [column for column in layout.also if column in types]
    if also:
        yield f"{_shown(types, also)} as well"
    others = [other.dataset for other in best if other is not layout]
    if others:
        how = "the file's address names this one" if named else "read the same way"
        yield f"{' and '.join(others)} has the same columns; {how}"


def _nearest(types: Types) -> list[str]:
    """One sentence on the layout that lacks least, if any has at least half of what it needs."""

    def share(layout: Layout) -> float:
        return 1 - len(lacking(layout, types)) / len(layout.needs)

    layout = max((layout for layout in LAYOUTS.values() if layout.needs), key=share)
    if share(layout) < 0.5:
        return []
    missing = [
        f"{column} ({types[column]})" if column in types else column
        for column in lacking(layout, types)
    ]
    return [f"nearest is {layout.name}, which lacks a fitting {' and '.join(missing)}"]


def _shown(types: Types, columns: Iterable[str]) -> str:
    listed = [f"{column}: {types[column]}" for column in columns]
    rest = ", ".join(listed[:-1])
    return f"column{'s' if rest else ''} {rest}{' and ' if rest else ''}{listed[-1]}"


def _names(layout: Layout, uri: str) -> bool:
    """Whether an address holds the layout's name, or the name of its repository."""
    repository = layout.dataset.partition("/")[2].partition(" ")[0]
    plain = _bare(uri)
    return any(name and _bare(name) in plain for name in (layout.name, repository))


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())
