"""The report in a real browser: what is seen, at two widths, in both themes; and that it asks for nothing."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.comparison import compare
from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.method.provenance import NAMES, classify_codes
from rdpt_ray.method.score_columns import ScoreColumns
from rdpt_ray.method.selection import POLICIES
from rdpt_ray.method.sensitivity import sweep
from rdpt_ray.method.summary import UNSCORED, Example, Point, Summary
from rdpt_ray.publish.facts import BetaFacts, InputFacts, ModelFacts, RunFacts, VerifyFacts
from rdpt_ray.publish.palette import CLASSES, ORDER, PAPER
from rdpt_ray.publish.report import render_report

pytestmark = pytest.mark.browser

UNDERLINES = {
    "TEACHER": "solid",
    "STUDENT": "dashed",
    "BOOSTED": "double",
    UNSCORED: "dotted",
    "COMMON": None,
    "SHARED": None,
}
LONG = "averyveryverylongwordwithoutanyspace" * 40
HOSTILE = [
    "<script>window.pwned = 1</script>",
    "</style><script>window.pwned = 1</script><style>* { display: none }</style>",
    "</title><svg onload='window.pwned = 1'>",
    '" autofocus tabindex="0" onfocus="window.pwned = 1',
    "<img src='http://127.0.0.1:9/x.png' onerror='window.pwned = 1'>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "{{ 7 * 7 }}{% raw %}",
    "abc\u202egnp.exe\u2066",
    "nul\0 esc\x1b lone \ud83d",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 <b>bold</b>",
]


def add(summary, trace_id, teacher, student, distilled=None, *, selected=True, texts=None):
    codes = classify_codes(teacher, student, distilled)
    classes = [None if name is None else str(name) for name in NAMES[codes]]
    texts = texts or [f"Here is sentence {number}. " for number in range(len(teacher))]
    ends = np.cumsum([len(text) for text in texts]).tolist()
    num_teacher = classes.count("TEACHER")
    summary.add_trace(
        codes,
        Point(trace_id, ends[-1], len(texts), num_teacher, selected),
        Example(
            trace_id=trace_id,
            prompt=texts[0],
            response="".join(texts),
            sentences=list(zip([0, *ends[:-1]], ends, strict=True)),
            classes=classes,
            teacher_prob=teacher,
            student_prob=student,
            distilled_prob=distilled,
            num_teacher=num_teacher,
            selected=selected,
            reference_answer="42",
        ),
    )


def make_run(kind):
    """Thirteen traces that hold every class of their kind, and words too long for a line."""
    summary = Summary(rows_read=15, selected=4, rejected=9, quarantined=2, num_prompts=4)
    summary.drop_reasons = Counter({"outranked": 9})
    summary.quarantine_reasons = Counter({f"ingest: {LONG}": 2})
    teacher, student = [0.9, 0.5, 0.5, 0.1, 0.5], [0.1, 0.5, 0.5, 0.9, None]
    distilled = [0.9, 0.5, 0.9, 0.1, 0.5] if kind == "trace" else None
    for number in range(12):
        add(summary, f"trace-{number:02}", teacher, student, distilled, selected=number < 4)
    texts = [LONG, "a\n\n\n   b\tc ", "x" * 3_000, "last but one ", "last."]
    add(summary, LONG, teacher, student, distilled, selected=False, texts=texts)
    models = [
        ModelFacts(
            role,
            f"organisation/{LONG}",
            "f" * 64,
            "bfloat16",
            10**9,
            0,
            10**12,
            tokens_per_s=12345.6,
        )
        for role in ("student", "teacher", "distilled")
    ]
    facts = RunFacts(
        run_id="demo-0001",
        name="demo",
        kind=kind,
        created_at="2026-01-02 03:04:05 UTC",
        policy="teacher_count" if kind == "curate" else None,
        per_prompt=1,
        alpha=0.1,
        beta=0.1,
        models=tuple(models),
        inputs=(InputFacts(f"s3://bucket/{LONG}.parquet", 15),),
        wall_s=1.0,
        versions={"rdpt_ray": "0.1.0"},
    )
    return summary, facts


def columns_of(kind, num_traces=240):
    """Four candidates per prompt; the longer ones have more Teacher sentences and more right answers."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(4, 30, num_traces)
    total = int(sizes.sum())
    roles = {
        role: RoleScores(np.log(rng.uniform(0.02, 1, total)), np.ones(total, np.int64))
        for role in ("teacher", "student", *(("distilled",) if kind == "trace" else ()))
    }
    correct = (sizes + rng.normal(0, 8, num_traces) > 17).astype(np.int8)
    return ScoreColumns(
        trace_ids=np.array([f"{number:04}" for number in range(num_traces)]),
        prompt_ids=np.array([f"{number // 4:04}" for number in range(num_traces)]),
        num_chars=sizes * 60 + rng.integers(0, 50, num_traces),
        correct=np.where(rng.random(num_traces) < 0.1, -1, correct).astype(np.int8),
        eligible=rng.random(num_traces) < 0.95,
        teacher_known=rng.random(num_traces) < 0.9,
        offsets=np.cumsum([0, *sizes]),
        sentence_chars=np.full(total, 60),
        roles=roles,
    )


