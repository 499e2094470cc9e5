"""What someone without a mouse, or with other eyes, needs: names, focus, contrast, room to press."""

from itertools import pairwise

import pytest

from tests.browser.viewer_page import page_of

pytestmark = pytest.mark.browser

NAMED = {
    "button", "checkbox", "combobox", "dialog", "image", "link", "listbox", "option", "region",
    "search", "searchbox", "tab", "tablist", "article", "textbox",
}  # fmt: skip


@pytest.fixture
def page(open_page, tmp_path):
    def opened(kind="curate", **options):
        return open_page(page_of(tmp_path / kind, kind=kind), **options)

    return opened


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["curate", "trace"])
def test_everything_that_can_be_used_has_a_name(page, kind, width):
    opened = page(kind, width=width)
    opened.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    tree = opened.context.new_cdp_session(opened).send("Accessibility.getFullAXTree")
    nameless = [
        (node["role"]["value"], node.get("backendDOMNodeId"))
        for node in tree["nodes"]
        if not node["ignored"]
        and node["role"]["value"] in NAMED
        and not node.get("name", {}).get("value", "").strip()
    ]
    assert nameless == []
    roles = {node["role"]["value"] for node in tree["nodes"] if not node["ignored"]}
    assert {"searchbox", "combobox", "listbox", "option", "search", "status"} <= roles


def test_ids_are_unique_and_labels_exist(page):
    opened = page()
    ids = opened.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(ids) == len(set(ids))
    for name in ("aria-labelledby", "aria-controls", "aria-describedby"):
        used = opened.evaluate(
            f"[...document.querySelectorAll('[{name}]')].map(each => each.getAttribute('{name}'))"
        )
        assert set(used) <= set(ids)


def test_headings_descend_by_one(page):
    levels = page().evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(each => Number(each.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_stop_of_the_tab_key_is_seen(page):
    opened = page()
    opened.locator("#viewer-search").focus()
    seen = []
    for _ in range(24):
        opened.keyboard.press("Tab")
        told = opened.evaluate(
            """() => {
                const style = getComputedStyle(document.activeElement);
                return [document.activeElement.id || document.activeElement.className,
                    style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
                    Boolean(document.activeElement.closest("#viewer-box"))];
            }"""
        )
        if not told[2]:
            break
        seen.append(told)
    names = [name for name, _, _ in seen]
    assert [name for name, visible, _ in seen if not visible] == []
    order = ["viewer-outcome", "viewer-sort", "viewer-direction", "viewer-help-button"]
    assert [name for name in names if name in order] == order
    assert sum(name.startswith("entry-") for name in names) == 1, "the list is one stop"
    assert sum(name.startswith("s ") for name in names) == 3, "each text is one stop"


CONTRASTS = """() => {
    const parse = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = element => {
        for (let each = element; each; each = each.parentElement) {
            const colour = parse(getComputedStyle(each).backgroundColor);
            if (colour.length === 3 || colour[3] > 0.99) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        const isSeen = node.data.trim() && element.checkVisibility();
        if (!isSeen || element.closest("svg, script, style")) continue;
        const levels = [light(parse(getComputedStyle(element).color)), light(ground(element))];
        levels.sort((a, b) => b - a);
        const ratio = (levels[0] + 0.05) / (levels[1] + 0.05);
        if (ratio < 4.5) found.push([node.data.trim().slice(0, 40), element.className, ratio]);
    }
    return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["curate", "trace"])
def test_all_text_has_enough_contrast(page, kind, theme):
    opened = page(kind, theme=theme)
    opened.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    opened.locator(".candidate.active .response .s").first.click()
    assert opened.evaluate(CONTRASTS) == []
    opened.keyboard.press("?")
    assert opened.locator("#viewer-help").is_visible()
    assert opened.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_borders_of_controls_stand_out(page, theme):
    opened = page(theme=theme)
    ratios = opened.evaluate(
        """() => {
            const parse = text => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
            return [...document.querySelectorAll(".controls :is(input, select, button)")].map(each => {
                const style = getComputedStyle(each);
                const levels = [light(parse(style.borderTopColor)), light(parse(style.backgroundColor))];
                levels.sort((a, b) => b - a);
                return (levels[0] + 0.05) / (levels[1] + 0.05);
            });
        }"""
    )
    assert len(ratios) == 7
    assert min(ratios) >= 3


@pytest.mark.parametrize("width", [1280, 400])
def test_controls_are_large_enough_to_press(page, width):
    sizes = page(width=width).evaluate(
        """() => [...document.querySelectorAll("#viewer-box :is(button, select, input, [role=tab])")]
            .filter(each => each.checkVisibility())
            .map(each => [each.id, each.getBoundingClientRect()])
            .map(([id, box]) => [id, box.height, box.width])"""
    )
    assert [each for each in sizes if each[1] < 24 or each[2] < 24] == []


def test_a_change_of_what_is_found_is_announced(page):
    opened = page()
    count = opened.locator("#viewer-count")
    assert count.get_attribute("role") == "status"
    opened.locator("#viewer-search").fill("planet")
    opened.wait_for_timeout(150)
    assert count.inner_text() == "3 of 10 traces"
