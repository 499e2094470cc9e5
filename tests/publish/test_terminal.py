from collections import Counter
from io import StringIO

from rich.console import Console

from rdpt_ray.method.summary import Summary
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
    assert not [line for line in lines if "selected" in line]


def test_an_empty_run(facts):
    lines = printed(Summary(), facts)
    assert "rows read               0  prompts: 0" in lines
    assert "per selected trace      -  Teacher sentences" in lines
