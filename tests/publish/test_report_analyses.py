"""The sections that not every run has: thresholds, policies, answers, pruning."""

from collections import Counter
from dataclasses import replace

import pytest

from rdpt_ray.method.comparison import compare
from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.method.sensitivity import sweep
from rdpt_ray.method.summary import Summary
from rdpt_ray.publish.facts import BetaFacts, ModelFacts, VerifyFacts
from rdpt_ray.publish.report import render_report

HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)" x="',
    "{{ 7 * 7 }}{% for x in y %}",
    "abc\u202egnp.exe\ufeff",
    "nul\0 esc\x1b[31m lone \ud83d",
]


@pytest.fixture
def page(read_page):
    return lambda summary, facts: read_page(render_report(summary, facts).encode().decode())


def ids(whole):
    return {element.attrs["id"] for element in whole.all() if "id" in element.attrs}


def cells(row):
    return [" ".join(cell.text.split()) for cell in row.all() if cell.tag in ("th", "td")]


def links(whole):
    return [link.text for link in whole.one("nav").all("a")]


def text_of(element):
    return " ".join(element.text.split())


def test_sections_are_there_only_with_their_data(page, summary, facts):
    whole = page(summary, facts)
    assert not {"beta", "policies", "answers", "pruning"} & ids(whole)
    assert not {"Threshold", "Other policies", "Right and wrong"} & set(links(whole))


def test_every_section_has_a_link(page, analysed, facts):
    whole = page(analysed, facts)
    assert {"beta", "policies", "answers"} <= ids(whole)
    assert {"Threshold", "Other policies", "Right and wrong"} <= set(links(whole))


def test_thresholds_by_hand(page, analysed, facts):
    section = page(analysed, replace(facts, beta=0.1)).by_id("beta")
    table = section.one("table", "betas")
    rows = [cells(row) for row in table.one("tbody").all("tr")]
    assert rows[4] == ["0.1 this run", "", "41.7%", "0.0%", "100.0%", "0.0%"]
    assert rows[1] == ["0.02", "", "100.0%", "0.0%", "0.0%", "0.0%"]
    assert [cells(row) for row in table.all("tr", "own")] == [rows[4]]
    bar = list(table.all("svg"))[4]
    assert bar.attrs["aria-label"] == "Classes at beta 0.1"
    assert [rect.attrs["width"] for rect in bar.all("rect")] == ["41.67", "58.33"]
    assert [cells(row) for row in section.one("table", "numbers").one("tbody").all("tr")][4] == [
        "0.1", "5", "7", "0", "12",
    ]  # fmt: skip
    text = text_of(section)
    assert "0.0% of the sentences lie within 0.02 of beta." in text
    assert "At 0.08 instead, 100.0% of the prompts keep their pick; at 0.12, 100.0%." in text
    assert "a difference of probabilities (prob_difference; unit: probability)" in text
    assert "set by hand" in text
    assert "The run itself selects by" not in text


def test_another_policy_says_that_the_picks_are_not_its_own(page, analysed, facts):
    section = page(analysed, replace(facts, policy="longest")).by_id("beta")
    assert "The run itself selects by longest; these picks are by Teacher count" in text_of(section)


def test_beta_auto_is_named_as_ours(page, analysed, facts):
    facts = replace(facts, auto_beta=BetaFacts(0.82, (0.09, 0.12), 0.01, 0.25, "clear", 1_234))
    whole = page(analysed, facts)
    text = text_of(whole.by_id("beta"))
    assert "this project\u2019s own rule, not the paper\u2019s: Otsu\u2019s threshold" in text
    assert "cuts 1,234 differences" in text
    assert "Separability 0.82" in text
    assert "a valley 0.25 times as high as the lower peak beside it" in text
    assert "95% interval 0.09 to 0.12, confidence clear: the data do part near" in text
    assert "set by hand" not in text
    assert "chosen from the data (auto)" in whole.by_id("run").text
    weak = replace(facts, auto_beta=replace(facts.auto_beta, confidence="weak"))
    assert "do not ask for this number" in text_of(page(analysed, weak).by_id("beta"))


