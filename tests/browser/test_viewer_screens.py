"""The trace viewer on a phone, in the dark, on paper, without a script."""

import re

import pytest
from playwright.sync_api import expect

from rdpt_ray.publish.palette import LINES
from tests.browser.viewer_page import active, readout

pytestmark = pytest.mark.browser


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


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["curate", "trace"])
def test_nothing_is_wider_than_the_page(viewer, kind, width):
    page = viewer(kind=kind, width=width)
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
