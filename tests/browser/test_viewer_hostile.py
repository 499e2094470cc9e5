"""Whatever a dataset holds is text in the viewer: in every field, through every control."""

import pytest

from rdpt_ray.publish.untrusted import visible
from tests.browser.viewer_page import entries, found, page_of, search
from tests.publish.viewer_run import Told

pytestmark = pytest.mark.browser

HOSTILE = [
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 1</script>",
    "</ScRiPt ><img src=x onerror='window.pwned = 1'>",
    "<!--<script>",
    "--><!--]]><![CDATA[",
    "</style><style>* { display: none }</style>",
    "</title></textarea></noscript><svg onload='window.pwned = 1'>",
    '" autofocus onfocus="window.pwned = 1" x="',
    "javascript:window.pwned=1//",
    "data:text/html,<script>window.pwned=1</script>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<base href='http://127.0.0.1:9/'><a href='http://127.0.0.1:9/'>x</a>",
    "{{ 7 * 7 }}{% raw %}${7*7}#{7*7}",
    "&lt;script&gt;&amp;#60;",
    "\\u003cscript\\u003e \\x3c \\",
    "`${window.pwned = 1}`",
    "constructor __proto__ toString",
    "../../../etc/passwd",
    "..\\..\\C:\\CON|NUL?*",
    "https://user:secret@host/path?token=secret#fragment",
    "#trace=%3Cscript%3E",
    "abc\u202egnp.exe\u2066\u2069\u200f\ufeff",
    "nul\0 bell\x07 esc\x1b[31m",
    "line\u2028paragraph\u2029end",
    "tags \U000e0041 zero\u200bwidth",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 <b>bold</b>",
    "Z\u0351\u036b\u0343\u036a\u0302a\u0315\u0358\u0321l\u0334g\u0335o",
    '"unbalanced [ ( * ? + \\ quotes',
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u0130\u0049\u0307",
]


def everywhere(text):
    """A run that holds the text in every field that an input can fill."""
    facts = dict.fromkeys(("file", "reference_answer", "teacher_name", "source", "license"), text)
    first = Told("TC", texts=[text, " End."], trace_id=text, facts=facts)
    second = Told("C", texts=[text], trace_id=f"{text}2", drop_reason=text, facts=facts)
    other = {**facts, "teacher_name": "another"}
    return {
        (text, ((text, text), ("user", text))): [first, second],
        (f"other {text}", text): [Told("T", facts=other), Told("S", correct=False)],
    }


EVERYTHING = """async () => {
    const wait = time => new Promise(done => setTimeout(done, time));
    const texts = (node, selector) => [...node.querySelectorAll(selector)].map(each => each.textContent);
    const list = document.querySelector("#viewer-list");
    for (let before = -1; before !== list.children.length; await wait(60)) {
        before = list.children.length;
        list.scrollTop = list.scrollHeight;
    }
    const tags = new Set(), seen = [];
    for (const entry of [...list.querySelectorAll(".entry")]) {
        entry.click();
        const card = document.querySelector(".candidate.active");
        seen.push({
            response: card.querySelector(".response").textContent,
            messages: texts(document, ".message .text"),
            facts: texts(card, ".about dd"),
            href: card.querySelector(".about a").getAttribute("href"),
        });
        document.querySelectorAll(".about").forEach(each => { each.open = true; });
        document.querySelectorAll(".candidate .response .s").forEach(each => { each.focus(); each.click(); });
        document.querySelectorAll("*").forEach(each => tags.add(each.localName));
    }
    for (const select of document.querySelectorAll(".controls select")) {
        for (const option of [...select.options].reverse()) {
            select.value = option.value;
            select.dispatchEvent(new Event("change"));
        }
    }
    return [seen, [...tags]];
}"""
"""Press all that can be pressed; what was seen of each trace, and every element's name."""

