import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.publish.findings_answers import answer_facts
from rdpt_ray.publish.markdown import Markdown, code, escape, run_markdown
from rdpt_ray.publish.untrusted import visible
from rdpt_ray.storage.runs import read_manifest
from tests.publish.finished_run import candidate, finished_run, made_facts

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "![x](http://evil.example/pixel.png)",
    "[click](javascript:alert(1))",
    "<https://evil.example>",
    "https://evil.example www.evil.example",
    "a | b | c",
    "`code` ``more``",
    "**bold** __bold__ *em* _em_ ~~gone~~",
    "# heading",
    "- item",
    "1. item",
    "12) item",
    "===",
    "---",
    "+ plus",
    ":--- | ---:",
    "line\n\n# heading\n\n```\nfence",
    "&lt;b&gt; &amp; &#x41;",
    "back\\slash \\` \\|",
    "$x^2$ $$y$$",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.exe\u2066",
    "nul\x00 \x1b[31mred",
    "[ref]: http://evil.example",
    "[^1]: note",
    "<!-- comment",
    "@someone user@evil.example",
    "    indented code",
    "> quote",
]


def tokens_of(text):
    """Everything that a parser makes of a text."""
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


def words_of(text):
    """What a reader sees."""
    return "".join(
        token.content for token in tokens_of(text) if token.type in ("text", "code_inline")
    )


def assert_plain(text):
    kinds = {token.type for token in tokens_of(text)}
    assert kinds <= {"paragraph_open", "inline", "text", "paragraph_close", "text_special"}, kinds


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_read_as_it_is(text):
    assert_plain(escape(text))
    seen = "".join(t.content for t in tokens_of(escape(text)) if t.type in ("text", "text_special"))
    assert seen == " ".join(visible(text).split())


@given(st.text())
def test_any_text_is_read_as_it_is(text):
    shown = " ".join(visible(text).split())
    if shown:
        assert_plain(escape(text))
    seen = "".join(t.content for t in tokens_of(escape(text)) if t.type in ("text", "text_special"))
    assert seen == shown


@given(st.text(alphabet="<>[]()!`*_~|\\&#@:/.w-+=1 \n{}$ab", max_size=40))
def test_any_markup_is_read_as_it_is(text):
    shown = " ".join(text.split())
    if shown:
        assert_plain(escape(text))
    seen = "".join(t.content for t in tokens_of(escape(text)) if t.type in ("text", "text_special"))
    assert seen == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_of_a_table_stays_one(text):
    for cell in (escape(text), code(text)):
        table = f"| a | b |\n| --- | --- |\n| {cell} | end |\n"
        kinds = [token.type for token in tokens_of(table)]
        assert kinds.count("td_open") == 2
        assert not {"html_inline", "html_block", "link_open", "image", "heading_open"} & set(kinds)


def test_addresses_are_not_what_github_makes_links_of():
    """It links bare addresses that it finds in the source; a backslash or an entity inside stops it."""
    assert not re.search(r"www\.|(?<!\\)://|\w@\w", escape("www.a.b http://c.d x@e.f WWW.g.h"))


def test_code_is_set_as_code():
    assert code("org/model-7B_x") == "`org/model-7B_x`"
    assert code("a`b") == "a\\`b"
    assert code("") == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_a_run_with_hostile_names_has_the_structure_of_any_other(text, tmp_path):
    def kinds(name):
        facts = made_facts(12, run_id=name, name=name, policy=name)
        run = finished_run(tmp_path / str(len(name)), facts=facts, splitter=name)
        manifest = read_manifest(run)
        manifest["summary"]["drop_reasons"] = {name: 6}
        manifest["models"]["teacher"]["key"] = name
        manifest["config"]["selection"] = {"filters": {"licenses": [name]}}
        manifest["facts"]["models"][0] |= {"model": name, "revision": name, "dtype": name}
        manifest["facts"]["inputs"][0]["uri"] = name
        found = run_markdown(manifest)
        return [
            token.type
            for token in tokens_of(found)
            if token.type not in ("text", "text_special", "code_inline", "softbreak")
        ]

    assert kinds(text) == kinds("harmless")