def test_a_trace_run_shows_thresholds_without_picks(page, traced, facts, five):
    traced.sensitivity, traced.comparison = sweep(five), compare(five)
    whole = page(traced, replace(facts, kind="trace", policy=None))
    heads = cells(next(whole.by_id("beta").one("table", "betas").all("tr")))
    assert heads == ["beta", "Classes", "Teacher", "Near beta"]
    assert "pick" not in whole.by_id("beta").text
    assert "policies" not in ids(whole)


def test_policies_by_hand(page, analysed, facts):
    section = page(analysed, facts).by_id("policies")
    rows = {cells(row)[0]: cells(row)[1:] for row in section.one("table", "policies").all("tr")}
    assert rows["teacher_count this run"] == [
        "1", "100", "3.0", "9", "2.00", "0.667", "100.0% of 1",
    ]  # fmt: skip
    assert rows["longest"] == ["1", "300", "5.0", "15", "1.00", "0.200", "100.0% of 1"]
    assert rows["all candidates"] == ["4", "151", "2.8", "8", "1.00", "0.364", "66.7% of 3"]
    matched = {cells(row)[0]: cells(row)[1:] for row in section.one("table", "matched").all("tr")}
    assert matched["teacher_count"] == ["0.66 x", "2", "+1.50", "+100.0"]
    assert matched["longest"] == ["1.99 x", "0", "\u2013", "\u2013"]
    tiles = {text_of(tile.one("dt")): tile.one("dd").text for tile in section.one("dl").all("div")}
    # Teacher 2 1 1 0 1 against sentences 3 2 5 1 1: 2 / sqrt(2 * 11.2); within p 2 / sqrt(2 * 8.75).
    assert tiles["r with sentences, all candidates"] == "0.42"
    assert tiles["r with sentences, within prompts"] == "0.48"
    text = text_of(section)
    assert "Length is the known confounder of this method." in text
    assert "57.9" in text
    assert "58.7" in text
    assert "rsr: not measured: rank; add rank to models.student.signals" in text


def test_the_heat_table_has_numbers_and_headers(page, analysed, facts):
    table = page(analysed, facts).by_id("policies").one("table", "heat")
    head, *rows = table.all("tr")
    names = cells(head)[1:]
    assert names[0] == "teacher_count"
    assert [cells(row)[0] for row in rows] == names
    # There is one prompt with a choice: two policies agree on it or not.
    for index, row in enumerate(rows):
        numbers = cells(row)[1:]
        assert numbers[index] == ""
        assert {*numbers[:index], *numbers[index + 1 :]} <= {"0", "100"}
    hot = list(table.all("td", "h10"))
    assert hot
    assert {cell.text for cell in hot} == {"100"}


def test_right_and_wrong_answers_by_hand(page, analysed, facts):
    facts = replace(
        facts,
        verification=VerifyFacts("math", 4, 8, 6, {"timeout": 2, "no reference answer": 3}),
    )
    section = page(analysed, facts).by_id("answers")
    text = text_of(section)
    assert (
        "by the method math: 8 right, 6 wrong, 5 unknown (3 no reference answer, 2 timeout);"
        " of 4 more the input itself says it. Unknown never passes for wrong." in text
    )
    assert "8 traces have a right answer and 8 a wrong one." in text
    assert "Mean difference, right less wrong: +50.0 points" in text
    assert "more in right answers" in text
    assert "a correlation and not a cause" in text
    assert "later positions rest on few traces" in text
    assert len(list(section.one("div", "multiples").all("svg"))) == 2
    stratified = section.by_id("equal-position").one("tbody")
    assert [cells(row) for row in stratified.all("tr")] == [
        [
            "Teacher",
            "+50.0",
            "+50.0 to +50.0",
            "+0.707",
            "+0.707 to +0.707",
            "more in right answers",
        ],
        [
            "Common",
            "-50.0",
            "-50.0 to -50.0",
            "-0.707",
            "-0.707 to -0.707",
            "more in wrong answers",
        ],
    ]
    assert "over all 2 positions that both right and wrong answers reach" in text
    rows = [cells(row) for row in section.one("table", "numbers").one("tbody").all("tr")]
    assert rows == [
        ["1", "8", "8", "100.0%", "100.0%", "0.0%", "0.0%"],
        ["2", "8", "8", "100.0%", "0.0%", "0.0%", "100.0%"],
    ]


