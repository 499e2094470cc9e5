"""The trace viewer in a real browser: finding, reading, keys, the figure and the text it is linked with."""

import re

import pytest
from playwright.sync_api import expect

from rdpt_ray.publish.palette import LINES
from tests.browser.viewer_page import page_of
from tests.publish.viewer_run import Told

pytestmark = pytest.mark.browser


@pytest.fixture
def viewer(open_page, tmp_path):
    """Open a page and go to its viewer."""

    def opened(*, kind="curate", **options):
        page = open_page(page_of(tmp_path / kind, kind=kind), **options)
        page.locator("#traces").scroll_into_view_if_needed()
        return page

    return opened


def entries(page):
    return page.locator("#viewer-list .entry .entry-prompt").all_inner_texts()


def found(page):
    return page.locator("#viewer-count").inner_text()


def titles(page):
    return page.locator(".candidate h4").all_inner_texts()


def search(page, text):
    page.locator("#viewer-search").fill(text)
    page.wait_for_timeout(150)


def active(page):
    return page.locator(".candidate.active")


def readout(page):
    return " ".join(active(page).locator(".readout").inner_text().split())


# ---- what is there


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


# ---- finding


@pytest.mark.parametrize(
    ("query", "prompts"),
    [
        ("jupiter", ["Which planet is the largest?"]),
        ("SATURN jupiter", ["Which planet is the largest?"]),
        ("saturn venus", []),
        ('"jupiter is large"', ["Which planet is the largest?"]),
        ('"large jupiter"', []),
        ("tied-1", ["Say something."]),
        ("two plus two", ["What is two plus two?"] * 3),
        ("<script>", []),
    ],
)
def test_search_finds_texts_prompts_and_ids(viewer, query, prompts):
    page = viewer()
    search(page, query)
    assert entries(page) == prompts
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


@pytest.mark.parametrize(
    ("control", "value", "count"),
    [
        ("outcome", "selected", 4),
        ("outcome", "rejected", 6),
        ("outcome", "=outranked", 4),
        ("outcome", "=filter: complete", 1),
        ("outcome", "=pruned", 1),
        ("sentences", "S", 2),
        ("sentences", "U", 2),
        ("answer", "right", 2),
        ("answer", "wrong", 2),
        ("answer", "unknown", 6),
        ("model", "-teacher", 1),
        ("model", "+student", 10),
    ],
)
def test_filters_and_the_numbers_beside_them(viewer, control, value, count):
    page = viewer()
    select = page.locator(f"#viewer-{control}")
    label = select.locator(f'option[value="{value}"]').inner_text()
    assert label.endswith(f"({count})")
    select.select_option(value)
    assert found(page) == (f"{count} of 10 traces" if count < 10 else "10 traces")
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


# ---- reading


def test_pointing_at_a_sentence_shows_its_probabilities(viewer):
    page = viewer()
    assert readout(page).startswith("All 6 sentences, on average teacher 0.83 student 0.16")
    sentence = active(page).locator(".response .s").nth(1)
    sentence.hover()
    assert readout(page) == (
        "Sentence 2 of 6 Teacher teacher 0.90 student 0.10 teacher \u2212 student +0.80 (beta 0.1)"
    )
    assert "on" in sentence.get_attribute("class").split()
    page.locator("#viewer-prompt").hover()
    assert readout(page).startswith("All 6 sentences")


def test_the_figure_points_at_the_sentence_and_the_sentence_at_the_figure(viewer):
    page = viewer()
    figure = active(page).locator(".plot svg")
    box = figure.bounding_box()
    figure.hover(position={"x": 30 + (box["width"] - 36) * 3.5 / 6, "y": 60})
    assert readout(page).startswith("Sentence 4 of 6")
    assert active(page).locator(".response .s.on").inner_text() == "Sentence 3 is T."
    # And back: the column under the pointer is where the figure was pointed at.
    column = active(page).locator(".pointer .column").bounding_box()
    assert (
        column["x"]
        <= box["x"] + 30 + (box["width"] - 36) * 3.5 / 6
        <= column["x"] + column["width"]
    )
    active(page).locator(".response .s").nth(0).hover()
    moved = active(page).locator(".pointer .column").bounding_box()
    assert moved["x"] < column["x"]
    assert active(page).locator(".pointer .symbol").count() == 2


