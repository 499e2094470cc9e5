"""Accuracies of a loop: every student a dot, every policy its mean with an interval over seeds."""

from collections.abc import Callable, Sequence
from math import ceil, floor

from markupsafe import Markup, escape

from rdpt_ray.method.accuracy import Accuracy
from rdpt_ray.publish.loop_facts import LoopFacts
from rdpt_ray.publish.loop_findings import PolicyRow
from rdpt_ray.publish.svg import chart, coord, text
from rdpt_ray.publish.untrusted import shorten

LEFT, RIGHT = 14, 380
TOP, ROW = 34.0, 44.0
NAME_LENGTH = 44
STAGGER = (0.0, -5.0, 5.0)
"""Dots of one policy lie on three lines in turn, so that equal ones show."""


def dots(facts: LoopFacts, rows: Sequence[PolicyRow]) -> Markup:
    """The figure, a row per policy; the names are escaped, everything else is numbers and fixed words.

    Args:
        facts: Of the loop.
        rows: Its `policy_rows`.
    """
    low, high = _axis(facts, rows)
    scale = (RIGHT - LEFT) / (high - low)

    def x(share: float) -> float:
        return LEFT + scale * (min(max(share, low), high) - low)

    bottom = TOP + ROW * len(rows)
    steps = range(round(100 * low), round(100 * high) + 1, 10 if high - low > 0.35 else 5)
    drawn = "".join(
        f'<path class="grid" d="M{coord(x(step / 100))} {coord(TOP)}V{coord(bottom)}"/>'
        + text(x(step / 100), bottom + 16, f"{step}%")
        for step in steps
    )
    drawn += text((LEFT + RIGHT) / 2, bottom + 33, "accuracy")
    for kind, found in (("student", facts.student), ("teacher", facts.teacher)):
        drawn += "" if found is None else _baseline(kind, found, x(found.accuracy), bottom)
    for at, row in enumerate(rows):
        y = TOP + ROW * at
        drawn += text(
            LEFT, y + 12, str(escape(shorten(row.facts.policy, NAME_LENGTH))), anchor="start"
        )
        drawn += _row(row, x, y + 28)
    return chart(
        round(bottom + 40),
        "Accuracy of every trained student, by policy, with the mean over seeds and its interval",
        drawn,
    )


def _baseline(kind: str, found: Accuracy, x: float, bottom: float) -> str:
    """A line for a model that the loop did not train; both labels keep out of each other's way."""
    y = 12 if kind == "student" else 26
    anchor = "start" if x < (LEFT + RIGHT) / 2 else "end"
    words = f"{kind}, untrained" if kind == "student" else kind
    return f'<path class="baseline {kind}" d="M{coord(x)} {coord(y + 4)}V{coord(bottom)}"/>' + text(
        x, y, f"{words} {100 * found.accuracy:.1f}%", anchor=anchor
    )


def _row(row: PolicyRow, x: Callable[[float], float], y: float) -> str:
    drawn = ""
    if row.accuracy is not None:
        if row.accuracy.low is not None and row.accuracy.high is not None:
            start, end = x(row.accuracy.low), x(row.accuracy.high)
            drawn += (
                f'<path class="whisker" d="M{coord(start)} {coord(y)}H{coord(end)}'
                f"M{coord(start)} {coord(y - 4)}v8M{coord(end)} {coord(y - 4)}v8"
                '"/>'
            )
        drawn += f'<path class="mean" d="M{coord(x(row.accuracy.mean))} {coord(y - 9)}v18"/>'
    for at, seed in enumerate(row.facts.seeds):
        found = seed.accuracy
        drawn += (
            f'<circle class="seed" cx="{coord(x(found.accuracy))}"'
            f' cy="{coord(y + STAGGER[at % len(STAGGER)])}" r="3.2"><title>seed {seed.seed}:'
            f" {100 * found.accuracy:.1f}% ({100 * found.low:.1f} to {100 * found.high:.1f} over prompts)"
            "</title></circle>"
        )
    return drawn


def _axis(facts: LoopFacts, rows: Sequence[PolicyRow]) -> tuple[float, float]:
    """Round shares that hold every dot, interval and baseline."""
    shares = [found.accuracy for found in (facts.student, facts.teacher) if found is not None]
    for row in rows:
        shares += [seed.accuracy.accuracy for seed in row.facts.seeds]
        if row.accuracy is not None:
            shares += [end for end in (row.accuracy.low, row.accuracy.high) if end is not None]
    low = max(floor(10 * min(shares, default=0.0)) / 10, 0.0)
    high = min(ceil(10 * max(shares, default=1.0)) / 10, 1.0)
    return (low, high) if high > low else (max(low - 0.1, 0.0), min(high + 0.1, 1.0))
