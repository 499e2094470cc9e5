"""Reading a trace: its sentences, its figure, and that each points at the other."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.viewer_page import active, page_of, readout
from tests.publish.viewer_run import Told

pytestmark = pytest.mark.browser


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
