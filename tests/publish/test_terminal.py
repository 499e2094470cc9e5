from collections import Counter
from dataclasses import replace
from io import StringIO

from rich.console import Console

from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.method.summary import Summary
from rdpt_ray.publish.facts import BetaFacts, RoleCost, SessionFacts, VerifyFacts
from rdpt_ray.publish.findings_answers import answer_facts
from rdpt_ray.publish.terminal import print_outcome

LONG_PATH = "s3://bucket/" + "a-long-folder/" * 12 + "report/index.html"


def printed(summary, facts, path=LONG_PATH, **options):
    file = StringIO()
    print_outcome(Console(file=file, width=80, **options), summary, facts, path)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_the_whole_outcome(summary, facts):
    assert printed(summary, facts) == [
        "",
        "run demo-0001",
        "rows read               9  prompts: 2",
        "  selected              2",
        "  rejected              4  3 outranked, 1 filter: complete",
        "  quarantined           3  2 ingest: empty_response, 1 score: nan",
        "",
        "per selected trace   1.50  Teacher sentences",
        "per scored trace     0.83  Teacher sentences (scored traces: 6)",
        "",
        "student             1,280  scored, 0 reused; 8,123 tokens/s",
        "teacher                 0  scored, 1,280 reused",
        "",
        "report",
        LONG_PATH,
    ]


def test_kills_and_damage_are_told(summary, facts):
    costs = (
        RoleCost("student", 12, 900, 10_000, 12.5, 36),
        RoleCost("teacher", 12, 900, 10_000, 99.5, 0),
    )
    once = replace(facts, sessions=SessionFacts(1, costs))
    assert not [line for line in printed(summary, once) if line.startswith(("started", "damaged"))]
    lines = printed(summary, replace(facts, sessions=SessionFacts(3, costs, damaged=2)))
    assert "started                 3  times; 36 of 1,800 readings made again (2.0%)" in lines
    assert "damaged                 2  files of the store set aside and made again" in lines


def test_the_table_fits_80_columns_whatever_the_reasons(summary, facts):
    summary.quarantine_reasons = Counter({"[bold red]not markup[/]": 2, "x" * 500: 1})
    summary.rows_read = summary.selected = 10**12
    lines = printed(summary, facts)
    assert max(len(line) for line in lines if line != LONG_PATH) <= 80
    assert "[bold red]not markup[/]" in "\n".join(lines)


def test_nothing_from_the_data_controls_the_terminal(summary, facts):
    summary.drop_reasons = Counter({"\x1b[2J\x07cleared": 4})
    lines = printed(summary, facts, path="\x1b]0;title\x07/report.html")
    assert not [char for char in "".join(lines) if ord(char) < 32]
    assert "4 <U+001B>[2J<U+0007>cleared" in "\n".join(lines)


def test_the_path_stands_alone_and_unbroken_on_a_colour_terminal(summary, facts):
    lines = printed(summary, facts, force_terminal=True, color_system="truecolor")
    assert lines[-1] == LONG_PATH


def test_a_run_that_selects_nothing(traced, facts):
    values = {**facts.to_dict(), "kind": "trace", "policy": None}
    lines = printed(traced, type(facts).from_dict(values))
    assert "  traced              5" in lines
    # TBH HHS BU THT SH: Teacher 3, Boosted 2, Shared 5, Student 2, one without a class.
    start = next(at for at, line in enumerate(lines) if line.startswith("per scored trace"))
    assert lines[start + 1 : start + 6] == [
        "  Teacher         23.1%  of 13 sentences",
        "  Boosted         15.4%  of 13 sentences",
        "  Shared          38.5%  of 13 sentences",
        "  Student         15.4%  of 13 sentences",
        "  Unscored         7.7%  of 13 sentences",
    ]
    assert not [line for line in lines if "selected" in line]


def test_an_empty_run(facts):
    lines = printed(Summary(), facts)
    assert "rows read               0  prompts: 0" in lines
    assert "per selected trace      -  Teacher sentences" in lines


def test_what_not_every_run_has(analysed, facts):
    analysed.pruned, analysed.chars_to_read, analysed.chars_unread = 1, 1_000, 321
    facts = replace(
        facts,
        prune=True,
        auto_beta=BetaFacts(0.8, (0.11, 0.19), 0.05, 0.3, "clear", 15),
        verification=VerifyFacts("math", 1, 3, 2, {"timeout": 1, "no answer": 1}),
    )
    lines = printed(analysed, facts)
    assert max(map(len, lines[:-1])) <= 80
    text = " ".join(" ".join(lines).split())
    assert "pruned 1 trace; 32.1% of the characters not read by the teacher answers" in text
    assert "answers right 3 2 wrong, 2 unknown, 1 given by the input; method math" in text
    assert "beta: auto 0.15 our rule (Otsu), clear; 95% 0.11 to 0.19" in text
    # Teacher 2 1 1 0 1 against sentences 3 2 5 1 1: 2 / sqrt(2 * 11.2); within p 2 / sqrt(2 * 8.75).
    assert "length 0.42 r(Teacher count, sentences), within prompts 0.48: the known" in text
    rounded = " ".join(printed(analysed, replace(facts, prune_exact="teacher in bfloat16")))
    assert "same selection up to rounding" in " ".join(rounded.split())


def test_verification_from_outside_controls_nothing(summary, facts):
    facts = replace(facts, verification=VerifyFacts("[red]\x1b[2J", 0, 1, 0))
    text = " ".join(" ".join(printed(summary, facts)).split())
    assert "method [red]<U+001B>[2J" in text


def test_what_goes_with_right_answers(traced, facts, sixteen, five, columns_of):
    facts = replace(facts, kind="trace", policy=None)
    found = answer_facts(count_correctness(sixteen), "trace")
    lines = printed(traced, replace(facts, answers=found))
    assert max(map(len, lines[:-1])) <= 80
    text = " ".join(" ".join(lines).split())
    assert (
        "right - wrong points at equal position, 95% interval, r; 8 right, 8 wrong answers" in text
    )
    assert "Teacher +50.0 +50.0 to +50.0; r +0.707: more in right answers" in text
    prompts = [name for name in "abcdef" for _ in range(2)]
    mixed = columns_of(["TT", "CC"] * 6, prompts=prompts, correct=[1, 0] * 6)
    found = answer_facts(count_correctness(mixed), "trace")
    lines = printed(traced, replace(facts, answers=found))
    assert "    within prompts  +100.0  +100.0 to +100.0" in lines
    few = answer_facts(count_correctness(five), "trace")
    text = " ".join(" ".join(printed(traced, replace(facts, answers=few))).split())
    assert "3 right, 1 wrong answers to 2 prompts: too few to compare classes" in text
