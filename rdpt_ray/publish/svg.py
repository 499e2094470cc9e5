"""What figures are written with: hand-written SVG, numbers in, markup out, coloured by the style sheet.

A figure holds only numbers, class names and fixed words, so its markup is safe as it is. Charts are
400 units wide, so that their text has its own size on the screen of a phone. Bars and ribbons hold
no text and stretch to any size (preserveAspectRatio none).
"""

from math import floor, log10

from markupsafe import Markup

WIDTH = 400
LEFT, RIGHT = 44, 392
"""The plot lies between these x; left of it stand the labels of the y axis."""


def chart(height: int, label: str, content: str) -> Markup:
    """A drawing 400 wide with its name for screen readers; both from numbers and fixed words alone."""
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
        f"{content}</svg>"
    )


def coord(value: float) -> str:
    """A coordinate with at most two decimals, the shortest way."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def box(left: float, top: float, width: float, height: float) -> str:
    """A rectangle as a piece of a path."""
    return f"M{coord(left)} {coord(top)}h{coord(width)}v{coord(height)}h{coord(-width)}z"


def text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    """Fixed words at a place."""
    return f'<text x="{coord(x)}" y="{coord(y)}" text-anchor="{anchor}">{words}</text>'


def grid(*heights: float) -> str:
    """Lines across the plot."""
    lines = "".join(f"M{LEFT} {coord(y)}H{RIGHT}" for y in heights)
    return f'<path class="grid" d="{lines}"/>'


def ticks(end: float, most: int = 6) -> list[int]:
    """Round numbers from 0 to `end`, at most `most` steps, whole because counts are whole."""
    raw = max(end / most, 1)
    power = 10 ** floor(log10(raw))
    step = int(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw))
    return list(range(0, int(end) + 1, step))
