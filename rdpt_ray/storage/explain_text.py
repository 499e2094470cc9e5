"""An explanation of the input as plain text of 80 columns, safe to show whatever the files hold."""

import textwrap
from collections.abc import Iterable, Iterator

from rdpt_ray.storage.explain import Explanation
from rdpt_ray.storage.explain_rows import NOT_STATED, FirstTrace, Rows
from rdpt_ray.storage.printable import clip, printable

WIDTH = 80
_LABEL = 11


def render_explanations(explanations: Iterable[Explanation]) -> str:
    """The text for people, a paragraph per file.

    No line is wider than 80 columns, and no character of a file acts on the terminal.
    """
    return "\n\n".join("\n".join(_lines(explanation)) for explanation in explanations)


def _lines(told: Explanation) -> Iterator[str]:
    yield from _wrap(printable(told.file), WIDTH)
    yield from _entry("format", [told.format])
    yield from _entry("layout", [f"{told.layout} ({told.dataset})"])
    yield from _entry("because", told.why)
    yield from _entry("note", [told.note] if told.note else [])
    yield from _entry("missing", [told.advice] if told.advice else [])
    uses = [_use(*item) for item in told.columns.items() if item[1][1]]
    unread = [column for column, (_, becomes) in told.columns.items() if not becomes]
    yield from _entry("columns", uses)
    yield from _entry("not read", [", ".join(unread)] if unread else [])
    yield from _rows(told.rows)


def _use(column: str, use: tuple[str, list[str]]) -> str:
    held, becomes = use
    same = becomes == [column]
    return f"{column}: {held}" + ("" if same else f" -> {'; '.join(becomes)}")


def _rows(rows: Rows) -> Iterator[str]:
    per_row = f"{rows.fewest}" if rows.fewest == rows.most else f"{rows.fewest} to {rows.most}"
    read = f"first rows: {rows.num_rows}, candidates: {rows.num_candidates}, per row: {per_row}"
    yield from _entry("read", [read if rows.num_rows else "no rows"])
    faults = [f"{reason} {count}: {rows.details[reason]}" for reason, count in rows.faults.items()]
    yield from _entry("faults", faults)
    yield from _entry("markup", [_counts(rows.markup)] if rows.markup else [])
    for name, values in rows.facts.items():
        label = name.removesuffix("_name").replace("reference_answer", "reference")
        yield from _entry(label, [_counts(values)] if values else [])
    if rows.first:
        yield from _entry("first", _first(rows.first))


def _counts(values: dict[str, int]) -> str:
    if list(values) == [NOT_STATED]:
        return NOT_STATED
    return ", ".join(f"{clip(printable(value), 50)} {count}" for value, count in values.items())


def _first(first: FirstTrace) -> list[str]:
    place = f"row {first.row}, item {first.item}; messages in the prompt: {first.num_messages}"
    pieces = [("prompt", first.prompt, "")]
    pieces.append(("reasoning", first.reasoning, f" {first.num_reasoning:,} characters"))
    pieces.append(("answer", first.answer, f" {first.num_answer:,} characters"))
    room = WIDTH - _LABEL - 2
    return [place, *(clip(f"{name}{size}: {printable(text)}", room) for name, text, size in pieces)]


def _entry(label: str, paragraphs: Iterable[str]) -> Iterator[str]:
    """Paragraphs beside a label, each wrapped."""
    head = f"  {label}".ljust(_LABEL)
    for paragraph in paragraphs:
        for line in _wrap(printable(paragraph), WIDTH - _LABEL - 2):
            yield f"{head}  {line}"
            head = " " * _LABEL


def _wrap(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, width, break_on_hyphens=False, subsequent_indent="")
    return [clip(line, width) for line in lines]