def make_analysed_run(kind):
    """The same run with all that can be shown beside it, and a policy whose name is too long for a line."""
    summary, facts = make_run(kind)
    columns = columns_of(kind)
    summary.sensitivity = sweep(columns)
    summary.correctness = count_correctness(columns)
    summary.drop_reasons = Counter(
        {"outranked": 5, "pruned": 2, "near_duplicate": 1, "filter: complete": 1}
    )
    facts = replace(
        facts,
        auto_beta=BetaFacts(0.71, (0.081, 0.12), 0.06, 0.9, "weak", 4000),
        verification=VerifyFacts("math", 3, 90, 40, {"no reference answer": 5, LONG: 1}),
    )
    if kind == "trace":
        return summary, facts
    overlap_with_long = {name: {LONG: (60, 30)} for name in POLICIES if name < LONG}
    summary.comparison = replace(
        (found := compare(columns)),
        policies={**found.policies, LONG: found.policies["longest"]},
        overlaps={
            name: {**found.overlaps.get(name, {}), **overlap_with_long.get(name, {})}
            for name in found.overlaps.keys() | overlap_with_long.keys()
        }
        | {LONG: {name: (60, 30) for name in POLICIES if name > LONG}},
        left_out={**found.left_out, LONG + "er": LONG},
    )
    summary.pruned, summary.chars_to_read, summary.chars_unread = 2, 10_000, 3_210
    return summary, replace(
        facts,
        prune=True,
        prune_exact="teacher scores by vllm in bfloat16",
        min_score=1.0,
        budget_rows=1_000,
        budget_tokens=2_000_000,
    )


def rgb(colour):
    return f"rgb({', '.join(str(int(colour[start : start + 2], 16)) for start in (1, 3, 5))})"


LOOK = """element => {
    const style = getComputedStyle(element);
    return [style.backgroundColor, style.color, style.textDecorationLine,
            style.textDecorationStyle, style.textDecorationColor];
}"""


@pytest.mark.parametrize("kind", ["curate", "trace"])
def test_classes_have_their_colours_and_underlines(open_page, kind):
    page = open_page(render_report(*make_run(kind)))
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            check_classes(page, kind, theme)


def check_classes(page, kind, theme):
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == rgb(PAPER[theme]["paper"])
    for name in ORDER[kind]:
        sentence = page.locator(f"#most .response .s.{name.lower()}").first
        ground, ink, line, style, colour = sentence.evaluate(LOOK)
        assert ground == rgb(CLASSES[theme][name].tint)
        assert ink == rgb(PAPER[theme]["muted" if name == UNSCORED else "ink"])
        if UNDERLINES[name] is None:
            assert line == "none"
        else:
            assert (line, style) == ("underline", UNDERLINES[name])
            assert colour == rgb(CLASSES[theme][name].mark)
        fill = page.locator(f"#position path.{name.lower()}").evaluate(
            "element => getComputedStyle(element).fill"
        )
        assert fill == rgb(PAPER[theme]["paper"] if name == UNSCORED else CLASSES[theme][name].mark)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["curate", "trace"])
def test_the_page_is_read_without_scrolling_sideways(open_page, kind, width):
    page = open_page(render_report(*make_run(kind)), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """width => [...document.querySelectorAll("body *")]
            .filter(element => !element.closest(".scroll"))
            .filter(element => element.getBoundingClientRect().right > width + 0.5)
            .map(element => element.outerHTML.slice(0, 120))""",
        width,
    )
    assert outside == []
    sizes = page.evaluate(
        """() => [...document.querySelectorAll(".chart text")]
            .map(text => text.getBoundingClientRect().height)"""
    )
    assert min(sizes) > 9, "labels of the charts are too small to read"


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["curate", "trace"])
def test_the_analyses_are_read_without_scrolling_sideways(open_page, kind, width):
    page = open_page(render_report(*make_analysed_run(kind)), width=width)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """width => [...document.querySelectorAll("#outcome *, #beta *, #policies *, #answers *")]
            .filter(element => !element.closest(".scroll"))
            .filter(element => element.getBoundingClientRect().right > width + 0.5)
            .map(element => element.outerHTML.slice(0, 120))""",
        width,
    )
    assert outside == []
    assert page.locator("#beta tr.own").count() == 1
    assert page.locator("#policies").count() == (1 if kind == "curate" else 0)
    lowest = page.locator(".betas th").evaluate_all(
        "cells => Math.max(...cells.map(cell => cell.getBoundingClientRect().height))"
    )
    assert lowest < 60, "a beta is broken over lines"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_right_and_wrong_differ_by_more_than_colour(open_page, theme):
    page = open_page(render_report(*make_analysed_run("trace")), theme=theme)
    dashes = "path => getComputedStyle(path).strokeDasharray"
    for name in ("teacher", "boosted", "shared", "student"):
        figure = page.locator(f"#answers figure:has(.curve.{name})")
        assert figure.locator(f".curve.{name}").evaluate(dashes) == "none"
        assert figure.locator(".curve.wrong").evaluate(dashes) != "none"
        stroke = figure.locator(f".curve.{name}").evaluate("path => getComputedStyle(path).stroke")
        assert stroke == rgb(CLASSES[theme][name.upper()].mark)
        assert figure.locator(f".band.{name}").evaluate(
            "path => getComputedStyle(path).fill"
        ) == rgb(CLASSES[theme][name.upper()].mark)


