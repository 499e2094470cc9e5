"""One class in right and in wrong answers, along the response: two curves, each with its 95 % interval."""

from collections.abc import Sequence

from markupsafe import Markup

from rdpt_ray.method.correctness_intervals import Contrast, Curve
from rdpt_ray.publish.svg import LEFT, RIGHT, chart, coord, grid, text, ticks

TOP, BOTTOM = 10.0, 150.0
ROUND = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Where the y axis may end."""


def curves(contrast: Contrast, top_share: float) -> Markup:
    """Shares by position; right answers solid, wrong ones dashed.

    Args:
        contrast: With at least one position.
        top_share: Where the y axis ends, from `axis_top`: the same for all classes, so that they compare.
    """
    length = len(contrast.correct.share)
    step = (RIGHT - LEFT) / max(length, 1)
    name = contrast.name.lower()
    drawn = "".join(
        f'<path class="band {kind}" d="{_band(curve, step, top_share)}"/>'
        for kind, curve in (("wrong", contrast.wrong), (name, contrast.correct))
    )
    drawn += "".join(
        f'<path class="curve {kind}" d="{_line(curve.share, step, top_share)}"/>'
        for kind, curve in (("wrong", contrast.wrong), (name, contrast.correct))
    )
    labels = "".join(
        text(LEFT - 6, _y(share, top_share) + 4, f"{100 * share:g}%", anchor="end")
        for share in (0, top_share / 2, top_share)
    )
    for tick in [1, *(tick for tick in ticks(length, most=8) if tick > 1)]:
        labels += text(LEFT + (tick - 0.5) * step, BOTTOM + 17, str(tick))
    labels += text((LEFT + RIGHT) / 2, BOTTOM + 34, "sentence of the response")
    targets = "".join(
        f'<rect class="target" x="{coord(LEFT + index * step)}" y="{coord(TOP)}"'
        f' width="{coord(step)}" height="{coord(BOTTOM - TOP)}">'
        f"<title>{_title(contrast, index)}</title></rect>"
        for index in range(length)
    )
    return chart(
        188,
        f"Share of {contrast.name.capitalize()} sentences by position, in right and in wrong answers",
        grid(TOP, (TOP + BOTTOM) / 2, BOTTOM) + drawn + labels + targets,
    )


def axis_top(contrasts: Sequence[Contrast]) -> float:
    """A round share that no interval of these exceeds."""
    highest = max(
        (max((*each.correct.high, *each.wrong.high), default=0.0) for each in contrasts),
        default=1.0,
    )
    return next((share for share in ROUND if highest <= share), 1.0)


def _y(share: float, top_share: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * min(share / top_share, 1.0)


def _points(shares: Sequence[float], step: float, top_share: float) -> list[str]:
    """One corner per position; a single position becomes a line across its column."""
    if len(shares) == 1:
        return [f"{coord(x)} {coord(_y(shares[0], top_share))}" for x in (LEFT, LEFT + step)]
    return [
        f"{coord(LEFT + (index + 0.5) * step)} {coord(_y(share, top_share))}"
        for index, share in enumerate(shares)
    ]


def _line(shares: Sequence[float], step: float, top_share: float) -> str:
    return "M" + "L".join(_points(shares, step, top_share))


def _band(curve: Curve, step: float, top_share: float) -> str:
    there = _points(curve.low, step, top_share)
    back = _points(curve.high, step, top_share)[::-1]
    return "M" + "L".join([*there, *back]) + "Z"


def _title(contrast: Contrast, index: int) -> str:
    parts = [
        f"{kind} {100 * curve.share[index]:.0f}%"
        f" ({100 * curve.low[index]:.0f} to {100 * curve.high[index]:.0f})"
        for kind, curve in (("right", contrast.correct), ("wrong", contrast.wrong))
    ]
    return f"Sentence {index + 1}: {', '.join(parts)}"
