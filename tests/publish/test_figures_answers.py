"""Geometry by hand: the plot is 348 wide from x = 44, and 140 high from y = 150 up to y = 10."""

from dataclasses import replace

import pytest

from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.method.correctness_intervals import Contrast, Curve
from rdpt_ray.publish.figures_answers import axis_top, curves
from rdpt_ray.publish.findings_answers import answers

CONTRAST = Contrast(
    "TEACHER",
    correct=Curve((0.5, 1.0), (0.4, 0.9), (0.6, 1.0)),
    wrong=Curve((0.0, 0.5), (0.0, 0.25), (0.1, 0.75)),
    area=0.5,
    low=0.4,
    high=0.6,
)


@pytest.fixture
def drawn(read_page):
    def draw(contrast, top_share=1.0):
        svg = read_page(curves(contrast, top_share)).one("svg")
        return svg, {path.attrs["class"]: path.attrs["d"] for path in svg.all("path")}

    return draw


def test_lines_and_bands(drawn):
    svg, paths = drawn(CONTRAST)
    assert paths["curve teacher"] == "M131 80L305 10"
    assert paths["curve wrong"] == "M131 150L305 80"
    assert paths["band teacher"] == "M131 94L305 24L305 10L131 66Z"
    assert paths["band wrong"] == "M131 150L305 115L305 45L131 136Z"
    assert [title.text for title in svg.all("title")] == [
        "Sentence 1: right 50% (40 to 60), wrong 0% (0 to 10)",
        "Sentence 2: right 100% (90 to 100), wrong 50% (25 to 75)",
    ]
    assert "Teacher" in svg.attrs["aria-label"]


def test_a_lower_axis_stretches_the_curves(drawn):
    low = replace(
        CONTRAST, correct=Curve((0.1,), (0.05,), (0.2,)), wrong=Curve((0.2,), (0,), (0.2,))
    )
    svg, paths = drawn(low, axis_top([low]))
    assert axis_top([low]) == 0.2
    assert paths["curve teacher"] == "M44 80L392 80"
    assert [text.text for text in svg.all("text")][:3] == ["0%", "10%", "20%"]


def test_the_axis_holds_every_interval():
    assert axis_top([CONTRAST]) == 1.0
    assert axis_top([]) == 1.0


def test_curves_of_counted_traces_stay_in_the_plot(drawn, sixteen):
    for contrast in answers(count_correctness(sixteen), "curate").contrasts:
        _, paths = drawn(contrast)
        numbers = [float(n) for n in paths["curve wrong"][1:].replace("L", " ").split()]
        assert all(44 <= x <= 392 for x in numbers[::2])
        assert all(10 <= y <= 150 for y in numbers[1::2])
