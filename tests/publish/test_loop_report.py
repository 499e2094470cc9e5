import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from io import StringIO

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from rdpt_ray.publish.loop_facts import LoopFacts
from rdpt_ray.publish.loop_figures import dots
from rdpt_ray.publish.loop_findings import policy_rows
from rdpt_ray.publish.loop_report import loop_markdown, print_loop, render_loop
from tests.publish.loop_run import loop, policy

HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)" x="',
    "{{ 7 * 7 }}{% for x in y %}",
    "![x](http://evil.example/p.png) | a",
    "nul\0 esc\x1b[31m \u202egnp [bold]",
]


def cells(table):
    return [
        [" ".join(cell.text.split()) for cell in row.all() if cell.tag in ("th", "td")]
        for row in table.all("tr")
    ]


def text_of(element):
    return " ".join(element.text.split())


def printed(facts, path="out/loop/report.html"):
    file = StringIO()
    print_loop(Console(file=file, width=80), facts, path)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_every_fact_is_on_the_page(read_page):
    page = read_page(render_loop(loop()))
    accuracy = next(page.by_id("accuracy").all("table"))
    assert cells(accuracy)[1] == ["teacher_count", "3", "80.0%", "55.2% to 100.0%", "10.0"]
    assert cells(accuracy)[4][:3] == ["student, untrained", "", "20.0%"]
    assert cells(page.by_id("students"))[1] == [
        "teacher_count", "0", "8", "2", "0", "80.0%", "49.0% to 94.3%",
    ]  # fmt: skip
    assert len(cells(page.by_id("students"))) == 1 + 9
    assert cells(page.by_id("pairs").one("table"))[1] == [
        "teacher_count less random", "+20.0", "-4.8 to +44.8", "3 of 3", "0.25 at best 0.25",
        "undecided",
    ]  # fmt: skip
    selected = next(page.by_id("selected").all("table"))
    assert cells(selected)[1] == [
        "teacher_count", "5,000", "100", "50.0", "8.00", "5.25", "0.656",
    ]  # fmt: skip
    assert cells(page.by_id("controls"))[1] == ["teacher_count", "1.02 x", "40", "+0.75", "-5.0"]
    classes = cells(page.by_id("classes").one("table"))
    assert classes[0][1:4] == ["Teacher", "Shared", "Student"]
    assert classes[1] == ["teacher_count", "65.6%", "28.1%", "6.2%", "+20.0 -4.8 to +44.8"]
    remarks = [text_of(item) for item in page.by_id("remarks").all("li")]
    assert remarks[0] == "The task's construction helps."
    assert "With 3 seeds" in remarks[1]
    assert "budget_tokens5000" in page.one("footer").text.replace("\n", "")
    text = text_of(page.by_id("selected"))
    assert "r = 0.80" in text
    assert "fewestof each prompt, the response with the fewest Teacher sentences" in text


def test_the_page_needs_nothing_but_itself(read_page):
    html = render_loop(loop())
    page = read_page(html)
    assert "<script" not in html
    policy_of = next(
        meta.attrs["content"] for meta in page.all("meta") if "http-equiv" in meta.attrs
    )
    css = page.one("style").text
    assert f"style-src 'sha256-{b64encode(sha256(css.encode()).digest()).decode()}'" in policy_of
    assert policy_of.startswith("default-src 'none'; ")
    assert not re.search(r"""(?:src|href)=|style="|url\(|@import""", html.replace(css, ""))
    assert html == render_loop(LoopFacts.from_dict(loop().to_dict()))


def test_every_student_is_a_dot_within_the_figure(read_page):
    facts = loop()
    figure = read_page(dots(facts, policy_rows(facts))).one("svg")
    seeds = list(figure.all("circle"))
    assert len(seeds) == 9
    assert [next(seed.all("title")).text for seed in seeds[:1]] == [
        "seed 0: 80.0% (49.0 to 94.3 over prompts)"
    ]
    # 0 % is at x = 14 and 100 % at 380: an interval reaches below 0 and is cut there.
    assert seeds[0].attrs["cx"] == "306.8"
    assert all(14 <= float(seed.attrs["cx"]) <= 380 for seed in seeds)
    whiskers = [path.attrs["d"] for path in figure.all("path", "whisker")]
    assert len(whiskers) == 3
    assert all(14 <= float(re.match(r"M([\d.]+)", each)[1]) <= 380 for each in whiskers)
    assert len(list(figure.all("path", "baseline"))) == 2
    names = [text.text for text in figure.all("text")]
    assert {"teacher_count", "random", "fewest", "teacher 100.0%"} <= set(names)


