"""The table at the end of a run: the report's main numbers in the width of a terminal."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rdpt_ray.method.comparison_figures import length_figures
from rdpt_ray.method.summary import Summary
from rdpt_ray.publish import findings
from rdpt_ray.publish.facts import AnswerFacts, ModelFacts, RunFacts, SessionFacts
from rdpt_ray.publish.findings_answers import verdict, verified
from rdpt_ray.publish.report import points
from rdpt_ray.publish.untrusted import shorten, visible

MAX_REASONS = 4
"""Reasons named for each outcome; the report has more."""


def print_outcome(console: Console, summary: Summary, facts: RunFacts, report_path: str) -> None:
    """Print what became of the rows, Teacher sentences per trace, and the work of each role.

    Fits 80 columns; text from the data is never read as markup or control codes. The report's path
    stands alone on the last line, unwrapped, so that it can be copied or clicked.

    Args:
        console: Where to print.
        summary: What the run found.
        facts: Which run it was.
        report_path: Path or URI of the report.
    """
    console.print()
    console.print(Text(shorten(f"run {facts.run_id}", 78), style="bold"))
    console.print(outcome_table(summary, facts))
    console.print()
    console.print(Text("report", style="bold"))
    console.print(Text(visible(report_path)), soft_wrap=True)


def outcome_table(summary: Summary, facts: RunFacts) -> Table:
    """The table that `print_outcome` prints: what, how many, and more about it."""
    selects = facts.policy is not None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    table.add_row("rows read", f"{summary.rows_read:,}", f"prompts: {summary.num_prompts:,}")
    for outcome in findings.outcomes(summary, selects=selects, max_reasons=MAX_REASONS):
        reasons = [f"{reason.count:,} {shorten(reason.name, 60)}" for reason in outcome.reasons]
        table.add_row(f"  {outcome.name}", f"{outcome.count:,}", Text(", ".join(reasons)))
    table.add_row()
    per_selected, per_scored = findings.teacher_per_trace(summary)
    if selects:
        table.add_row("per selected trace", _decimal(per_selected), "Teacher sentences")
    table.add_row(
        "per scored trace",
        _decimal(per_scored),
        f"Teacher sentences (scored traces: {findings.num_scored(summary):,})",
    )
    if facts.kind == "trace":
        for name, number, remark in _shares(summary):
            table.add_row(name, number, Text(remark))
    table.add_row()
    for model in facts.models:
        table.add_row(Text(shorten(model.role, 20)), f"{model.scored:,}", Text(_work(model)))
    if facts.precision is not None:
        share, remark = findings.flip_rate(facts.precision)
        table.add_row("half precision", share, Text(remark))
    for what, number, remark in _more(summary, facts):
        table.add_row(what, number, Text(remark))
    return table


def _more(summary: Summary, facts: RunFacts) -> Iterator[tuple[str, str, str]]:
    """Lines for what not every run has: pruning, verification, beta: auto, length, kills, damage."""
    if summary.pruned or facts.prune:
        unread = summary.chars_unread / max(summary.chars_to_read, 1)
        rounding = "" if facts.prune_exact is None else "; same selection up to rounding"
        yield (
            "pruned",
            f"{summary.pruned:,}",
            f"{'trace' if summary.pruned == 1 else 'traces'}; {unread:.1%} of the characters"
            f" not read by the teacher{rounding}",
        )
    found = verified(facts.verification)
    if found is not None:
        yield (
            "answers right",
            f"{found.correct:,}",
            f"{found.wrong:,} wrong, {found.unknown:,} unknown, {found.given:,} given by the input;"
            f" method {shorten(found.method, 40)}",
        )
    yield from _by_answer(facts.answers)
    if facts.auto_beta is not None:
        low, high = facts.auto_beta.interval
        yield (
            "beta: auto",
            f"{facts.beta:g}",
            f"our rule (Otsu), {shorten(facts.auto_beta.confidence, 20)}; 95% {low:g} to {high:g}",
        )
    if summary.comparison is not None and summary.comparison.prompts:
        length = length_figures(summary.comparison)
        read = " (of the traces read)" if summary.comparison.teacher_missing else ""
        within = _decimal(length.sentences_within)
        yield (
            "length",
            _decimal(length.sentences),
            f"r(Teacher count, sentences), within prompts {within}: the known confounder{read}",
        )
    yield from _history(facts.sessions)


def _shares(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """Lines for the four-way classes of all sentences."""
    total = summary.classes.total()
    for each in findings.class_shares(summary, "trace"):
        if each.num_all:
            name = shorten(each.name.capitalize(), 20)
            yield f"  {name}", f"{each.num_all / total:.1%}", f"of {total:,} sentences"


def _by_answer(found: AnswerFacts | None) -> Iterator[tuple[str, str, str]]:
    """Lines for the classes that right and wrong answers have, at equal position."""
    if found is None:
        return
    compared = (
        f"{found.correct:,} right, {found.wrong:,} wrong answers to {found.prompts:,} prompts"
    )
    if not found.classes:
        yield "right - wrong", "-", f"{compared}: too few to compare classes"
        return
    yield "right - wrong", "", f"points at equal position, 95% interval, r; {compared}"
    for each in found.classes:
        r = "" if each.r is None else f"; r {each.r:+.3f}"
        yield (
            f"  {shorten(each.name.capitalize(), 20)}",
            points(each.difference),
            f"{points(each.low)} to {points(each.high)}{r}: {verdict(each)}",
        )
        if each.within is not None:
            yield (
                "    within prompts",
                points(each.within),
                f"{points(each.within_low)} to {points(each.within_high)}",
            )


def _history(sessions: SessionFacts | None) -> Iterator[tuple[str, str, str]]:
    """Lines for a run that did not go through in one start, or met damaged files."""
    if sessions is None:
        return
    if sessions.started > 1:
        share = sessions.read_again / max(sessions.read, 1)
        yield (
            "started",
            f"{sessions.started:,}",
            f"times; {sessions.read_again:,} of {sessions.read:,} readings made again ({share:.1%})",
        )
    if sessions.damaged:
        yield ("damaged", f"{sessions.damaged:,}", "files of the store set aside and made again")


def _work(model: ModelFacts) -> str:
    work = f"scored, {model.reused:,} reused"
    return work if model.tokens_per_s is None else f"{work}; {model.tokens_per_s:,.0f} tokens/s"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