def test_answers_to_the_same_prompt_have_columns_of_their_own(page, summary, facts, columns_of):
    prompts = [name for name in "abcdef" for _ in range(2)]
    columns = columns_of(["TT", "CC"] * 6, prompts=prompts, correct=[1, 0] * 6)
    summary.correctness = count_correctness(columns)
    section = page(summary, facts).by_id("answers")
    (teacher, _) = [cells(row) for row in section.by_id("equal-position").one("tbody").all("tr")]
    assert teacher[5:7] == ["+100.0", "+100.0 to +100.0"]
    assert "that some prompts are hard: 6 prompts have both." in text_of(section)


def test_too_few_answers_are_counted_but_not_drawn(page, summary, facts, five):
    summary.correctness = count_correctness(five)
    section = page(summary, facts).by_id("answers")
    assert "3 traces have a right answer and 1 a wrong one; of 1 it is not known." in text_of(
        section
    )
    assert "Not drawn" in section.text
    assert not list(section.all("svg"))


def test_verification_alone_is_told(page, summary, facts):
    facts = replace(facts, verification=VerifyFacts("exact", 0, 0, 0, {"no answer": 6}))
    text = text_of(page(summary, facts).by_id("answers"))
    assert "0 right, 0 wrong, 6 unknown (6 no answer). Unknown" in text


def pruned_run(summary, facts, **changes):
    summary.drop_reasons = Counter({"outranked": 2, "pruned": 2})
    summary.pruned, summary.chars_to_read, summary.chars_unread = 2, 2_000, 500
    models = (facts.models[0], replace(facts.models[1], pruned=2))
    return summary, replace(facts, prune=True, models=models, **changes)


def test_pruning_is_told(page, summary, facts):
    whole = page(*pruned_run(summary, facts))
    text = text_of(whole.by_id("pruning"))
    assert text.startswith("2 traces were pruned:")
    assert "spared it 25.0% of the characters" in text
    assert "The selection is exactly the one that reading everything would give." in text
    assert "selection.prune=false" in text
    assert "unknown, not zero" in text
    rows = [cells(row) for row in whole.by_id("cost").one("table").all("tr")]
    assert [row[3] for row in rows] == ["Not read", "0", "2"]
    assert "teacher_count, 1 per prompt, pruned" in whole.by_id("run").text


def test_pruning_up_to_rounding_says_why(page, summary, facts):
    whole = page(*pruned_run(summary, facts, prune_exact="teacher scores by vllm in bfloat16"))
    text = text_of(whole.by_id("pruning"))
    assert "up to rounding" in text
    assert "(teacher scores by vllm in bfloat16)" in text
    assert "exactly" not in text


def test_reasons_and_limits_are_explained(page, summary, facts):
    facts = replace(facts, min_score=3.0, budget_rows=5, budget_tokens=600)
    whole = page(summary, facts)
    glossary = whole.by_id("outcome").one("details", "glossary")
    assert [item.text for item in glossary.all("dt")] == ["outranked", "filter: complete"]
    text = text_of(whole.by_id("outcome"))
    assert "Nothing with a number below 3 under the policy is kept." in text
    assert "at most 5 traces and 600 tokens" in text
    assert "min_score 3.0, at most 5 rows, at most 600 tokens" in whole.by_id("run").text


def test_other_roles_are_explained_in_the_foot(page, summary, facts):
    models = [
        ModelFacts(role, "m", "r", "float32", 1, 0, 1) for role in ("teacher:qwen", "unprompted")
    ]
    text = text_of(page(summary, replace(facts, models=tuple(models))).by_id("run"))
    assert "teacher:qwen reads the traces that name it as their teacher" in text
    assert "unprompted the student, reading responses without their prompts, for IFD" in text


