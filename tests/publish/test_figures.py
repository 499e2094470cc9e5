"""Geometry by hand. Charts: the plot is 348 wide, from x = 44 to x = 392."""

import re

import pytest

from rdpt_ray.method.summary import Point
from rdpt_ray.publish import figures
from rdpt_ray.publish.findings import Outcome, Position


@pytest.fixture
def svg(read_page):
    return lambda markup: read_page(markup).one("svg")


def test_ribbons_are_as_thick_as_the_counts(svg):
    drawing = svg(
        figures.flow([Outcome("selected", 30), Outcome("rejected", 60), Outcome("quarantined", 10)])
    )
    # Three slots of 100/3; the source is 0.8 of a slot = 26.67 thick, centred on 50.
    thickness = {}
    for path in drawing.all("path"):
        top, bottom = map(
            float, re.match(r"M0 (\S+?)C.*V\S+C.* 0 (\S+)Z", path.attrs["d"]).groups()
        )
        thickness[path.attrs["class"]] = (top, bottom)
    assert thickness == {
        "selected": (36.67, 44.67),
        "rejected": (44.67, 60.67),
        "quarantined": (60.67, 63.33),
    }


def test_no_ribbon_without_rows(svg):
    outcomes = [Outcome("selected", 0), Outcome("rejected", 0), Outcome("quarantined", 3)]
    assert [path.attrs["class"] for path in svg(figures.flow(outcomes)).all("path")] == [
        "quarantined"
    ]
    assert not list(svg(figures.flow([Outcome("selected", 0)])).all("path"))


def test_a_bar_is_cut_into_shares(svg):
    drawing = svg(figures.share_bar([("TEACHER", 1), ("COMMON", 0), ("STUDENT", 3)], label="all"))
    assert [
        (rect.attrs["class"], rect.attrs["x"], rect.attrs["width"]) for rect in drawing.all("rect")
    ] == [
        ("teacher", "0", "25"),
        ("student", "25", "75"),
    ]


def test_a_strip_has_a_cell_for_each_sentence(svg):
    drawing = svg(figures.strip(["TEACHER", "COMMON", "TEACHER", "UNSCORED"]))
    # A cell is 25 wide, 0.6 of it gap.
    assert {path.attrs["class"]: path.attrs["d"] for path in drawing.all("path")} == {
        "teacher": "M0 0h24.4v10h-24.4zM50 0h24.4v10h-24.4z",
        "common": "M25 0h24.4v10h-24.4z",
        "unscored": "M75 0h24.4v10h-24.4z",
    }
    assert drawing.attrs["aria-label"].startswith("4 sentences")


def test_columns_by_position(svg):
    names = ["TEACHER", "COMMON", "UNSCORED"]
    drawing = svg(figures.by_position([Position(1, (5, 5, 0)), Position(2, (0, 4, 1))], names))
    # Two columns of 174 with a gap of 1.5; the plot is 160 high, from y = 170 up to y = 10.
    assert {
        path.attrs["class"]: path.attrs["d"]
        for path in drawing.all("path")
        if path.attrs["class"] != "grid"
    } == {
        "teacher": "M44.75 90h172.5v80h-172.5z",
        "common": "M44.75 10h172.5v80h-172.5zM218.75 42h172.5v128h-172.5z",
        "unscored": "M218.75 10h172.5v32h-172.5z",
        # Ten traces reach the first sentence, five the second: 36 and 18 high, standing on y = 222.
        "reach": "M44.75 186h172.5v36h-172.5zM218.75 204h172.5v18h-172.5z",
    }
    assert [title.text for title in drawing.all("title")] == [
        "Sentence 1: 10 traces. Teacher 50%, Common 50%",
        "Sentence 2: 5 traces. Common 80%, Unscored 20%",
    ]
    labels = [text.text for text in drawing.all("text")]
    assert labels == ["0%", "50%", "100%", "10", "0", "1", "2", "sentence of the response"]


def test_marks_stand_at_length_and_teacher_count(svg):
    points = [Point("a", 100, 9, 10, True), Point("b", 50, 9, 0, False)]
    drawing = svg(figures.teacher_by_length(points))
    # The axes end at 105 and 10.5; the plot is 202 high, from y = 212 up to y = 10.
    diamond = drawing.one("g", "chosen").one("path").attrs["d"]
    circle = drawing.one("g", "others").one("circle").attrs
    x, y = map(float, re.match(r"M(\S+) (\S+?)l", diamond).groups())
    assert x == pytest.approx(44 + 348 * 100 / 105, abs=0.01)
    assert y + 3.6 == pytest.approx(212 - 202 * 10 / 10.5, abs=0.01)
    assert float(circle["cx"]) == pytest.approx(44 + 348 * 50 / 105, abs=0.01)
    assert circle["cy"] == "212"


def test_all_marks_are_circles_where_nothing_is_selected(svg):
    drawing = svg(figures.teacher_by_length([Point("a", 9, 3, 1, True)], selects=False))
    assert not list(drawing.one("g", "chosen").all("path"))
    assert len(list(drawing.one("g", "others").all("circle"))) == 1


def test_one_endless_trace_does_not_flatten_the_plot(svg):
    points = [Point(str(number), 100, 9, 5, False) for number in range(99)]
    drawing = svg(figures.teacher_by_length([*points, Point("x", 200_000, 9, 5, False)]))
    *usual, endless = [float(circle.attrs["cx"]) for circle in drawing.all("circle")]
    assert set(usual) == {round(44 + 348 / 1.05, 2)}
    assert endless == 392


@pytest.mark.parametrize("counts", [(0, 0), (1, 1), (1, 10**9), (3, 7)])
def test_every_mark_lies_in_the_plot(svg, counts):
    points = [Point(str(number), number, 1, number, False) for number in counts]
    for circle in svg(figures.teacher_by_length(points)).all("circle"):
        assert 44 <= float(circle.attrs["cx"]) <= 392
        assert 10 <= float(circle.attrs["cy"]) <= 212


def test_long_traces_make_narrow_columns_with_few_labels(svg):
    positions = [Position(number, (1, 1)) for number in range(1, 201)]
    drawing = svg(figures.by_position(positions, ["TEACHER", "COMMON"]))
    ticks = [text.text for text in drawing.all("text") if text.text.isdigit()]
    assert ticks == ["2", "0", "1", "50", "100", "150", "200"]