TAGS = """
    a article b bdi body br button circle code data dd details dialog div dl dt em figcaption figure footer g
    h1 h2 h3 h4 head header html input kbd label li main meta nav noscript ol option p path rect script
    section select small span style summary svg table tbody td text tfoot th thead title tr ul
""".split()


@pytest.fixture
def hostile_page(open_page, tmp_path):
    prompts = {key: told for text in HOSTILE for key, told in everywhere(text).items()}
    every = " ".join(HOSTILE)
    return open_page(page_of(tmp_path / "run", prompts, name=every, run_id=every, policy=every))


def test_hostile_text_is_shown_and_never_obeyed(hostile_page):
    seen, tags = hostile_page.evaluate(EVERYTHING)
    assert len(seen) == 4 * len(HOSTILE)
    assert set(tags) <= set(TAGS)
    assert hostile_page.locator("script").count() == 2
    assert hostile_page.locator("style").count() == 1
    by_response = {each["response"]: each for each in seen}
    for text in HOSTILE:
        shown = by_response[f"{visible(text)} End."]
        assert shown["messages"] == [visible(text)] * 2
        assert " ".join(visible(text).split()) in shown["facts"]
        assert shown["href"].startswith("#trace=")
        assert not set('<>" ') & set(shown["href"])
    hostile_page.wait_for_load_state("networkidle")  # half a second in which nothing is asked for
    assert hostile_page.evaluate("window.pwned") is None


def test_hostile_text_is_searched_for_as_it_is(hostile_page):
    for text in HOSTILE:
        if "<U+" in visible(text):
            continue
        search(hostile_page, text)
        assert visible(text) in [" ".join(each.split()) for each in entries(hostile_page)], text
    search(hostile_page, "End.")
    assert found(hostile_page) == f"{len(HOSTILE)} of {4 * len(HOSTILE)} traces"
    assert hostile_page.evaluate("window.pwned") is None


def test_a_link_to_a_trace_of_any_name_opens_it(open_page, tmp_path):
    text = "<b>%&#?/ \u00e9"
    page = open_page(page_of(tmp_path / "run", everywhere(text)))
    page.locator(".entry").last.click()
    page.locator(".entry").first.click()
    link = page.locator(".candidate .about a").first
    page.locator(".candidate .about").first.evaluate("each => { each.open = true; }")
    before = link.inner_text()
    page.locator(".entry").last.click()
    page.evaluate("href => { location.hash = href; }", link.get_attribute("href") or "")
    page.evaluate("id => { location.hash = '#trace=' + encodeURIComponent(id); }", before)
    page.wait_for_timeout(100)
    page.locator(".candidate.active .about").evaluate("each => { each.open = true; }")
    assert page.locator(".candidate.active .about a").inner_text() == before


def test_a_sentence_of_a_megabyte_is_cut(open_page, tmp_path):
    told = Told("TC", texts=["<b>" + "x" * 1_000_000 + ". ", "End."])
    page = open_page(page_of(tmp_path / "run", {("p", "y" * 1_000_000): [told]}), width=400)
    sentence = page.locator(".candidate .response .s").first
    assert sentence.inner_text().endswith("[996,005 characters left out]")
    assert page.locator(".message .text").inner_text().endswith("[992,000 characters left out]")
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_even_injected_markup_would_not_run(browser, tmp_path):
    hole = (
        "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
        "<p id=hole style='color: red' onclick='window.pwned = 1'>x</p></main>"
    )
    path = tmp_path / "index.html"
    html = page_of(tmp_path / "run")
    assert html.count("</main>") == 1
    path.write_bytes(html.replace("</main>", hole).encode())
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("#hole").click()
    assert page.evaluate("window.pwned") is None
    assert page.locator("#hole").evaluate("each => getComputedStyle(each).color") != (
        "rgb(255, 0, 0)"
    )
    assert page.locator(".entry").count() == 10, "the viewer itself still works"
    page.close()
