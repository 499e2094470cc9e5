import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.selection import POLICIES
from rdpt_ray.method.summary import NUM_POINTS, Summary
from rdpt_ray.publish.facts import InputFacts, ModelFacts, RunFacts
from rdpt_ray.publish.report import render_report, style_sheet
from rdpt_ray.publish.untrusted import visible
from rdpt_ray.publish.words import POLICY_WORDS

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script><style>",
    "</title><svg onload=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' autofocus onfocus='alert(1)",
    "--><img src=x onerror=alert(1)>",
    "]]><iframe srcdoc='&lt;script&gt;'></iframe>",
    "{{ 7 * 7 }}{% for x in ().__class__.__bases__ %}{{ x }}{% endfor %}{# #}",
    "&lt;b&gt; &amp;amp; &#60;",
    "abc\u202e\u2066gnp.exe\u2069\u200f\ufeff",
    "nul\0 bell\x07 esc\x1b[31m del\x7f c1\x85",
    "lone \ud83d surrogate \udc00",
    "javascript:alert(1)",
    "\U000e0041\U000e0042 tags, \u200b zero width",
    "Z\u0351\u036b\u0343\u036a\u0302a\u0315\u0358\u0321l\u0334g\u0335o",
]

BARE = RunFacts("run", "name", "curate", "today", "teacher_count", 1, 0.1, 0.1)


@pytest.fixture
def page(read_page):
    return lambda summary, facts: read_page(render_report(summary, facts).encode().decode())


def counts(element):
    """Every exact number below an element."""
    return [int(data.attrs["value"]) for data in element.all("data")]


def test_the_numbers_of_the_flow_add_up(page, summary, facts):
    outcome = page(summary, facts).by_id("outcome")
    assert counts(outcome.one("p", "source")) == [9]
    branches = {
        item.attrs["class"]: counts(item)
        for item in outcome.one("ol").children
        if not isinstance(item, str)
    }
    assert branches == {"selected": [2], "rejected": [4, 3, 1], "quarantined": [3, 2, 1]}
    assert outcome.one("p", "sum").text == "9 rows read = 2 selected + 4 rejected + 3 quarantined"


def test_rows_that_do_not_add_up_are_shown(page, summary, facts):
    summary.rows_read = 12
    outcome = page(summary, facts).by_id("outcome")
    assert outcome.one("p", "sum").text.endswith("3 quarantined + 3 unaccounted")
    assert "not to be trusted" in outcome.text


def test_class_shares_computed_by_hand(page, summary, facts):
    classes = page(summary, facts).by_id("classes")
    rows = {
        row.one("span", "s").text: [cell.text for cell in row.all("td")]
        for row in classes.one("tbody").all("tr")
    }
    assert rows == {
        "Teacher": ["33.3% 5", "42.9% 3"],
        "Common": ["33.3% 5", "28.6% 2"],
        "Student": ["20.0% 3", "14.3% 1"],
        "Unscored": ["13.3% 2", "14.3% 1"],
    }
    assert counts(classes.one("tfoot")) == [15, 7]
    tiles = {tile.one("dt").text: tile.one("dd").text for tile in classes.one("dl").all("div")}
    assert tiles == {
        "Teacher sentences per selected trace": "1.50",
        "over all scored traces": "0.83",
        "traces scored": "6",
        "prompts": "2",
    }


def test_positions_in_numbers_and_where_they_end(page, summary, facts):
    position = page(summary, facts).by_id("position")
    rows = [
        [cell.text for cell in row.all() if cell.tag in ("th", "td")]
        for row in position.one("tbody").all("tr")
    ]
    assert rows == [["1", "6", "4", "1", "1", "0"], ["2", "5", "1", "2", "0", "2"]]
    assert "Drawn to sentence 2, which 5 traces reach" in position.text