def test_a_click_on_the_figure_pins_the_sentence(viewer):
    page = viewer()
    box = active(page).locator(".plot svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 10, box["y"] + 60)
    page.locator("#viewer-prompt").hover()
    assert readout(page).startswith("Sentence 6 of 6 Teacher pinned")
    assert active(page).locator(".response [aria-selected=true]").inner_text() == "Sentence 5 is T."


def test_the_background_has_the_classes_and_letters(viewer):
    page = viewer()
    grounds = active(page).locator(".plot .ground")
    assert grounds.evaluate_all("nodes => nodes.map(node => node.getAttribute('class'))") == [
        "ground common", "ground teacher",
    ]  # fmt: skip
    widths = grounds.evaluate_all("nodes => nodes.map(node => node.getBBox().width)")
    assert widths[1] == pytest.approx(5 * widths[0], rel=0.01)
    assert active(page).locator(".plot .letter").all_text_contents() == ["T"] * 5


def test_long_texts_scroll_in_their_box_and_the_page_stays(open_page, tmp_path):
    texts = [f"This is sentence {n} of a long response.\n" for n in range(200)]
    prompts = {"p": [Told("TC" * 100, texts=texts), Told("C")]}
    page = open_page(page_of(tmp_path / "run", prompts))
    page.locator("#viewer-box").scroll_into_view_if_needed()
    active(page).locator(".plot svg").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    box = active(page).locator(".plot svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 7, box["y"] + 60)
    last = active(page).locator(".response .s").last
    assert "on" in last.get_attribute("class").split()
    text = active(page).locator(".response").bounding_box()
    place = last.bounding_box()
    assert text["y"] <= place["y"]
    assert place["y"] + place["height"] <= text["y"] + text["height"]
    assert page.evaluate("scrollY") == before


def test_what_is_left_out_is_said_and_numbers_go_on(open_page, tmp_path):
    texts = [f"{n:04}" + "x" * 100 + ". " for n in range(900)]
    page = open_page(page_of(tmp_path / "run", {"p": [Told("TC" * 450, texts=texts)]}))
    note = active(page).locator(".response > .cut").inner_text()
    left_out, chars = (int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d", note))
    assert chars == left_out * 106
    sentences = active(page).locator(".response .s")
    assert sentences.count() + left_out == 900
    sentences.last.hover()
    assert readout(page).startswith("Sentence 900 of 900 Common")
    assert active(page).locator(".plot .gap").count() == 1
    assert "1 long one is cut" in page.locator("#traces .words").inner_text()


def test_a_link_leads_to_a_trace(open_page, tmp_path):
    page = open_page(page_of(tmp_path / "run"), hash="#trace=tied-1")
    assert page.locator(".messages").inner_text() == "Say something."
    assert active(page).locator("h4").inner_text() == "Rank 2"
    active(page).locator("summary").click()
    assert active(page).locator(".about a").get_attribute("href") == "#trace=tied-1"
    page.get_by_role("link", name="Read them side by side").click()
    expect(page.locator(".messages")).to_have_text("What is two plus two?")


def test_about_a_trace(viewer):
    page = viewer()
    active(page).locator("summary").click()
    facts = dict(
        zip(
            active(page).locator(".about dt").all_inner_texts(),
            active(page).locator(".about dd").all_inner_texts(),
            strict=True,
        )
    )
    assert facts == {
        "trace": "clear-0",
        "from": "traces.parquet, row 1,000",
        "candidate": "0",
        "length": "102 characters",
        "selection_score": "5",
        "teacher": "big",
    }


# ---- keys


def focused(page):
    return page.evaluate("document.activeElement.textContent")


def test_slash_j_k_and_the_list(viewer):
    page = viewer()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "viewer-search"
    page.keyboard.type("jk?t")  # typed, not obeyed
    page.wait_for_timeout(150)
    assert page.locator("#viewer-search").input_value() == "jk?t"
    assert not page.locator("#viewer-help").is_visible()
    page.keyboard.press("Escape")
    assert found(page) == "10 traces"
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    order = page.locator(".entry").evaluate_all("nodes => nodes.map(node => node.id)")
    current = ".entry[aria-selected=true]"
    start = order.index(page.locator(current).get_attribute("id"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator(current).get_attribute("id") == order[start + 2]
    page.keyboard.press("k")
    assert page.locator(current).get_attribute("id") == order[start + 1]
    assert page.evaluate("document.activeElement.id") == order[start + 1]
    page.keyboard.press("End")
    assert page.locator(current).get_attribute("id") == order[-1]
    page.keyboard.press("ArrowUp")
    assert page.locator(current).get_attribute("id") == order[-2]
    page.keyboard.press("Home")
    assert page.locator(current).get_attribute("id") == order[0]


def test_arrows_move_between_sentences_and_tell_their_probabilities(viewer):
    page = viewer()
    active(page).locator(".response .s").first.focus()
    assert readout(page).startswith("Sentence 1 of 6 Common")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "Sentence 2 is T."
    assert readout(page).startswith("Sentence 3 of 6 Teacher teacher 0.90 student 0.10")
    told = page.locator("#viewer-told").inner_text()
    assert told == "Teacher. Probability: teacher 0.90, student 0.10. Sentence 3 of 6."
    page.keyboard.press("End")
    assert focused(page) == "Sentence 5 is T."
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Sentence 5 is T."
    page.keyboard.press("Home")
    page.keyboard.press("t")
    assert focused(page) == "Sentence 1 is T."
    page.keyboard.press("t")
    page.keyboard.press("T")
    assert focused(page) == "Sentence 1 is T."
    assert page.locator(".candidate .response [tabindex='0']").count() == 3, (
        "one stop for Tab per text"
    )


def test_enter_pins_and_escape_unpins(viewer):
    page = viewer()
    active(page).locator(".response .s").nth(2).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    assert readout(page).startswith("Sentence 4 of 6")
    page.locator("#viewer-search").focus()
    assert readout(page).startswith("Sentence 3 of 6 Teacher pinned")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    assert readout(page).startswith("All 6 sentences")


def test_shift_and_an_arrow_lead_to_the_candidate_beside(viewer):
    page = viewer()
    active(page).locator(".response .s").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert active(page).locator("h4").inner_text() == "Rank 2"
    assert focused(page) == "Sentence 0 is T."
    page.keyboard.press("j")
    assert active(page).locator("h4").inner_text() == "Rank 3"
    assert focused(page) == "Sentence 0 is C.", "who reads on stays in the text"
    page.keyboard.press("Shift+ArrowLeft")
    assert active(page).locator("h4").inner_text() == "Rank 2"


def test_help_lists_the_keys_and_letters_can_be_switched_off(viewer):
    page = viewer()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys of the trace viewer")
    assert dialog.is_visible()
    page.keyboard.press("j")  # not while it is open
    dialog.get_by_role("checkbox").uncheck()
    dialog.get_by_role("button", name="Close").click()
    before = page.locator(".entry[aria-selected=true]").get_attribute("id")
    page.keyboard.press("j")
    page.keyboard.press("/")
    assert page.locator(".entry[aria-selected=true]").get_attribute("id") == before
    page.get_by_role("button", name="Keys ?").click()
    dialog.get_by_role("checkbox").check()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    assert page.locator(".entry[aria-selected=true]").get_attribute("id") != before


# ---- narrow, dark, paper, no script


def test_on_a_phone_candidates_are_tabs(viewer):
    page = viewer(width=400)
    assert page.locator(".candidate:visible").count() == 1
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["\u25c6 Rank 1", "Rank 2", "Rank 3"]
    tabs.nth(1).click()
    assert page.locator(".candidate:visible h4").inner_text() == "Rank 2"
    assert active(page).locator(".plot svg").bounding_box()["width"] > 250
    page.keyboard.press("ArrowRight")
    assert tabs.nth(2).get_attribute("aria-selected") == "true"
    page.locator(".entry").nth(5).click()
    expect(page.locator("#viewer-reader")).to_be_in_viewport()
    active(page).locator(".response .s").first.click()
    assert "pinned" in readout(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["curate", "trace"])
def test_nothing_is_wider_than_the_page(viewer, kind, width, theme):
    page = viewer(kind=kind, width=width, theme=theme)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """width => [...document.querySelectorAll("#viewer-box *")]
            .filter(element => !element.closest(".scroll, .candidates, .tabs, dialog:not([open])"))
            .filter(element => element.getBoundingClientRect().right > width + 0.5)
            .map(element => element.outerHTML.slice(0, 120))""",
        width,
    )
    assert outside == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_lines_differ_by_colour_dashes_and_symbols(viewer, theme):
    page = viewer(kind="trace", theme=theme)
    looks = {}
    for role in ("teacher", "student", "distilled"):
        line = active(page).locator(f".plot .{role}-line").first
        stroke, dashes = line.evaluate(
            "path => [getComputedStyle(path).stroke, getComputedStyle(path).strokeDasharray]"
        )
        red, green, blue = (int(LINES[theme][role][at : at + 2], 16) for at in (1, 3, 5))
        assert stroke == f"rgb({red}, {green}, {blue})"
        symbol = page.locator(f".key-line .{role}-symbol").first.get_attribute("d")
        looks[role] = (dashes, re.sub(r"[\d. -]+", "", symbol))
    assert len({dashes for dashes, _ in looks.values()}) == 3
    assert len({symbol for _, symbol in looks.values()}) == 3


def test_nothing_moves_for_who_wants_no_motion(viewer):
    page = viewer(reduced_motion="reduce")
    moving = page.evaluate(
        """[...document.querySelectorAll("#viewer-box *")]
            .filter(element => parseFloat(getComputedStyle(element).transitionDuration) > 0).length"""
    )
    assert moving == 0


def test_on_paper_all_candidates_are_whole_and_controls_are_gone(viewer):
    page = viewer(width=400)
    page.emulate_media(media="print")
    assert page.locator(".candidate:visible").count() == 3
    assert page.locator(".finder").is_hidden()
    assert page.locator(".tabs").is_hidden()
    style = "element => getComputedStyle(element).maxHeight"
    assert page.locator(".candidate .response").first.evaluate(style) == "none"


def test_without_javascript_the_rest_of_the_page_reads(viewer):
    page = viewer(java_script_enabled=False)
    assert page.locator("#viewer-box").is_hidden()
    assert (
        page.locator("#traces noscript")
        .inner_text()
        .startswith("The trace viewer needs JavaScript")
    )
    assert page.locator("#how tbody tr").count() == 3
    assert "10 rows read = 4 selected + 6 rejected" in page.locator("#outcome").inner_text()
    page.locator("#extremes > details > summary").click()
    assert page.locator("#most article").is_visible()
