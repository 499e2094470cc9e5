"""The report's first figures: the flow of rows, shares, classes by position, Teacher count by length."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from rdpt_ray.method.summary import Point
from rdpt_ray.publish.findings import Outcome, Position
from rdpt_ray.publish.svg import LEFT, RIGHT, box, chart, coord, grid, text, ticks


def flow(outcomes: Sequence[Outcome]) -> Markup:
    """Ribbons from the rows read to each outcome, in a square of 100 x 100 that is stretched.

    Every outcome has a slot of equal height, so that labels can stand beside the ribbons; their
    thickness is proportional to the counts and adds up to the thickness of the source.
    """
    slot = 100 / len(outcomes)
    thick = 0.8 * slot
    total = max(sum(max(outcome.count, 0) for outcome in outcomes), 1)
    top = 50 - thick / 2
    paths: list[str] = []
    for index, outcome in enumerate(outcomes):
        height = thick * max(outcome.count, 0) / total
        if height == 0:
            continue
        end = (index + 0.5) * slot - height / 2
        above, below = coord(top), coord(top + height)
        above_end, below_end = coord(end), coord(end + height)
        paths.append(
            f'<path class="{outcome.name}" d="M0 {above}C50 {above} 50 {above_end} 100 {above_end}'
            f'V{below_end}C50 {below_end} 50 {below} 0 {below}Z"/>'
        )
        top += height
    return Markup(
        '<svg class="ribbons" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(paths)}</svg>"
    )


def share_bar(parts: Sequence[tuple[str, int]], *, label: str) -> Markup:
    """One horizontal bar, 100 units wide, cut into the shares of (class, count)."""
    total = max(sum(count for _, count in parts), 1)
    left = 0.0
    rects: list[str] = []
    for name, count in parts:
        width = 100 * count / total
        if count:
            rects.append(
                f'<rect class="{name.lower()}" x="{coord(left)}" width="{coord(width)}" height="10"/>'
            )
        left += width
    return Markup(
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(rects)}</svg>'
    )


def strip(classes: Sequence[str]) -> Markup:
    """One trace at a glance: a bar with a cell per sentence, cells of equal width."""
    step = 100 / max(len(classes), 1)
    gap = min(0.6, step / 5)
    cells: dict[str, list[str]] = {}
    for index, name in enumerate(classes):
        cells.setdefault(name, []).append(box(index * step, 0, step - gap, 10))
    paths = "".join(
        f'<path class="{name.lower()}" d="{"".join(boxes)}"/>' for name, boxes in cells.items()
    )
    return Markup(
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{len(classes)} sentences in order, coloured by class">{paths}</svg>'
    )


def by_position(positions: Sequence[Position], names: Sequence[str]) -> Markup:
    """Shares of the classes at each sentence position, and below it how many traces reach it.

    Args:
        positions: From `findings.positions`, not empty.
        names: The classes, in the order of the counts; the first is drawn at the bottom.
    """
    top, bottom, reach_top, reach_bottom = 10.0, 170.0, 186.0, 222.0
    step = (RIGHT - LEFT) / len(positions)
    gap = min(1.5, step / 6)
    most = max(position.reach for position in positions)
    bars: dict[str, list[str]] = {name: [] for name in names}
    reach: list[str] = []
    targets: list[str] = []
    for index, position in enumerate(positions):
        left = LEFT + index * step
        base = bottom
        for name, count in zip(names, position.counts, strict=True):
            height = (bottom - top) * count / position.reach
            if count:
                bars[name].append(box(left + gap / 2, base - height, step - gap, height))
            base -= height
        height = (reach_bottom - reach_top) * position.reach / most
        reach.append(box(left + gap / 2, reach_bottom - height, step - gap, height))
        targets.append(
            f'<rect class="target" x="{coord(left)}" y="{coord(top)}" width="{coord(step)}" '
            f'height="{coord(reach_bottom - top)}"><title>{_position_title(position, names)}</title>'
            "</rect>"
        )
    drawn = "".join(
        f'<path class="{name.lower()}" d="{"".join(boxes)}"/>'
        for name, boxes in bars.items()
        if boxes
    )
    labels = "".join(
        text(LEFT - 6, bottom - (bottom - top) * share / 100 + 4, f"{share}%", anchor="end")
        for share in (0, 50, 100)
    )
    labels += text(LEFT - 6, reach_top + 9, f"{most:,}", anchor="end")
    labels += text(LEFT - 6, reach_bottom, "0", anchor="end")
    for number in _position_ticks(len(positions)):
        labels += text(LEFT + (number - 0.5) * step, reach_bottom + 16, str(number))
    labels += text((LEFT + RIGHT) / 2, reach_bottom + 33, "sentence of the response")
    return chart(
        260,
        "Share of each class at each sentence position, and the number of traces that reach it",
        grid(top, (top + bottom) / 2, bottom, reach_bottom)
        + drawn
        + f'<path class="reach" d="{"".join(reach)}"/>'
        + labels
        + "".join(targets),
    )


def teacher_by_length(points: Sequence[Point], *, selects: bool = True) -> Markup:
    """Each trace as a mark: its length to the right, its Teacher sentences upwards.

    Selected traces are filled diamonds, drawn last; the others hollow circles. Where a few traces
    are far beyond the 98th percentile, an axis ends there, and they are drawn at its end.

    Args:
        points: The traces, not empty.
        selects: Whether the run selects at all; if not, all marks are circles.
    """
    top, bottom = 10.0, 212.0
    end_x = _axis_end([point.num_chars for point in points])
    end_y = _axis_end([point.num_teacher for point in points])
    scale_x = (RIGHT - LEFT) / end_x
    scale_y = (bottom - top) / end_y
    circles: list[str] = []
    diamonds: list[str] = []
    for point in points:
        x = coord(LEFT + scale_x * min(point.num_chars, end_x))
        y = bottom - scale_y * min(point.num_teacher, end_y)
        if selects and point.selected:
            diamonds.append(f'<path d="M{x} {coord(y - 3.6)}l3.6 3.6-3.6 3.6-3.6-3.6z"/>')
        else:
            circles.append(f'<circle cx="{x}" cy="{coord(y)}" r="2.6"/>')
    heights = {tick: bottom - scale_y * tick for tick in ticks(end_y)}
    labels = [text(LEFT - 8, y + 4, f"{tick:,}", anchor="end") for tick, y in heights.items()]
    labels += [text(LEFT + scale_x * tick, bottom + 18, f"{tick:,}") for tick in ticks(end_x)]
    labels.append(text((LEFT + RIGHT) / 2, bottom + 36, "characters in the response"))
    return chart(
        252,
        "Number of Teacher sentences of each trace against its length in characters",
        f"{grid(*heights.values())}"
        f'<g class="others">{"".join(circles)}</g><g class="chosen">{"".join(diamonds)}</g>'
        f"{''.join(labels)}",
    )


def _position_ticks(length: int) -> list[int]:
    return [1, *(tick for tick in ticks(length, most=8) if tick > 1)]


def _axis_end(values: Sequence[int]) -> float:
    """Where an axis ends: past the largest value, or the 98th percentile if that is far off."""
    largest = max(values)
    usual = float(np.percentile(values, 98, method="higher"))
    return max(1.05 * (usual if largest > 3 * usual > 0 else largest), 1.0)


def _position_title(position: Position, names: Sequence[str]) -> str:
    shares = ", ".join(
        f"{name.capitalize()} {100 * count / position.reach:.0f}%"
        for name, count in zip(names, position.counts, strict=True)
        if count
    )
    return f"Sentence {position.number}: {position.reach:,} traces. {shares}"
