"""The colours of the report and what each class means: the one place where both are decided.

Hues derive from Okabe and Ito's colour-blind-safe set, darkened on light paper until graphics have
a contrast of 3:1 and text on a tint 7:1 (WCAG 1.4.11 and 1.4.6; the test of this file measures it).
Orange and blue stand for the two models, grey for agreement. No class is told by colour alone: each
has its own underline.
"""

from dataclasses import dataclass
from typing import Literal

from rdpt_ray.method.provenance import Provenance
from rdpt_ray.method.summary import UNSCORED

Theme = Literal["light", "dark"]
Kind = Literal["curate", "trace"]


@dataclass(frozen=True, slots=True)
class Paint:
    """How one thing is drawn: `mark` in figures and underlines, `tint` behind text."""

    mark: str
    tint: str


PAPER: dict[Theme, dict[str, str]] = {
    "light": {
        "paper": "#fdfcfa",
        "panel": "#f6f4f0",
        "ink": "#1d1c1a",
        "muted": "#5f5c56",
        "rule": "#dedad2",
        "control": "#88847b",
        "selected": "#00795a",
        "rejected": "#949188",
        "quarantined": "#c4501b",
    },
    "dark": {
        "paper": "#15171a",
        "panel": "#1d2024",
        "ink": "#e9e7e2",
        "muted": "#a8a59e",
        "rule": "#33373c",
        "control": "#767b82",
        "selected": "#2fb98d",
        "rejected": "#7d8187",
        "quarantined": "#ee7c45",
    },
}
"""Page colours by name."""

CLASSES: dict[Theme, dict[str, Paint]] = {
    "light": {
        Provenance.TEACHER: Paint("#c27100", "#fce5b6"),
        Provenance.STUDENT: Paint("#0072b2", "#d3e7f6"),
        Provenance.BOOSTED: Paint("#9a3a76", "#f5d9e8"),
        Provenance.SHARED: Paint("#949188", "#efede8"),
        Provenance.COMMON: Paint("#949188", "#efede8"),
        UNSCORED: Paint("#5f5c56", "#fdfcfa"),
    },
    "dark": {
        Provenance.TEACHER: Paint("#e69f00", "#493604"),
        Provenance.STUDENT: Paint("#56b4e9", "#103a58"),
        Provenance.BOOSTED: Paint("#eda7bd", "#4f2b42"),
        Provenance.SHARED: Paint("#7d8187", "#272a2e"),
        Provenance.COMMON: Paint("#7d8187", "#272a2e"),
        UNSCORED: Paint("#a8a59e", "#15171a"),
    },
}
"""Class colours by theme. An unscored sentence has no tint: it stands on bare paper."""

LINES: dict[Theme, dict[str, str]] = {
    "light": {"teacher": "#8f5200", "student": "#00609a", "distilled": "#7a2a5c"},
    "dark": {"teacher": "#ffc04d", "student": "#7cc6f2", "distilled": "#f5c3d5"},
}
"""A model's line over the tints of classes, by role; lines differ by dashes and symbols too."""

DARK_LETTERS = frozenset({Provenance.TEACHER, Provenance.SHARED, Provenance.COMMON})
"""Classes whose letter is dark on their mark in the light theme; all others are of the paper's colour."""

ORDER: dict[Kind, tuple[str, ...]] = {
    "curate": (Provenance.TEACHER, Provenance.COMMON, Provenance.STUDENT, UNSCORED),
    "trace": (
        Provenance.TEACHER,
        Provenance.BOOSTED,
        Provenance.SHARED,
        Provenance.STUDENT,
        UNSCORED,
    ),
}
"""Classes in the order they are shown: from the teacher's to the student's."""

MEANINGS: dict[str, str] = {
    Provenance.TEACHER: "the teacher finds it clearly more likely than the student does",
    Provenance.STUDENT: "the student finds it clearly more likely, or the teacher doubts it",
    Provenance.COMMON: "both find it about equally likely",
    Provenance.SHARED: "teacher, student and distilled model agree",
    Provenance.BOOSTED: "teacher and student agree, the distilled model differs: training moved it",
    UNSCORED: "a model has no token of its own for it; never guessed",
}


def css_variables(theme: Theme) -> str:
    """The colours of a theme as CSS custom properties: --paper, --teacher, --teacher-tint, ...

    On the mark of a class stands text of --on-teacher, ...; the line of a role is --teacher-line, ...
    """
    colours = dict(PAPER[theme])
    for name, paint in CLASSES[theme].items():
        colours[name.lower()] = paint.mark
        colours[f"{name.lower()}-tint"] = paint.tint
        colours[f"on-{name.lower()}"] = letter_colour(name, theme)
    for role, colour in LINES[theme].items():
        colours[f"{role}-line"] = colour
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def letter_colour(name: str, theme: Theme) -> str:
    """The colour of a letter on the mark of a class; on an unscored one, which is drawn hollow, it is ink."""
    is_ink = name == UNSCORED or (theme == "light" and name in DARK_LETTERS)
    return PAPER[theme]["ink" if is_ink else "paper"]