def test_a_loop_that_has_only_begun_is_shown(read_page):
    facts = LoopFacts("begun", "now", (policy("random", ()), policy("longest", (3,))))
    page = read_page(render_loop(facts))
    assert cells(next(page.by_id("accuracy").all("table")))[1][2] == "\u2013"
    assert "undecided: too few seeds" in text_of(page.by_id("pairs"))
    assert "longest" in loop_markdown(facts)
    assert "longest" in "\n".join(printed(facts))


def hostile(text):
    """Everything that a config or a dataset may name."""
    policies = tuple(
        replace(each, policy=each.policy + text)
        if at
        else replace(
            each,
            policy=text,
            seeds=(replace(each.seeds[0], classes={"TEACHER": 1, text: 2}),),
        )
        for at, each in enumerate(loop().policies)
    )
    return loop(
        name=text, created_at=text, policies=policies, remarks=(text,), settings={text: text}
    )


def skeleton(element):
    return [
        (child.tag, sorted(child.attrs), skeleton(child))
        for child in element.children
        if not isinstance(child, str)
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(read_page, text):
    page = read_page(render_loop(hostile(text)).encode().decode())
    assert skeleton(page) == skeleton(read_page(render_loop(hostile("x" * len(text)))))
    assert not {"\0", "\x1b", "\u202e"} & set(page.text)
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    kinds = [
        [token.type for token in parser.parse(loop_markdown(hostile(name)))]
        for name in (text, "x" * len(text))
    ]
    assert kinds[0] == kinds[1]
    inline = [
        child.type
        for token in parser.parse(loop_markdown(hostile(text)))
        for child in token.children or ()
    ]
    assert not {"image", "link_open", "html_inline", "html_block"} & set(inline)
    lines = printed(hostile(text))
    assert not {"\0", "\x1b", "\u202e"} & set("\n".join(lines))


def test_no_login_in_a_setting_is_shown():
    facts = loop(settings={"student": "s3://key:secret@bucket/model"})
    for text in (render_loop(facts), loop_markdown(facts)):
        assert "secret" not in text
        assert "bucket/model" in text


def test_markdown_has_the_same_numbers():
    text = loop_markdown(loop())
    for fact in (
        "| teacher\\_count | 3 | 80.0% | 55.2% to 100.0% | 10.0 |",
        "| teacher\\_count less random | +20.0 | -4.8 to +44.8 | 3 of 3 | 0.25 | 0.25 | undecided |",
        "| teacher\\_count | 5,000 | 100 | 50.0 | 8.00 | 5.25 |",
        "| teacher\\_count | 1.02 | 40 | 0.75 | -5.0 |",
        "| teacher\\_count | 65.6% | 28.1% | 6.2% | +20.0 (-4.8 to +44.8) |",
        "- `random`: of each prompt, the response drawn at random",
        "- The task's construction helps.",
        "| *student, untrained* | | 20.0% |",
    ):
        assert fact in text
    assert "\n\n\n" not in text
    tables = [
        token.map
        for token in MarkdownIt().enable("table").parse(text)
        if token.type == "table_open"
    ]
    assert len(tables) == 6


def test_the_terminal_has_the_table_and_the_path_last():
    lines = printed(loop())
    assert lines[-1] == "out/loop/report.html"
    assert max(map(len, lines)) <= 80
    table = "\n".join(lines)
    assert re.search(r"teacher_count +5,000 +5\.25 +8\.00 +3 +80\.0% +55\.2% to 100\.0%", table)
    assert re.search(r"teacher_count - random +\+20\.0 +-4\.8 to \+44\.8 +3 of 3 +0\.25", table)
    assert re.search(r"untrained +20\.0%", table)