def hostile_run(analysed, facts, text):
    comparison = analysed.comparison
    named = dict.fromkeys(("a", "z" + text), next(iter(comparison.policies.values())))
    analysed.comparison = replace(
        comparison,
        policies=named,
        overlaps={"a": {"z" + text: (3, 2)}},
        left_out={text: text},
    )
    analysed.drop_reasons = Counter({f"filter: {text}": 4})
    return pruned_run(analysed, facts)[0], replace(
        facts,
        policy="z" + text,
        divergence=text,
        prune=True,
        prune_exact=text,
        auto_beta=BetaFacts(0.8, (0.1, 0.2), 0.1, 0.5, text, 9),
        verification=VerifyFacts(text, 1, 1, 1, {text: 1}),
    )


def skeleton(element):
    return [
        (child.tag, sorted(child.attrs), skeleton(child))
        for child in element.children
        if not isinstance(child, str)
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(page, analysed, facts, text):
    whole = page(*hostile_run(analysed, facts, text))
    plain = page(*hostile_run(analysed, facts, "x" * len(text)))
    assert skeleton(whole) == skeleton(plain)
    assert not {"\0", "\x1b", "\u202e", "\ufeff"} & set(whole.text)


def test_the_same_bytes_however_it_was_cut(facts, columns_of, five, sixteen):
    parts = []
    for columns in (five, sixteen):
        part = Summary()
        part.sensitivity = sweep(columns)
        part.comparison = compare(columns)
        part.correctness = count_correctness(columns)
        parts.append(part)
    first, second = parts
    expected = render_report(first + second, facts)
    assert render_report(second + first, facts) == expected
    assert render_report(Summary.from_dict((first + second).to_dict()), facts) == expected


def test_unread_traces_are_told_beside_every_figure(page, summary, facts, five):
    known = five.teacher_known.copy()
    known[2] = False
    columns = replace(five, teacher_known=known)
    summary.sensitivity, summary.comparison = sweep(columns), compare(columns)
    summary.correctness = count_correctness(columns)
    whole = page(summary, facts)
    assert "Left out: 1 trace that the teacher did not read to the end" in text_of(
        whole.by_id("beta")
    )
    assert "so in 1 prompt a pick at another beta may be missing" in text_of(whole.by_id("beta"))
    text = text_of(whole.by_id("policies"))
    assert "In 1 prompt policies that need the teacher choose among the rest only" in text
    assert "Only candidates that the teacher read to the end are counted in r." in text
    assert "1 that the teacher did not read to the end are in neither group" in text_of(
        whole.by_id("answers")
    )


@pytest.mark.parametrize("unit", ['"', "\0"])
def test_analyses_leave_the_page_below_five_megabytes(add, columns_of, facts, unit):
    letters = ["TC" * 150, "CT" * 150] * 20
    columns = columns_of(letters, prompts=["p", "q"] * 20, correct=[1, 0, 0, 1] * 10)
    texts = [unit * 20] * 500
    summary = Summary(num_examples=100)
    add(summary, unit * 900, "TCSU" * 125, prompt=unit * 100_000, texts=texts)
    summary.most_teacher *= 100
    summary.least_teacher *= 100
    summary.sensitivity, summary.correctness = sweep(columns), count_correctness(columns)
    found = compare(columns)
    names = [f"{number:03}{unit * 200}" for number in range(100)]
    summary.comparison = replace(
        found,
        policies=dict.fromkeys(names, found.policies["longest"]),
        overlaps={
            name: dict.fromkeys(names[index + 1 :], (9, 4)) for index, name in enumerate(names)
        },
        left_out={f"x{name}": unit * 900 for name in names},
    )
    reasons = {f"{number}{unit * 900}": 1 for number in range(50)}
    facts = replace(facts, verification=VerifyFacts("math", 1, 1, 1, reasons))
    assert len(render_report(summary, facts).encode()) < 5_000_000


def test_an_empty_analysis_shows_nothing(page, facts, columns_of):
    columns = columns_of([])
    summary = Summary()
    summary.sensitivity, summary.comparison = sweep(columns), compare(columns)
    summary.correctness = count_correctness(columns)
    assert not {"beta", "policies", "answers"} & ids(page(summary, facts))
