"""The report's figures as SVG files that stand alone: for a dataset card, where there is no style sheet.

Each has its colours for light and for dark with it, its legend, and paper of its own to be drawn on. As all
figures, they hold only numbers, class names and fixed words, and the same run gives the same bytes.
"""

from collections.abc import Sequence
from importlib.resources import files

from rdpt_ray.method.summary import Summary
from rdpt_ray.publish import figures, findings
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.palette import css_variables
from rdpt_ray.publish.svg import LEFT, RIGHT, WIDTH, box, coord, text

FOLDER = "figures"
"""In the dataset."""

OUTCOME = f"{FOLDER}/outcome.svg"
CLASSES = f"{FOLDER}/classes.svg"
BY_POSITION = f"{FOLDER}/classes_by_position.svg"
BY_LENGTH = f"{FOLDER}/teacher_by_length.svg"

_MARGIN = 12
_LEGEND_STEP = 92
"""From one entry of a legend to the next."""


def figure_files(summary: Summary, facts: RunFacts) -> dict[str, bytes]:
    """Path in the dataset -> SVG; a figure that there is nothing to draw for is left out."""
    names = findings.class_names(summary, facts.kind)
    selects = facts.policy is not None
    found = {OUTCOME: _outcome(summary, selects=selects)}
    if summary.classes.total():
        found[CLASSES] = _classes(summary, facts, selects=selects)
    positions = findings.positions(summary, names)
    if positions:
        legend = [(name.lower(), name.capitalize()) for name in names if summary.classes[name]]
        found[BY_POSITION] = _with_legend(figures.by_position(positions, names), 260, legend)
    if summary.points:
        marks = [("chosen", "selected"), ("others", "not selected")]
        found[BY_LENGTH] = _with_legend(
            figures.teacher_by_length(summary.points, selects=selects),
            252,
            marks if selects else [("others", "a trace")],
            upwards="\u2191 Teacher sentences",
        )
    return {path: drawing.encode() for path, drawing in found.items()}


def _outcome(summary: Summary, *, selects: bool) -> str:
    """Rows read, flowing to what became of them, with numbers at both ends."""
    outcomes = findings.outcomes(summary, selects=selects)
    height, left, right = 64 * len(outcomes), 96, 240
    middle = height / 2
    drawn = (
        f'<svg x="{left}" y="0" width="{right - left}" height="{height}" viewBox="0 0 100 100" '
        f'preserveAspectRatio="none">{figures.flow(outcomes)}</svg>'
    )
    drawn += _figure(_MARGIN, middle, summary.rows_read) + text(
        _MARGIN, middle + 16, "rows read", anchor="start"
    )
    for at, outcome in enumerate(outcomes):
        y = (at + 0.5) * height / len(outcomes)
        share = f"{100 * outcome.count / max(summary.rows_read, 1):.1f}%"
        drawn += _figure(right + 10, y, outcome.count)
        drawn += text(right + 10, y + 16, f"{outcome.name}, {share}", anchor="start")
    return standalone(drawn, height, "What became of the rows read")


def _figure(x: float, y: float, number: int) -> str:
    return f'<text class="number" x="{coord(x)}" y="{coord(y)}">{number:,}</text>'


def _classes(summary: Summary, facts: RunFacts, *, selects: bool) -> str:
    """A bar for the sentences of all traces, one for those of the selected, and what their colours mean."""
    shares = findings.class_shares(summary, facts.kind)
    bars = [("all scored traces" if selects else "all traces", [each.num_all for each in shares])]
    if selects and summary.selected:
        bars.append(("selected traces", [each.num_selected for each in shares]))
    drawn = ""
    for at, (name, counts) in enumerate(bars):
        y = 52 * at + 30
        drawn += text(_MARGIN, y - 8, f"{name}: {sum(counts):,} sentences", anchor="start")
        parts = [(share.name, count) for share, count in zip(shares, counts, strict=True)]
        bar = figures.share_bar(parts, label=name)
        drawn += (
            f'<svg x="{_MARGIN}" y="{y}" width="{WIDTH - 2 * _MARGIN}" height="22" '
            f'viewBox="0 0 100 10" preserveAspectRatio="none">{bar}</svg>'
        )
    height = 52 * len(bars) + 16
    legend = [(share.name.lower(), share.name.capitalize()) for share in shares if share.num_all]
    drawn += _legend(legend, _MARGIN, height + 12)
    return standalone(drawn, height + 26, "Shares of the classes of sentences")


def _with_legend(
    chart: str, height: int, legend: Sequence[tuple[str, str]], upwards: str = ""
) -> str:
    """A figure of the report below a line that says what its marks and its y axis mean."""
    drawn = _legend(legend, LEFT, 20) + text(RIGHT, 20, upwards, anchor="end")
    drawn += f'<svg x="0" y="30" width="{WIDTH}" height="{height}">{chart}</svg>'
    return standalone(drawn, height + 34, "")


def _legend(entries: Sequence[tuple[str, str]], left: float, y: float) -> str:
    """Coloured marks with words behind them: (style, words)."""
    drawn = ""
    for at, (style, words) in enumerate(entries):
        x = left + _LEGEND_STEP * at
        drawn += f'<path class="{style}" d="{_MARKS.get(style, box)(x, y - 9, 10, 10)}"/>'
        drawn += text(x + 15, y, words, anchor="start")
    return drawn


def _diamond(x: float, y: float, width: float, _: float) -> str:
    half = coord(width / 2)
    return f"M{coord(x + width / 2)} {coord(y)}l{half} {half}-{half} {half}-{half}-{half}z"


def _circle(x: float, y: float, width: float, _: float) -> str:
    half, whole = coord(width / 2), coord(width)
    return f"M{coord(x)} {coord(y + width / 2)}a{half} {half} 0 1 0 {whole} 0a{half} {half} 0 1 0-{whole} 0"


_MARKS = {"chosen": _diamond, "others": _circle}


def standalone(content: str, height: float, label: str) -> str:
    """A drawing `WIDTH` wide as a file; content and label are numbers and fixed words alone."""
    rules = (files("rdpt_ray.publish") / "templates" / "figure.css").read_text(encoding="utf-8")
    style = (
        f":root{{{css_variables('light')}}}\n"
        f"@media (prefers-color-scheme: dark){{:root{{{css_variables('dark')}}}}}\n{rules}"
    )
    named = f' role="img" aria-label="{label}"' if label else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {coord(height)}" '
        f'width="{2 * WIDTH}" height="{coord(2 * height)}"{named}>\n<style>\n{style}</style>\n'
        f'<rect class="paper" width="100%" height="100%"/>\n{content}\n</svg>\n'
    )
