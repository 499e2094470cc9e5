"""What stands around the figures: the run in short, contents, method, cost."""

from dataclasses import replace

import pytest

from rdpt_ray.publish.facts import RoleCost, SessionFacts
from rdpt_ray.publish.findings_cost import duration
from rdpt_ray.publish.report import render_report


@pytest.fixture
def page(read_page):
    return lambda summary, facts: read_page(render_report(summary, facts))


def cells(table):
    """A table's body, row by row."""
    return [
        [cell.text for cell in row.all() if cell.tag in ("th", "td")]
        for row in table.one("tbody").all("tr")
    ]


def tiles(element):
    return {tile.one("dt").text: tile.one("dd").text for tile in element.one("dl").all("div")}


def test_cost_where_nothing_counted_the_starts(page, summary, facts):
    cost = page(summary, facts).by_id("cost")
    assert tiles(cost) == {
        "from start to end": "12.3 s",
        "tokens read": "50,000",
        "readings found in the store": "50.0%",
    }
    unknown = "\u2013"
    assert cells(cost) == [
        ["student", "1,280", "0", "50,000", unknown, unknown, "8,123", unknown],
        ["teacher", "0", "1,280", "0", unknown, unknown, unknown, unknown],
    ]


def test_cost_over_all_starts(page, summary, facts):
    costs = (
        RoleCost("student", 12, 1300, 52_000, 20.5, 20),
        RoleCost("teacher", 12, 900, 10_000, 100.0, 36),
    )
    several = replace(facts, sessions=SessionFacts(3, costs, damaged=2))
    cost = page(summary, several).by_id("cost")
    assert tiles(cost) == {
        "from start to end, the last start": "12.3 s",
        "of actors, over all starts": "2 min 0 s",
        "tokens read": "62,000",
        "readings found in the store": "50.0%",
    }
    assert cells(cost) == [
        ["student", "1,300", "0", "52,000", "20.5", "2,537", "8,123", "20"],
        ["teacher", "900", "1,280", "10,000", "100.0", "100", "\u2013", "36"],
    ]
    assert "Started 3 times; 56 of 2,200 readings of a trace were made again" in cost.text
    assert "2 damaged files of the store" in cost.text
    once = page(summary, replace(facts, sessions=SessionFacts(1, costs))).by_id("cost")
    assert "Started once;" in once.text
    assert "damaged" not in once.text


def test_the_run_in_short(page, summary, facts):
    assert [item.text for item in page(summary, facts).one("ul", "short").all("li")] == [
        "9 rows came in, of 2 prompts; 2 traces were kept, 4 rejected, 3 unusable rows set aside.",
        "A kept response has 1.50 Teacher sentences on average, against 0.83 over all that were scored.",
        "Length goes with that: 3.5 sentences against 2.5.",
    ]


def test_the_contents_name_the_sections_that_are_there(page, summary, analysed, facts):
    def listed(found):
        whole = page(found, facts)
        links = [link.attrs["href"] for link in whole.one("nav", "contents").all("a")]
        assert all(whole.by_id(link[1:]) for link in links)
        return [link[1:] for link in links]

    shown = ["outcome", "classes", "how", "position", "length"]
    shown += ["beta", "policies", "answers", "cost", "extremes", "run"]
    assert listed(analysed) == shown
    analysed.sensitivity = analysed.comparison = analysed.correctness = None
    assert listed(analysed) == [
        name for name in shown if name not in ("beta", "policies", "answers")
    ]


def test_the_method_is_told_with_the_numbers_of_the_run(page, summary, traced, facts):
    how = page(summary, facts).by_id("how").text
    assert "above the student by more than 0.15" in how
    assert "the response with the most Teacher sentences is selected" in how
    how = page(traced, replace(facts, kind="trace", policy=None, alpha=0.05)).by_id("how").text
    assert "no two of the three differ by more than 0.05" in how
    assert "selected" not in how


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "\u2013"),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (123_456, "34 h 17 min"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
