"""The trace viewer by keyboard alone."""

import pytest

from tests.browser.viewer_page import active, found, readout

pytestmark = pytest.mark.browser


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