def test_what_it_says(tmp_path):
    found = run_markdown(read_manifest(finished_run(tmp_path)))
    assert "| selected | 6 | 50.0% |" in found
    assert "| rejected | 6 | 50.0% | 6 outranked |" in found
    assert "| **rows read** | 12 | | 6 prompts |" in found
    assert "beta 0.15" in found
    assert "| teacher | `org/teacher` | `bbbb` | bfloat16 | `teacher-bbbbbbbbbbbbbbbb` |" in found
    assert "Length is a known confounder" in found
    assert "what that changed was not measured" in found


def test_no_clock_and_no_timing(tmp_path):
    facts = made_facts(12)
    found = run_markdown(read_manifest(finished_run(tmp_path, facts=facts)))
    for told in ("2026", "03:04", "12.3", "81.4", "node-17"):
        assert told not in found


def test_figures_are_named_only_where_they_are(tmp_path):
    manifest = read_manifest(finished_run(tmp_path))
    assert "![" not in run_markdown(manifest)
    with_one = run_markdown(manifest, figures=["figures/outcome.svg"])
    assert with_one.count("![") == 1


def test_a_traced_run_has_four_classes_and_no_policy(tmp_path, traced):
    facts = made_facts(5, kind="trace", policy=None)
    manifest = read_manifest(finished_run(tmp_path, facts=facts)) | {"summary": traced.to_dict()}
    found = run_markdown(manifest)
    assert "| class | all traces | meaning |" in found
    assert "Boosted" in found
    assert "alpha 0.1" in found
    assert "Selection" not in found


def test_what_goes_with_right_answers(tmp_path, sixteen, five, columns_of):
    def told(columns):
        answers = answer_facts(count_correctness(columns), "trace")
        facts = made_facts(16, kind="trace", policy=None, answers=answers)
        return run_markdown(read_manifest(finished_run(tmp_path / str(len(columns)), facts=facts)))

    found = told(sixteen)
    assert "8 traces with a right answer and 8 with a wrong one, to 16 prompts." in found
    assert (
        "| Teacher | +50.0 | +50.0 to +50.0 | 0.707 | 0.707 to 0.707 | +50.0 | +50.0 to +50.0"
        " | more in right answers |" in found
    )
    assert "a correlation and no cause" in found
    assert "\n\n\n" not in found
    assert "ithin prompts" not in found
    prompts = [name for name in "abcdef" for _ in range(2)]
    within = told(columns_of(["TT", "CC"] * 6, prompts=prompts, correct=[1, 0] * 6))
    assert "; 6 prompts with both kinds." in within
    assert "| +100.0 | +100.0 to +100.0 | more in right answers |" in within
    heads = [line.count("|") for line in within.splitlines() if line.startswith("| class | at")]
    rows = [line.count("|") for line in within.splitlines() if line.startswith("| Teacher | +")]
    assert heads == rows == [11]
    few = told(five)
    assert "3 traces with a right answer and 1 with a wrong one, to 2 prompts; of 1 more" in few
    assert "Too few to compare classes" in few
    assert "\n\n\n" not in few


def test_a_run_without_rows(tmp_path):
    found = run_markdown(read_manifest(finished_run(tmp_path, [])))
    assert "| **rows read** | 0 |" in found
    assert "cannot be computed" in found


def test_markdown_of_ours_is_left_alone():
    assert escape("*") == "\\*"
    assert isinstance(Markdown("*"), str)


def test_no_paragraph_is_broken(tmp_path):
    """Template blocks leave lines behind them; none may end a list or a table early."""
    found = run_markdown(read_manifest(finished_run(tmp_path, [candidate("a?", "b.", "c.")])))
    assert "\n\n\n" not in found
    assert all(line == line.rstrip() or line.endswith("|  |") for line in found.splitlines())
