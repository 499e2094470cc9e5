"""A loop's page, its Markdown and its table on a terminal: the same facts three times.

The page is as the provenance report's: self-contained, no request, no script, one style sheet admitted by its
hash, everything that is not a number escaped. The same facts always give the same bytes.
"""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rdpt_ray.publish.loop_facts import LoopFacts
from rdpt_ray.publish.loop_figures import dots
from rdpt_ray.publish.loop_findings import cautions, class_names, pair_rows, policy_rows
from rdpt_ray.publish.markdown import render
from rdpt_ray.publish.palette import ORDER
from rdpt_ray.publish.report import page_environment, points, share, style_hash, style_sheet
from rdpt_ray.publish.untrusted import shorten, visible
from rdpt_ray.publish.words import POLICY_WORDS, counted
from rdpt_ray.storage.files import public_uri

STYLES = ("report.css", "loop.css")
NAME_WIDTH = 18


def render_loop(facts: LoopFacts) -> str:
    """The report of a loop as one HTML page."""
    css = style_sheet(STYLES)
    return (
        page_environment()
        .get_template("loop.html.jinja")
        .render(
            css=Markup(css),
            css_hash=style_hash(css),
            figure=dots(facts, policy_rows(facts)),
            known_names=ORDER["trace"],
            **_context(facts),
        )
    )


def loop_markdown(facts: LoopFacts) -> str:
    """The report of a loop as Markdown."""
    return render("loop.md.jinja", _context(facts))


def _context(facts: LoopFacts) -> dict[str, Any]:
    models = (("student, untrained", facts.student), ("teacher", facts.teacher))
    return {
        "facts": facts,
        "confidence": f"{100 * facts.confidence:g}%",
        "rows": policy_rows(facts),
        "pairs": pair_rows(facts),
        "models": [(name, found) for name, found in models if found is not None],
        "controls": [
            (each.policy, each.control) for each in facts.policies if each.control is not None
        ],
        "meanings": [
            (each.policy, POLICY_WORDS[each.policy])
            for each in facts.policies
            if each.policy in POLICY_WORDS
        ],
        "names": class_names(facts),
        "remarks": [*facts.remarks, *cautions(facts)],
        "settings": [(name, public_uri(str(value))) for name, value in facts.settings.items()],
        "in_short": in_short(facts),
    }


def in_short(facts: LoopFacts) -> list[str]:
    """The loop in a few sentences, for someone who reads nothing else."""
    students = sum(len(each.seeds) for each in facts.policies)
    said = [f"{counted(students, 'student')} trained, by {counted_policies(len(facts.policies))}."]
    ranked = sorted(
        (row for row in policy_rows(facts) if row.accuracy is not None),
        key=lambda row: (-row.accuracy.mean if row.accuracy else 0.0, row.facts.policy),
    )
    if ranked:
        means = [
            f"{shorten(row.facts.policy, 40)} {share(row.accuracy.mean)}"
            for row in ranked
            if row.accuracy is not None
        ]
        untrained = facts.student
        before = "" if untrained is None else f"; untrained {share(untrained.accuracy)}"
        said.append(f"Mean accuracies: {', '.join(means)}{before}.")
    decided = [pair for pair in pair_rows(facts) if pair.verdict.endswith("is better")]
    open_ = len(pair_rows(facts)) - len(decided)
    for pair in decided:
        better, worse = (
            (pair.first, pair.second)
            if pair.verdict.startswith("first")
            else (pair.second, pair.first)
        )
        said.append(f"{shorten(better, 40)} is better than {shorten(worse, 40)}, over these seeds.")
    if open_:
        said.append(f"{open_} of {len(pair_rows(facts))} comparisons are undecided.")
    return said


def counted_policies(number: int) -> str:
    """1 policy, 5 policies."""
    return "1 policy" if number == 1 else f"{number:,} policies"


def print_loop(console: Console, facts: LoopFacts, report_path: str) -> None:
    """Print the loop's tables in the width of a terminal; the report's path stands alone on the last line.

    Args:
        console: Where to print.
        facts: Of the loop.
        report_path: Path or URI of the page.
    """
    console.print()
    console.print(Text(shorten(f"loop {facts.name}", 78), style="bold"))
    console.print(_accuracies(facts))
    pairs = _pairs(facts)
    if pairs.row_count:
        console.print()
        console.print(pairs)
    for remark in (*facts.remarks, *cautions(facts)):
        console.print(Text(f"- {shorten(remark, 1000)}", style="dim"))
    console.print()
    console.print(Text("report", style="bold"))
    console.print(Text(visible(report_path)), soft_wrap=True)


def _accuracies(facts: LoopFacts) -> Table:
    table = _table("policy", ["tokens", "Teacher", "sent.", "seeds", "accuracy", "interval"])
    for row in policy_rows(facts):
        chosen, found = row.facts, row.accuracy
        table.add_row(
            Text(shorten(chosen.policy, NAME_WIDTH)),
            f"{chosen.tokens:,}",
            f"{chosen.teacher:,.2f}",
            f"{chosen.sentences:,.2f}",
            f"{len(chosen.seeds)}",
            share(None if found is None else found.mean),
            "" if found is None else _interval(share, found.low, found.high),
        )
    for name, model in (("untrained", facts.student), ("teacher", facts.teacher)):
        if model is not None:
            interval = _interval(share, model.low, model.high)
            table.add_row(Text(name, style="dim"), "", "", "", "", share(model.accuracy), interval)
    return table


def _pairs(facts: LoopFacts) -> Table:
    table = _table("points, seed by seed", ["mean", "interval", "won", "p"])
    for pair in pair_rows(facts):
        name = Text(f"{shorten(pair.first, NAME_WIDTH)} - {shorten(pair.second, NAME_WIDTH)}")
        found = pair.difference
        if found is None:
            table.add_row(name, "-", "-", "-", "-")
            continue
        table.add_row(
            name,
            points(found.spread.mean),
            _interval(points, found.spread.low, found.spread.high),
            f"{found.won} of {found.spread.seeds}",
            f"{found.p_value:.3g}",
        )
    return table


def _table(first: str, columns: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _interval(shown: Callable[[float | None], str], low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{shown(low)} to {shown(high)}"
