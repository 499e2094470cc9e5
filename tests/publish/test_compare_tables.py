from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from rdpt_ray.method.comparison import Comparison, compare
from rdpt_ray.method.sensitivity import sweep
from rdpt_ray.publish.compare_tables import WIDTH, print_comparison


def printed(comparison, sensitivity, width=200, **options):
    file = StringIO()
    print_comparison(Console(file=file, width=width, **options), comparison, sensitivity)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_policies_length_overlap_and_thresholds_by_hand(five):
    lines = printed(compare(five, names=["teacher_count", "longest"]), sweep(five))
    found = [" ".join(line.split()) for line in lines]
    assert "1 prompt with two or more candidates; means per pick" in found
    assert "policy picks chars sent. tokens Teacher T/sent. right graded" in found
    assert "teacher_count 1 100 3.0 9 2.00 0.667 100.0% 1" in found
    assert "longest 1 300 5.0 15 1.00 0.200 100.0% 1" in found
    assert "all candidates 4 151 2.8 8 1.00 0.364 66.7% 3" in found
    # a is 100 long, its prompt's mean is 151; b and d are within 10 % and have 1 and 0 Teacher sentences.
    assert "teacher_count 0.66x 2 +1.50 +100.0" in found
    assert "longest 1.99x 0 - -" in found
    assert "1 longest 0" in found
    assert "2 teacher_count 0" in found
    assert "beta Teacher Common Student near same pick tied" in found
    assert "0.1 (run) 41.7% 58.3% 0.0% 0.0% 100.0% 0.0%" in found
    assert "0.02 100.0% 0.0% 0.0% 0.0% 0.0% 0.0%" in found
    assert any(line.startswith("sentences ") and "5 candidates" in line for line in lines)


def test_policies_left_out_are_named(five):
    first, *others = [
        line for line in printed(compare(five), None) if line.startswith("left out: ")
    ]
    assert first.startswith(
        "left out: aslec: the student's scores lack the log-probability of each"
    )
    assert others == [
        "left out: ifd: not measured: unprompted; add unprompted to models.student.signals",
        "left out: lark: not measured: brier; add brier to models.student.signals",
        "left out: rsr: not measured: rank; add rank to models.student.signals",
    ]


def test_unread_traces_are_said(five):
    known = five.teacher_known.copy()
    known[2] = False
    columns = replace(five, teacher_known=known)
    text = " ".join(" ".join(printed(compare(columns), sweep(columns))).split())
    assert "no Teacher count: 1 trace that the teacher did not read to the end; in 1 prompt" in text
    assert "in 1 prompt the teacher did not read every candidate" in text


def test_nothing_to_choose_between(columns_of):
    columns = columns_of(["TC", "C"])
    assert "nothing to choose between" in printed(compare(columns), None)[0]
    assert printed(None, None) == printed(Comparison({}), None)


@pytest.mark.parametrize("width", [100, 300])
@pytest.mark.parametrize("name", ["x" * 300, "\x1b[2J\x07", "[bold red]no[/]", "a\u202eb"])
def test_hundred_columns_and_no_control_whatever_a_policy_is_called(five, name, width):
    comparison = compare(five)
    rows = {**comparison.policies, name: comparison.policies["longest"]}
    rows |= {f"{number:02}{'p' * 40}": comparison.policies["longest"] for number in range(30)}
    names = sorted(rows)
    comparison = replace(
        comparison,
        policies=rows,
        left_out={name + "2": name},
        overlaps={
            first: dict.fromkeys(names[index + 1 :], (10**9, 10**9))
            for index, first in enumerate(names)
        },
    )
    lines = printed(comparison, sweep(five), width)
    assert max(map(len, lines)) <= WIDTH
    assert not [char for char in "".join(lines) if ord(char) < 32 or char == "\u202e"]
    assert any("the first 18 of" in line for line in lines)