def test_length_is_named_as_a_confounder_with_its_correlation(page, summary, facts):
    length = page(summary, facts).by_id("length")
    assert "r = 0.89" in length.text
    assert "Length is a known confounder of this method." in length.text
    assert "selected traces have 3.5 sentences on average, all scored traces 2.5" in length.text
    assert len(list(length.one("g", "chosen").all("path"))) == 2
    assert len(list(length.one("g", "others").all("circle"))) == 4


def test_cards_show_every_sentence_with_its_class(page, summary, facts):
    # Teacher shares: t3 2/4, t2 1/2, t1 1/3, t6 1/3, t4 and t5 none; equal shares go by trace_id.
    whole = page(summary, facts)
    order = [card.one("code").text for card in whole.by_id("most").all("article")]
    assert order == ["t2", "t3", "t1", "t6", "t4", "t5"]
    assert [card.one("code").text for card in whole.by_id("least").all("article")] == [
        "t4", "t5", "t1", "t6", "t2", "t3",
    ]  # fmt: skip
    card = list(whole.by_id("most").all("article"))[1]
    assert card.one("h3").text == "2 50.0% Teacher"
    assert card.one("p", "tally").text == "2 of 4 sentences"
    assert card.one("p", "badge").text == "selected"
    response = card.one("dd", "response")
    assert response.text == "Sentence 0 is T. Sentence 1 is T. Sentence 2 is C. Sentence 3 is S. "
    spans = list(response.all("span", "s"))
    assert [span.attrs["class"] for span in spans] == [
        "s teacher",
        "s teacher",
        "s common",
        "s student",
    ]
    assert {span.attrs["tabindex"] for span in spans} == {"0"}
    assert spans[3].attrs["title"] == "Student. Probability: teacher 0.10, student 0.90"


def test_a_trace_run_is_four_way_and_selects_nothing(page, traced, facts):
    whole = page(traced, replace(facts, kind="trace", policy=None))
    text = whole.one("body").text
    assert "distilled model" in whole.one("p", "lede").text
    assert "5 rows read = 5 traced + 0 rejected + 0 quarantined" in text
    # Sentences by class: TEACHER 3, BOOSTED 2, SHARED 5, STUDENT 2, unscored 1; 13 in all.
    shown = [counts(row) for row in whole.by_id("classes").one("tbody").all("tr")]
    assert shown == [[3], [2], [5], [2], [1]]
    assert not re.search(r"\bselected\b", text)
    assert "alpha" in whole.by_id("run").text
    titles = [span.attrs["title"] for span in whole.by_id("most").all("span", "boosted")]
    assert titles[0] == "Boosted. Probability: teacher 0.50, student 0.50, distilled 0.90"


def cells(table):
    """A table's body, row by row."""
    return [
        [cell.text for cell in row.all() if cell.tag in ("th", "td")]
        for row in table.one("tbody").all("tr")
    ]


def test_the_foot_lists_models_thresholds_versions(page, summary, facts):
    foot = page(summary, facts).by_id("run")
    assert cells(foot) == [
        ["student", "models/student", "aaaa", "float32"],
        ["teacher", "models/teacher", "bbbb", "bfloat16"],
    ]
    settings = {
        item.one("dt").text: item.one("dd").text.strip() for item in foot.one("dl").all("div")
    }
    assert settings == {
        "run": "demo-0001, started 2026-01-02 03:04:05 UTC",
        "input": "data/traces.parquet, 9 rows",
        "beta": "0.15: Teacher or Student if their probabilities differ by more",
        "selection": "teacher_count, 1 per prompt",
        "versions": "rdpt_ray 0.1.0 torch 2.13.0",
    }


def test_the_second_sentence_says_what_was_selected(page, summary, facts):
    for policy, per_prompt, words in [
        ("teacher_count", 1, "the response with the most Teacher sentences was selected"),
        ("random", 2, "the 2 responses drawn at random were selected"),
        ("of_tomorrow", 1, "the response ranked first by the policy of_tomorrow was selected"),
    ]:
        lede = page(summary, replace(facts, policy=policy, per_prompt=per_prompt)).one("p", "lede")
        assert words in lede.text


