"""What the palette promises, measured: contrast after WCAG 2.2, colour blindness after Machado 2009."""

from itertools import combinations

import numpy as np
import pytest

from rdpt_ray.method.provenance import Provenance
from rdpt_ray.method.summary import UNSCORED
from rdpt_ray.publish.palette import (
    CLASSES,
    LINES,
    MEANINGS,
    ORDER,
    PAPER,
    css_variables,
    letter_colour,
)

THEMES = ["light", "dark"]

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency" (2009), severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def linear(colour):
    values = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(first, second):
    dark, light = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (first, second))
    return (light + 0.05) / (dark + 0.05)


def lab(colour, vision):
    ratio = TO_XYZ @ np.clip(vision @ linear(colour), 0, 1) / WHITE
    curve = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * curve[1] - 16, 500 * (curve[0] - curve[1]), 200 * (curve[1] - curve[2])])


def test_contrast_is_computed_as_wcag_defines_it():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_text_is_legible_on_every_ground(theme):
    page = PAPER[theme]
    for name in [*Provenance, UNSCORED]:
        ink = page["muted"] if name == UNSCORED else page["ink"]
        least = 4.5 if name == UNSCORED else 7
        assert contrast(ink, CLASSES[theme][name].tint) >= least, name
    for ground in (page["paper"], page["panel"]):
        assert contrast(page["ink"], ground) >= 7
        assert contrast(page["muted"], ground) >= 4.5
    for name in ("selected", "quarantined"):
        assert contrast(page[name], page["paper"]) >= 4.5, name


@pytest.mark.parametrize("theme", THEMES)
def test_figures_stand_out_from_the_paper(theme):
    for name, paint in CLASSES[theme].items():
        assert contrast(paint.mark, PAPER[theme]["paper"]) >= 3, name
    assert contrast(PAPER[theme]["rejected"], PAPER[theme]["paper"]) >= 3


@pytest.mark.parametrize("theme", THEMES)
def test_lines_and_letters_stand_out_from_the_classes(theme):
    for name in Provenance:
        paint = CLASSES[theme][name]
        assert contrast(letter_colour(name, theme), paint.mark) >= 4.5, name
        for role, colour in LINES[theme].items():
            assert contrast(colour, paint.tint) >= 4.5, (role, name)
    for ground in ("paper", "panel"):
        assert contrast(PAPER[theme]["control"], PAPER[theme][ground]) >= 3


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ORDER)
def test_classes_differ_for_every_kind_of_colour_vision(kind, theme, vision):
    # A difference of 2.3 is just noticeable (Mahy 1994); 17 is what this palette reaches.
    coloured = [name for name in ORDER[kind] if name != UNSCORED]
    for first, second in combinations(coloured, 2):
        marks = [lab(CLASSES[theme][name].mark, VISION[vision]) for name in (first, second)]
        assert np.linalg.norm(marks[0] - marks[1]) >= 17, (first, second)


def test_every_class_has_a_colour_and_a_meaning():
    names = {*Provenance, UNSCORED}
    assert names == MEANINGS.keys() == CLASSES["light"].keys() == CLASSES["dark"].keys()
    assert {name for order in ORDER.values() for name in order} == names


def test_css_variables_carry_the_palette():
    assert "--teacher:#c27100;--teacher-tint:#fce5b6;" in css_variables("light")
    assert css_variables("dark").startswith("--paper:#15171a;")