def contrast(first, second):
    """WCAG's ratio of two colours given as [r, g, b] in 0 to 1."""
    levels = []
    for colour in (first, second):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_on_the_hottest_cell_can_be_read(open_page, theme):
    html = render_report(*make_analysed_run("curate")).replace(
        '<td class="h0">', '<td class="h10">'
    )
    cell = open_page(html, theme=theme).locator("#policies td.h10").first
    ground = cell.evaluate("element => getComputedStyle(element).backgroundColor")
    # Chromium gives a mixed colour as color(srgb 0.6 0.8 0.7).
    mixed = [float(part) for part in ground.removeprefix("color(srgb ").rstrip(")").split()]
    ink = [int(PAPER[theme]["ink"][start : start + 2], 16) / 255 for start in (1, 3, 5)]
    assert contrast(mixed, ink) >= 4.5


def test_the_counts_are_seen(open_page):
    page = open_page(render_report(*make_run("curate")))
    assert page.title() == "demo - provenance report"
    assert "15 rows read = 4 selected + 9 rejected + 2 quarantined" in page.inner_text("#outcome")
    assert page.locator("#most article").count() == 10
    assert page.locator("#least article").count() == 10
    ribbons = page.locator("#outcome path").evaluate_all(
        "paths => paths.map(path => path.getBBox().height > 0)"
    )
    assert ribbons == [True, True, True]


def test_a_sentence_tells_its_probabilities_on_keyboard_focus(open_page):
    page = open_page(render_report(*make_run("trace")))
    sentences = page.locator("#most article >> nth=1").locator(".response .s")
    after = "element => getComputedStyle(element, '::after').content"
    assert sentences.nth(2).evaluate(after) == "none"
    sentences.nth(1).focus()
    page.keyboard.press("Tab")
    assert sentences.nth(2).evaluate("element => element === document.activeElement")
    assert sentences.nth(2).evaluate(after) == (
        '"Boosted. Probability: teacher 0.50, student 0.50, distilled 0.90"'
    )
    assert sentences.nth(1).evaluate(after) == "none"


def test_the_tip_of_a_sentence_stays_on_a_phone(open_page):
    page = open_page(render_report(*make_run("trace")), width=400)
    for index in range(5):
        page.locator("#least article >> nth=2").locator(".response .s").nth(index).click()
        assert page.evaluate("document.documentElement.scrollWidth") == 400


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_never_obeyed(open_page, text):
    summary = Summary(rows_read=1, selected=1)
    summary.drop_reasons = Counter({text: 1})
    add(summary, text, [0.9, 0.1], [0.1, 0.9], texts=[text, " End."])
    _, facts = make_run("curate")
    facts = RunFacts.from_dict({**facts.to_dict(), "name": text, "run_id": text, "policy": text})
    page = open_page(render_report(summary, facts))
    page.keyboard.press("Tab")
    page.locator("#most .response .s").first.click()
    assert page.evaluate("window.pwned") is None
    assert page.locator("body script, body img, body style, body b b").count() == 0
    shown = page.locator("#most .response").text_content()
    for visible_part in ("script", "onfocus", "7 * 7", "<U+202E>", "<U+0000>", "<b>bold</b>"):
        assert (visible_part in shown) == (visible_part in text or hidden_in(text, visible_part))
    assert shown.endswith(" End.")


def hidden_in(text, mark):
    return mark.startswith("<U+") and chr(int(mark[3:-1], 16)) in text


def test_even_an_injected_script_would_not_run(browser, tmp_path):
    path = tmp_path / "index.html"
    page_with_hole = render_report(*make_run("curate")).replace(
        "</main>", "<script>window.pwned = 1</script><p id=hole style='color: red'>x</p></main>"
    )
    path.write_bytes(page_with_hole.encode())
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("window.pwned") is None
    assert page.locator("#hole").evaluate("element => getComputedStyle(element).color") != (
        "rgb(255, 0, 0)"
    )
    page.close()