def test_every_policy_has_words():
    assert POLICY_WORDS.keys() == POLICIES.keys()


def test_the_same_run_gives_the_same_bytes(add, summary, facts):
    halves = [Summary(rows_read=9, selected=2), Summary(rejected=4, quarantined=3, num_prompts=2)]
    halves[0].drop_reasons, halves[1].drop_reasons = (
        Counter({"filter: complete": 1}),
        Counter({"outranked": 3}),
    )
    halves[1].quarantine_reasons = Counter({"score: nan": 1, "ingest: empty_response": 2})
    for trace_id, letters in [("t6", "TUC"), ("t2", "TC"), ("t4", "C")]:
        add(halves[0], trace_id, letters, selected=trace_id == "t6")
    for trace_id, letters in [("t3", "TTCS"), ("t5", "SU"), ("t1", "TCS")]:
        add(halves[1], trace_id, letters, selected=trace_id == "t3")
    expected = render_report(summary, facts)
    assert render_report(halves[0] + halves[1], facts) == expected
    assert render_report(halves[1] + halves[0], facts) == expected
    assert render_report(Summary.from_dict(summary.to_dict()), facts) == expected


def test_the_policy_admits_the_style_sheet_and_nothing_else(page, summary, facts):
    head = page(summary, facts).one("head")
    (policy,) = [
        meta.attrs["content"]
        for meta in head.all("meta")
        if meta.attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    style = head.one("style").text
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_needs_nothing_but_itself(page, summary, facts):
    for element in page(summary, facts).all():
        assert element.tag not in {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "base",
            "form",
            "use",
        }
        assert not {"src", "srcset", "style", "action", "data"} & element.attrs.keys()
        assert element.attrs.get("href", "#").startswith("#")


def test_every_link_leads_somewhere_and_every_label_exists(page, summary, facts):
    whole = page(summary, facts)
    ids = [element.attrs["id"] for element in whole.all() if "id" in element.attrs]
    assert len(ids) == len(set(ids))
    for element in whole.all():
        assert element.attrs.get("href", f"#{ids[0]}")[1:] in ids
        assert element.attrs.get("aria-labelledby", ids[0]) in ids


def hostile_run(add, facts, text):
    """A run that holds the text wherever a dataset or a config can put one."""
    summary = Summary(rows_read=4, selected=1, rejected=1, quarantined=2, num_prompts=1)
    summary.drop_reasons = Counter({text: 1})
    summary.quarantine_reasons = Counter({f"ingest: {text}": 2})
    add(summary, text, "TC", selected=True, prompt=text, texts=[text, "End."])
    add(summary, "other", "S", prompt=text)
    summary.most_teacher[0] = replace(summary.most_teacher[0], reference_answer=text)
    model = ModelFacts(text, text, text, text, 1, 0, 5, tokens_per_s=1.0)
    return summary, replace(
        facts,
        run_id=text,
        name=text,
        created_at=text,
        policy=text,
        models=(model,),
        inputs=(InputFacts(text, 4),),
        versions={text: text},
    )


def skeleton(element):
    """The page without its text: tags and attribute names, in order."""
    return [
        (child.tag, sorted(child.attrs), skeleton(child))
        for child in element.children
        if not isinstance(child, str)
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(page, add, facts, text):
    plain = page(*hostile_run(add, facts, "x" * len(text)))
    whole = page(*hostile_run(add, facts, text))
    assert skeleton(whole) == skeleton(plain)
    card = next(whole.by_id("most").all("article"))
    prompt, answer, response = (item.text for item in card.all("dd"))
    assert prompt == answer == visible(text)
    assert response == visible(text) + "End."


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=()), min_size=1, max_size=60))
def test_any_text_stays_text(read_page, add, text):
    pages = []
    for shown in (text, "x" * len(text)):
        summary = Summary()
        add(summary, "t", "TC", prompt=shown, texts=[shown, "End."])
        pages.append(read_page(render_report(summary, BARE)))
    assert skeleton(pages[0]) == skeleton(pages[1])
    card = next(pages[0].by_id("most").all("article"))
    assert card.one("dd", "response").text == visible(text) + "End."


