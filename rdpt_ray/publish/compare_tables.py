"""What other policies and thresholds would select, as tables for a terminal (JSON: `comparison_json`)."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rdpt_ray.method.comparison import Comparison
from rdpt_ray.method.comparison_figures import PolicyFigures
from rdpt_ray.method.sensitivity import Sensitivity
from rdpt_ray.publish.comparison_json import comparison_json
from rdpt_ray.publish.findings_beta import beta_rows
from rdpt_ray.publish.findings_policies import Policies, policies
from rdpt_ray.publish.untrusted import shorten
from rdpt_ray.publish.words import counted, unit_of

__all__ = ["comparison_json", "print_comparison"]

WIDTH = 100
NAME_WIDTH = 22
MAX_COLUMNS = 18
"""Columns of the overlap matrix, of four characters each; further policies are in the JSON."""


def print_comparison(
    console: Console, comparison: Comparison | None, sensitivity: Sensitivity | None
) -> None:
    """Print policies, length, overlap and thresholds as tables of at most 100 columns.

    Args:
        console: Where to print.
        comparison: None or without a prompt that has a choice: said instead.
        sensitivity: None: left out.
    """
    if comparison is None or not comparison.prompts:
        _say(
            console, "No prompt has two or more candidates, so there is nothing to choose between."
        )
    else:
        _print_policies(console, comparison)
    if sensitivity is not None:
        _print_betas(console, sensitivity)


def _print_policies(console: Console, comparison: Comparison) -> None:
    found = policies(comparison, None)
    _title(
        console,
        f"{counted(comparison.prompts, 'prompt')} with two or more candidates; means per pick",
    )
    columns = ["picks", "chars", "sent.", "tokens", "Teacher", "T/sent."]
    table = _table("policy", [*columns, *(["right", "graded"] if found.graded else [])])
    figures = [row.figures for row in found.rows]
    for row in figures:
        table.add_row(_name(row.name), *_cells(row, graded=found.graded))
    table.add_row(Text("all candidates", style="dim"), *_cells(found.pool, graded=found.graded))
    _show(console, table)
    if comparison.teacher_missing:
        _say(
            console,
            f"no Teacher count: {counted(comparison.teacher_missing, 'trace')} that the teacher did not read"
            f" to the end; in {counted(comparison.incomplete, 'prompt')} policies that need the teacher"
            " choose among the rest only. Where pruning decided who was read, that is no random sample.",
        )
    for name, reason in found.left_out:
        _say(console, f"left out: {shorten(name, NAME_WIDTH)}: {shorten(reason, 300)}")
    _print_length(console, found)
    _print_overlap(console, found)


def _cells(row: PolicyFigures, *, graded: bool) -> list[str]:
    cells = [
        f"{row.picks:,}",
        _number(row.chars, 0),
        _number(row.sentences, 1),
        _number(row.tokens, 0),
        _number(row.teacher, 2),
        _number(row.teacher_per_sentence, 3),
    ]
    return [*cells, _share(row.correct), f"{row.graded:,}"] if graded else cells


def _print_length(console: Console, found: Policies) -> None:
    length = found.length
    _title(console, "length, the known confounder: r with the Teacher count")
    _say(
        console,
        f"sentences {_number(length.sentences, 2)}, within prompts {_number(length.sentences_within, 2)};"
        f" characters {_number(length.chars, 2)}, within prompts {_number(length.chars_within, 2)};"
        f" over {counted(length.candidates, 'candidate')}",
    )
    _title(console, "picks against candidates of their prompt within 10% of their length")
    columns = ["length", "pairs", "Teacher"]
    table = _table("policy", [*columns, *(["right, points"] if found.graded else [])])
    for row in found.rows:
        each = row.figures
        relative = "-" if each.relative_length is None else f"{each.relative_length:.2f}x"
        cells = [relative, f"{each.matched_pairs:,}", _signed(each.matched_teacher, 2)]
        points = None if each.matched_correct is None else 100 * each.matched_correct
        table.add_row(_name(each.name), *cells, *([_signed(points, 1)] if found.graded else []))
    _show(console, table)
    _say(console, "length: characters against the mean of the prompt's candidates")


def _print_overlap(console: Console, found: Policies) -> None:
    if len(found.matrix) < 2:
        return
    _title(console, "prompts where two policies pick the same, in percent")
    shown = found.matrix[:MAX_COLUMNS]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", no_wrap=True, max_width=NAME_WIDTH + 3)
    for index in range(len(shown)):
        table.add_column(str(index + 1), justify="right", min_width=3, no_wrap=True)
    for index, (name, cells) in enumerate(shown):
        row = [Text(text, style="dim" if text in ("", "0") else "") for text, _ in cells]
        table.add_row(Text(f"{index + 1:2} {shorten(name, NAME_WIDTH)}"), *row[: len(shown)])
    _show(console, table)
    if len(found.rows) > len(shown):
        _say(console, f"the first {len(shown)} of {len(found.rows)} policies; --json has all")


def _print_betas(console: Console, sensitivity: Sensitivity) -> None:
    unit = unit_of(sensitivity.divergence)
    _title(
        console,
        f"beta ({shorten(sensitivity.divergence, 40)}, {unit}; near: within {sensitivity.near_within:g})",
    )
    four_way = any({"SHARED", "BOOSTED"} & row.classes.keys() for row in sensitivity.rows)
    rows = beta_rows(sensitivity, "trace" if four_way else "curate")
    names = [name for name, _ in rows[0].counts]
    table = _table("beta", [*(name.capitalize() for name in names), "near", "same pick", "tied"])
    for row in rows:
        shares = [count / row.sentences if row.sentences else None for _, count in row.counts]
        table.add_row(
            row.beta + (" (run)" if row.own else ""),
            *(_share(share) for share in (*shares, row.near, row.same_pick, row.tied)),
            style="bold" if row.own else None,
        )
    _show(console, table)
    _say(
        console,
        f"picks by Teacher count, over {counted(sensitivity.prompts, 'prompt')} with a choice",
    )
    if sensitivity.incomplete:
        _say(
            console,
            f"in {counted(sensitivity.incomplete, 'prompt')} the teacher did not read every candidate:"
            " a pick at another beta may be missing.",
        )


def _table(first: str, columns: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, no_wrap=True, max_width=NAME_WIDTH)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _name(name: str) -> Text:
    return Text(shorten(name, NAME_WIDTH))


def _title(console: Console, words: str) -> None:
    console.print()
    console.print(Text(words, style="bold"), width=min(console.width, WIDTH))


def _say(console: Console, words: str) -> None:
    console.print(Text(words, style="dim"), width=min(console.width, WIDTH))


def _show(console: Console, table: Table) -> None:
    console.print(table, width=min(console.width, WIDTH))


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:,.{places}f}"


def _signed(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:+.{places}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"
