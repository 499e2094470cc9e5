"""A summary must not know how the work was cut: merging is a sum, and samples follow a total order."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.method import summary as module
from rdpt_ray.method.provenance import CODES
from rdpt_ray.method.summary import MAX_POSITIONS, NUM_POINTS, Example, Point, Summary, merge

LETTERS = {
    "T": CODES["TEACHER"],
    "S": CODES["STUDENT"],
    "C": CODES["COMMON"],
    "B": CODES["BOOSTED"],
    "H": CODES["SHARED"],
    "-": -1,
}
NAMES = {code: str(name) for name, code in CODES.items()}


def trace(trace_id, letters, *, selected=False, num_chars=10):
    """What `add_trace` takes, from one letter per sentence."""
    codes = np.array([LETTERS[letter] for letter in letters], np.int8)
    num_teacher = letters.count("T")
    probs = [None if letter == "-" else 0.25 for letter in letters]
    example = Example(
        trace_id=trace_id,
        prompt="why?",
        response="x" * len(letters),
        sentences=[(place, place + 1) for place in range(len(letters))],
        classes=[NAMES.get(int(code)) for code in codes],
        teacher_prob=probs,
        student_prob=probs,
        distilled_prob=probs if "B" in letters else None,
        num_teacher=num_teacher,
        selected=selected,
        reference_answer="42" if selected else None,
    )
    return codes, Point(trace_id, num_chars, len(letters), num_teacher, selected), example


def summary_of(traces, **counts):
    summary = Summary(**{"num_examples": 2, **counts})
    for one in traces:
        summary.add_trace(*one)
    return summary


def test_counts_by_hand():
    summary = summary_of(
        [trace("a", "TTSC-", selected=True), trace("b", "TC"), trace("c", "", selected=True)],
        selected=2,
        rejected=1,
    )
    assert summary.classes == {"TEACHER": 3, "COMMON": 2, "STUDENT": 1, "UNSCORED": 1}
    assert summary.classes_selected == {"TEACHER": 2, "COMMON": 1, "STUDENT": 1, "UNSCORED": 1}
    assert summary.positions == {
        "TEACHER": [2, 1],
        "STUDENT": [0, 0, 1],
        "COMMON": [0, 1, 0, 1],
        "UNSCORED": [0, 0, 0, 0, 1],
    }
    assert summary.teacher_per_trace == 1.0


def test_teacher_per_trace_of_nothing_is_zero():
    assert Summary().teacher_per_trace == 0


def test_four_way_classes_are_counted_by_their_names():
    assert summary_of([trace("a", "HBB")]).classes == {"SHARED": 1, "BOOSTED": 2}


def test_positions_end_at_the_last_one_counted():
    summary = summary_of([trace("a", "C" * MAX_POSITIONS + "TTT")])
    assert summary.positions == {"COMMON": [1] * MAX_POSITIONS}
    assert summary.classes == {"COMMON": MAX_POSITIONS, "TEACHER": 3}  # counted all the same


def test_positions_of_unequal_length_add_up():
    one, other = summary_of([trace("a", "TCT")]), summary_of([trace("b", "T"), trace("c", "CCCC")])
    positions = (one + other).positions
    assert positions == {"TEACHER": [2, 0, 1], "COMMON": [1, 2, 1, 1]}
    assert (other + one).positions == positions
    one.add_trace(*trace("d", "T"))
    assert (one + other).positions["TEACHER"] == [3, 0, 1]  # nothing shared with the former sum
    assert positions["TEACHER"] == [2, 0, 1]


def test_examples_are_the_extremes_with_ties_to_the_smaller_id():
    shares = {"a": "TTTT", "b": "TTTT", "c": "TC", "d": "CT", "e": "CCCC", "f": "", "g": "TTTTC"}
    for order in ("abcdefg", "gfedcba", "dgaecfb"):
        finished = summary_of([trace(name, shares[name]) for name in order]).finished()
        assert [one.trace_id for one in finished.most_teacher] == ["a", "b"]  # both 1.0
        assert [one.trace_id for one in finished.least_teacher] == ["e", "f"]  # both 0.0


def test_the_share_and_not_the_count_makes_a_trace_teacher_like():
    long, short = trace("long", "TTTTCCCCCC"), trace("short", "TT")
    finished = summary_of([long, short], num_examples=1).finished()
    assert finished.most_teacher[0].trace_id == "short"
    assert finished.least_teacher[0].trace_id == "long"
    assert (short[2].teacher_share, long[2].teacher_share) == (1.0, 0.4)


@pytest.mark.parametrize("num_examples", [0, 1, 3])
def test_trimming_on_the_way_keeps_exactly_what_trimming_at_the_end_keeps(
    num_examples, monkeypatch
):
    monkeypatch.setattr(module, "NUM_POINTS", 40)
    rng = np.random.default_rng(5)
    traces = [
        trace(f"{number:04x}", "".join(rng.choice([*"TC"], size=rng.integers(1, 6))))
        for number in rng.permutation(500)
    ]
    finished = summary_of(traces, num_examples=num_examples).finished()
    ids = sorted(point.trace_id for _, point, _ in traces)
    assert [point.trace_id for point in finished.points] == ids[:40]
    examples = [example for _, _, example in traces]
    most = sorted(examples, key=lambda one: (-one.teacher_share, one.trace_id))[:num_examples]
    least = sorted(examples, key=lambda one: (one.teacher_share, one.trace_id))[:num_examples]
    assert finished.most_teacher == most
    assert finished.least_teacher == least


def test_what_is_held_stays_bounded():
    summary = Summary(num_examples=1)
    for number in range(3 * NUM_POINTS):
        summary.add_trace(*trace(f"{number:05x}", "T"))
        assert len(summary.points) <= 2 * NUM_POINTS
        assert len(summary.most_teacher) == len(summary.least_teacher) <= 100
    assert len(summary.finished().points) == NUM_POINTS


reasons = st.dictionaries(
    st.sampled_from(["outranked", "filter: complete", "x"]), st.integers(1, 9)
)


@st.composite
def pieces(draw):
    """Summaries of traces with distinct ids, and where to cut them."""
    ids = draw(
        st.lists(st.text("0123456789abcdef", min_size=3, max_size=3), max_size=12, unique=True)
    )
    traces = [
        trace(identity, draw(st.text("TSCBH-", max_size=5)), selected=draw(st.booleans()))
        for identity in ids
    ]
    num_pieces = draw(st.integers(1, 4))
    homes = [draw(st.integers(0, num_pieces - 1)) for _ in traces]
    summaries = []
    for piece in range(num_pieces):
        mine = [one for one, home in zip(traces, homes, strict=True) if home == piece]
        summary = summary_of(mine, rows_read=draw(st.integers(0, 9)))
        summary.selected = sum(point.selected for _, point, _ in mine)
        summary.rejected = len(mine) - summary.selected
        summary.quarantined = draw(st.integers(0, 9))
        summary.num_prompts = draw(st.integers(0, 9))
        summary.drop_reasons.update(draw(reasons))
        summary.quarantine_reasons.update(draw(reasons))
        summaries.append(summary)
    return summaries


@given(pieces(), st.randoms())
def test_merging_does_not_depend_on_order_or_grouping(summaries, rng):
    expected = merge(summaries, num_examples=2).to_dict()
    heap = list(summaries)
    while len(heap) > 1:  # any two, in any order, trimmed and stored in between or not
        rng.shuffle(heap)
        one = heap.pop() + heap.pop()
        heap.append(Summary.from_dict(one.finished().to_dict()) if rng.random() < 0.5 else one)
    assert heap[0].finished().to_dict() == expected
    assert json.dumps(heap[0].finished().to_dict()) == json.dumps(expected)  # to the order of keys


@settings(max_examples=30)
@given(pieces())
def test_nothing_added_changes_nothing(summaries):
    for summary in summaries:
        same = summary.finished().to_dict()
        assert (summary + Summary(num_examples=2)).finished().to_dict() == same
        assert (Summary(num_examples=2) + summary).finished().to_dict() == same
        assert summary.finished().finished().to_dict() == same


@settings(max_examples=30)
@given(pieces())
def test_merging_leaves_the_pieces_as_they_were(summaries):
    before = [json.dumps(summary.to_dict()) for summary in summaries]
    merge(summaries, num_examples=2)
    assert [json.dumps(summary.to_dict()) for summary in summaries] == before


@settings(max_examples=30)
@given(pieces())
def test_totals_add_up(summaries):
    merged = merge(summaries, num_examples=2)
    for name in ("rows_read", "selected", "rejected", "quarantined", "num_prompts"):
        assert getattr(merged, name) == sum(getattr(summary, name) for summary in summaries)
    assert merged.classes.total() == sum(summary.classes.total() for summary in summaries)
    for name, counts in merged.positions.items():
        assert sum(counts) == merged.classes[name]  # no trace here is longer than MAX_POSITIONS
        assert counts[-1] > 0


@settings(max_examples=30)
@given(pieces())
def test_stored_and_read_back_it_is_the_same(summaries):
    for summary in summaries:
        assert Summary.from_dict(summary.to_dict()) == summary
        assert Summary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary


def test_a_summary_in_json_holds_plain_counts():
    """`dataclasses.asdict` alone would turn Counter({"TEACHER": 2}) into {("TEACHER", 2): 1}."""
    values = json.loads(json.dumps(summary_of([trace("a", "TT")]).to_dict(), allow_nan=False))
    assert values["classes"] == {"TEACHER": 2}
    assert values["points"] == [
        {
            "trace_id": "a",
            "num_chars": 10,
            "num_sentences": 2,
            "num_teacher": 2,
            "selected": False,
        }
    ]
    assert values["most_teacher"][0]["sentences"] == [[0, 1], [1, 2]]


def test_what_was_read_back_can_still_be_added_to():
    summary = Summary.from_dict(json.loads(json.dumps(summary_of([trace("a", "T")]).to_dict())))
    summary.add_trace(*trace("b", "TC"))
    assert summary.classes == {"TEACHER": 2, "COMMON": 1}
    assert summary.positions == {"TEACHER": [2], "COMMON": [0, 1]}


def test_a_newer_field_in_a_stored_summary_is_no_obstacle():
    values = {**summary_of([trace("a", "T")]).to_dict(), "a_later_idea": 1}
    assert Summary.from_dict(values) == summary_of([trace("a", "T")])


def test_merging_nothing():
    assert merge([]).to_dict() == Summary().to_dict()
    assert math.isclose(merge([]).teacher_per_trace, 0)
