"""The numbers of a run as they are shown, the same on the page and on the terminal.

Everything is computed from the `Summary` alone, and every list of parts adds up to its whole: what
a counter does not explain is listed as unexplained, never left out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdpt_ray.method.provenance import Provenance
from rdpt_ray.method.summary import Point, Summary
from rdpt_ray.publish.facts import PrecisionFacts
from rdpt_ray.publish.palette import ORDER, Kind

MIN_REACH_SHARE = 0.05
MIN_REACH = 5
"""Positions that fewer traces reach are not drawn: the shares there would be noise."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A part of an outcome: why, and how many rows."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some of the rows read. The reasons add up to the count."""

    name: str
    count: int
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassShare:
    """One class: its sentences among those of all scored traces and of the selected ones."""

    name: str
    num_all: int
    num_selected: int


@dataclass(frozen=True, slots=True)
class Position:
    """The sentences at one position; `counts` follows the order of the classes asked for."""

    number: int
    """1 is the first sentence."""
    counts: tuple[int, ...]

    @property
    def reach(self) -> int:
        """Traces that have a sentence here."""
        return sum(self.counts)


def outcomes(summary: Summary, *, selects: bool = True, max_reasons: int = 8) -> list[Outcome]:
    """Rows by what became of them: selected (traced, where nothing is), rejected, quarantined.

    A fourth outcome, "unaccounted", appears only when the three do not add up to the rows read.
    """
    found = [
        Outcome("selected" if selects else "traced", summary.selected),
        Outcome(
            "rejected",
            summary.rejected,
            top_reasons(summary.drop_reasons, summary.rejected, max_reasons),
        ),
        Outcome(
            "quarantined",
            summary.quarantined,
            top_reasons(summary.quarantine_reasons, summary.quarantined, max_reasons),
        ),
    ]
    missing = summary.rows_read - sum(outcome.count for outcome in found)
    return [*found, Outcome("unaccounted", missing)] if missing else found


def top_reasons(reasons: Counter[str], total: int, limit: int) -> tuple[Reason, ...]:
    """The most frequent reasons, the rest as one, at most `limit` in all; they add up to `total`.

    What the counter does not explain is one entry more.
    """
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > limit:
        limit -= 1
    shown = [Reason(name, count) for name, count in ordered[:limit]]
    rest = ordered[limit:]
    if rest:
        shown.append(Reason("more for other reasons", sum(count for _, count in rest)))
    unexplained = total - sum(reasons.values())
    if unexplained:
        shown.append(Reason("no reason recorded", unexplained))
    return tuple(shown)


def class_names(summary: Summary, kind: Kind) -> tuple[str, ...]:
    """The classes to show: those of the kind of run, and any other that was counted."""
    others = {name for name in summary.classes if name not in ORDER[kind]}
    return (*ORDER[kind], *sorted(others))


def class_shares(summary: Summary, kind: Kind) -> list[ClassShare]:
    """Sentences by class, in the order they are shown."""
    return [
        ClassShare(name, summary.classes[name], summary.classes_selected[name])
        for name in class_names(summary, kind)
    ]


def positions(summary: Summary, names: Sequence[str]) -> list[Position]:
    """Classes at sentence 1, 2, ..., ending where fewer than 5, or 5 % of the traces, are left."""
    counted = [summary.positions.get(name, []) for name in names]
    length = max((len(counts) for counts in counted), default=0)
    found: list[Position] = []
    for index in range(length):
        here = Position(
            index + 1, tuple(counts[index] if index < len(counts) else 0 for counts in counted)
        )
        first = found[0].reach if found else here.reach
        if here.reach < max(MIN_REACH, MIN_REACH_SHARE * first):
            break
        found.append(here)
    return found


def num_scored(summary: Summary) -> int:
    """Traces whose sentences were classified: all that have a first sentence."""
    return sum(counts[0] for counts in summary.positions.values() if counts)


def teacher_per_trace(summary: Summary) -> tuple[float | None, float | None]:
    """Mean number of Teacher sentences per selected and per scored trace; None without traces."""
    scored = num_scored(summary)
    return (
        summary.teacher_per_trace if summary.selected else None,
        summary.classes[Provenance.TEACHER] / scored if scored else None,
    )


def sentences_per_trace(summary: Summary) -> tuple[float | None, float | None]:
    """Mean number of sentences per selected and per scored trace; None without traces."""
    scored = num_scored(summary)
    return (
        summary.classes_selected.total() / summary.selected if summary.selected else None,
        summary.classes.total() / scored if scored else None,
    )


def flip_rate(precision: PrecisionFacts) -> tuple[str, str]:
    """The share of sentences that half precision moved into another class, and what that rests on."""
    if not precision.sentences:
        return (
            "-",
            f"class flips not measured: {precision.why or 'no trace of the sample has scores'}",
        )
    share = precision.flipped / precision.sentences
    return f"{share:.2%}", (
        f"of {precision.sentences:,} sentences ({precision.traces:,} traces) change class against"
        f" float32 ({', '.join(precision.roles)}); largest change of a probability"
        f" {precision.max_prob_change:.3f}"
    )


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's r of two equally long lists; None for fewer than three pairs or a constant one."""
    if len(first) < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def length_correlations(points: Sequence[Point]) -> tuple[float | None, float | None]:
    """The Teacher count's r with the number of sentences, and with the number of characters."""
    teacher = [point.num_teacher for point in points]
    return (
        correlation(teacher, [point.num_sentences for point in points]),
        correlation(teacher, [point.num_chars for point in points]),
    )