def test_an_empty_run(page, facts):
    whole = page(Summary(), facts)
    text = whole.one("body").text
    assert "0 rows read = 0 selected + 0 rejected + 0 quarantined" in text
    assert text.count("None to show.") == 2
    assert "too few for shares by position" in text
    assert "Not drawn: no trace was scored." in text
    assert not re.search(r"\bnan\b|\bNone\b(?! to show)", text)


def test_a_run_with_everything_quarantined(page, facts):
    summary = Summary(rows_read=3, quarantined=3)
    summary.quarantine_reasons = Counter({"ingest: missing_column": 3})
    outcome = page(summary, facts).by_id("outcome")
    assert [path.attrs["class"] for path in outcome.all("path")] == ["quarantined"]
    assert "3 rows read = 0 selected + 0 rejected + 3 quarantined" in outcome.text
    assert "100.0%" in outcome.text


def test_no_examples_were_asked_for(page, add, facts):
    summary = Summary(num_examples=0)
    add(summary, "t", "TC")
    assert page(summary, facts).one("body").text.count("None to show.") == 2


def test_a_sample_of_the_points_says_so(page, add, facts):
    summary = Summary()
    for number in range(NUM_POINTS + 1):
        add(summary, f"{number:05}", "TC" if number % 2 else "TTC")
    length = page(summary, facts).by_id("length")
    assert "A uniform sample of 1,500 of 1,501 scored traces." in length.text


def test_many_inputs_are_summed(page, summary, facts):
    inputs = tuple(InputFacts(f"part-{number}.parquet", 10) for number in range(25))
    foot = page(summary, replace(facts, inputs=inputs)).by_id("run")
    assert "part-19.parquet, 10 rows" in foot.text
    assert "part-20.parquet" not in foot.text
    assert "5 more, 50 rows" in foot.text


def test_a_sentence_of_a_megabyte_is_cut_with_a_note(page, add, facts):
    summary = Summary()
    add(summary, "t", "TC", texts=["x" * 1_000_000, "Short."])
    response = next(page(summary, facts).by_id("most").all("article")).one("dd", "response")
    assert "[998,000 characters left out]" in response.text
    assert len(response.text) < 2_100


@pytest.mark.parametrize("num_examples", [10, 100])
@pytest.mark.parametrize("unit", ['"', "\0", "\U0001f600", "a. "])
@pytest.mark.parametrize("length", [1, 20, 100_000])
def test_the_page_is_always_below_five_megabytes(add, facts, num_examples, unit, length):
    texts = [unit * length] * (10 if length > 20 else 500)
    letters = ("TBHSU" * len(texts))[: len(texts)]
    summary = Summary(num_examples=num_examples)
    add(summary, unit * 900, letters, prompt=unit * 100_000, texts=texts)
    summary.most_teacher *= num_examples
    summary.least_teacher *= num_examples
    summary.drop_reasons = Counter({f"{number}{unit * 9_000}": 1 for number in range(500)})
    summary.positions = {name: [500] * 200 for name in summary.positions}
    facts = replace(
        facts,
        kind="trace",
        inputs=tuple(InputFacts(unit * 9_000, 1) for _ in range(500)),
        versions={f"{number}{unit * 900}": unit * 900 for number in range(50)},
    )
    assert len(render_report(summary, facts).encode()) < 5_000_000


def test_a_style_sheet_for_both_themes():
    css = style_sheet()
    assert css.startswith(":root{--paper:#fdfcfa;")
    assert "@media (prefers-color-scheme: dark){:root{--paper:#15171a;" in css
    assert not re.search(r"#[0-9a-f]{3,6}\b", css.split("\n", 2)[2]), "a colour outside palette.py"
