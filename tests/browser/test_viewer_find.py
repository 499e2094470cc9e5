"""What the trace viewer opens with, and how traces are found in it: search, filters, order."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.viewer_page import active, entries, found, page_of, search, titles
from tests.publish.viewer_run import Told

pytestmark = pytest.mark.browser


def test_every_trace_is_listed_and_the_clearest_winner_is_open(viewer):
    page = viewer()
    assert found(page) == "10 traces"
    assert page.locator("#viewer-list .entry").count() == 10
    assert page.locator(".messages").inner_text() == "What is two plus two?"
    assert titles(page) == ["Rank 1", "Rank 2", "Rank 3"]
    assert page.locator("#viewer-list [aria-selected=true]").count() == 1


def test_candidates_stand_side_by_side_with_why_one_won(viewer):
    page = viewer()
    boxes = [page.locator(".candidate").nth(at).bounding_box() for at in range(3)]
    assert boxes[0]["y"] == boxes[1]["y"] == boxes[2]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert boxes[1]["x"] < 1280, "the second is in sight"
    why = page.locator(".candidate .why").all_inner_texts()
    assert why[0] == "Selected: 5 Teacher sentences, first of 3; the next has 1 Teacher sentence."
    assert why[1] == "Not selected: 1 Teacher sentence; rank 1 has 5 Teacher sentences."
    badges = page.locator(".candidate .badge").all_inner_texts()
    assert badges == ["selected", "outranked", "outranked"]
    assert page.locator(".candidate .grade").all_inner_texts() == [
        "right answer", "right answer", "wrong answer",
    ]  # fmt: skip


def test_the_same_things_of_all_candidates_stand_at_the_same_height(open_page, tmp_path):
    prompts = {
        "p": [Told("TTT"), Told("TCSU" * 3), Told("C", drop_reason="filter: min_chars")],
        "q": [Told("T"), Told("C")],
    }
    page = open_page(page_of(tmp_path / "run", prompts))
    page.locator(".entry", has_text="The prompt p?").first.click()
    for part in ("header", ".why", ".tally-line", ".plot", ".readout", ".response", ".about"):
        places = page.locator(f".candidate > {part}").evaluate_all(
            "all => all.map(each => Math.round(each.getBoundingClientRect().top))"
        )
        assert len(places) == 3
        assert len(set(places)) == 1, part


def test_dropped_candidates_say_why(viewer):
    page = viewer()
    search(page, "planet")
    assert titles(page) == ["Rank 1", "Not ranked", "Not ranked"]
    why = page.locator(".candidate .why").all_inner_texts()
    assert why[1].startswith("Not selected: its reasoning was cut off or never closed")
    assert why[2].startswith("Not selected: could not win any more")
    assert (
        page.locator(".candidate")
        .nth(2)
        .locator(".tally-line")
        .inner_text()
        .endswith("Teacher sentences are unknown")
    )


def test_a_four_way_run_has_three_lines_and_nothing_about_selection(viewer):
    page = viewer(kind="trace")
    assert page.locator("#viewer-outcome").is_hidden()
    options = page.locator("#viewer-sort option").all_inner_texts()
    assert options == ["Teacher sentences", "Share of Teacher", "Length"]
    assert active(page).locator(".plot .role").count() == 3
    assert not re.search(r"\b(selected|rejected|rank)\b", page.locator("#viewer-box").inner_text())


SEARCHES = {
    "jupiter": ["Which planet is the largest?"],
    "SATURN jupiter": ["Which planet is the largest?"],
    "saturn venus": [],
    '"jupiter is large"': ["Which planet is the largest?"],
    '"large jupiter"': [],
    "tied-1": ["Say something."],
    "two plus two": ["What is two plus two?"] * 3,
    "<script>": [],
}


def test_search_finds_texts_prompts_and_ids(viewer):
    page = viewer()
    for query, prompts in SEARCHES.items():
        search(page, query)
        assert entries(page) == prompts, query
        if prompts:
            assert page.locator(".messages").inner_text() == prompts[0]
        else:
            assert page.locator("#viewer-list").inner_text() == "No trace is like that."


def test_what_is_searched_for_is_marked_in_the_text(viewer):
    page = viewer()
    search(page, "jupiter")
    marked = "[...CSS.highlights.get('found')].map(range => range.toString())"
    assert page.evaluate(marked) == ["Jupiter", "Jupiter"]
    search(page, "")
    assert page.evaluate(marked) == []


FILTERS = {
    ("outcome", "selected"): 4,
    ("outcome", "rejected"): 6,
    ("outcome", "=outranked"): 4,
    ("outcome", "=filter: complete"): 1,
    ("outcome", "=pruned"): 1,
    ("sentences", "S"): 2,
    ("sentences", "U"): 2,
    ("answer", "right"): 2,
    ("answer", "wrong"): 2,
    ("answer", "unknown"): 6,
    ("model", "-teacher"): 1,
    ("model", "+student"): 10,
}


def test_filters_and_the_numbers_beside_them(viewer):
    page = viewer()
    for (control, value), count in FILTERS.items():
        select = page.locator(f"#viewer-{control}")
        label = select.locator(f'option[value="{value}"]').inner_text()
        assert label.endswith(f"({count})")
        select.select_option(value)
        assert found(page) == (f"{count} of 10 traces" if count < 10 else "10 traces"), value
        assert page.locator("#viewer-list .entry").count() == count
        if count < 10:
            page.get_by_role("button", name="show all").click()
            assert found(page) == "10 traces"


def test_filters_hold_together(viewer):
    page = viewer()
    page.locator("#viewer-outcome").select_option("rejected")
    page.locator("#viewer-answer").select_option("wrong")
    search(page, "two")
    assert found(page) == "1 of 10 traces"
    assert active(page).locator("h4").inner_text() == "Rank 3"


def test_sorting_both_ways(viewer):
    page = viewer()

    def numbers(sort):
        page.locator("#viewer-sort").select_option(sort)
        if sort == "teacher":
            shown = page.locator(".entry-head").all_inner_texts()
            return [int(found[0]) for text in shown if (found := re.findall(r"(\d+) of", text))]
        shown = page.locator(".entry-side").all_inner_texts()
        return [float(text.rstrip("% chars").replace(",", "")) for text in shown if text]

    downwards = {sort: numbers(sort) for sort in ("teacher", "share", "length", "score")}
    for sort, values in downwards.items():
        assert values == sorted(values, reverse=True), sort
        assert len(values) >= 8
    page.get_by_role("button", name="largest first").click()
    for sort, values in downwards.items():
        assert numbers(sort) == sorted(values)
    # What has no number is last either way.
    page.locator("#viewer-sort").select_option("teacher")
    assert page.locator(".entry-head").last.inner_text().startswith("Teacher unknown")


def test_more_entries_come_as_one_scrolls(open_page, tmp_path):
    prompts = {f"p{n:03}": [Told("T" * (1 + n % 5)), Told("C")] for n in range(150)}
    page = open_page(page_of(tmp_path / "run", prompts))
    assert found(page) == "300 traces"
    assert page.locator(".entry").count() == 60
    page.locator("#viewer-list").evaluate("list => { list.scrollTop = list.scrollHeight; }")
    expect(page.locator(".entry")).to_have_count(120)


def test_a_sample_says_so_and_each_prompt_why_it_is_shown(open_page, tmp_path):
    prompts = {f"p{n:03}": [Told("TT"), Told("C")] for n in range(60)}
    page = open_page(page_of(tmp_path / "run", prompts, max_traces=20, total=1_203_554))
    words = page.locator("#traces .words").inner_text()
    assert "20 of 1,203,554 traces are here" in words
    assert "no random sample" in words
    notes = page.locator(".prompt-title small").inner_text()
    assert re.search(r"drawn at random|shown because", notes)
