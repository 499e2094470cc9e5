"""How far a stage is, on a terminal and in a log, and when it will end."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rdpt_ray.pipeline import progress
from rdpt_ray.pipeline.progress import NUM_FIRST_MARKS, PACE_WINDOW_S, Pace, stage


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def advanced(total, steps, clock=None):
    """A pace after steps of (seconds, items)."""
    clock = clock or Clock()
    pace = Pace(total, clock)
    for seconds, count in steps:
        clock.now += seconds
        pace.advance(count)
    return pace


def test_nobody_knows_before_the_first_item():
    pace = advanced(10, [])
    assert (pace.per_s, pace.eta_s) == (None, None)


def test_the_time_in_which_models_load_counts_no_longer_once_the_rate_is_known():
    early = advanced(100, [(600, 2)])
    assert early.per_s == pytest.approx(2 / 600)
    later = advanced(100, [(600, 2)] + [(10, 2)] * NUM_FIRST_MARKS)
    assert later.per_s == pytest.approx(2 / 10)
    assert later.eta_s == pytest.approx((100 - 12) / 0.2)


def test_a_pool_that_has_grown_is_told_by_its_rate_of_late():
    slow, fast = [(10, 1)] * 200, [(1, 1)] * int(PACE_WINDOW_S + 1)
    assert advanced(10_000, slow + fast).per_s == pytest.approx(1, rel=0.02)


def test_a_stage_that_stands_still_ends_later_and_later():
    clock = Clock()
    pace = advanced(10, [(1, 1)] * 8, clock)
    first = pace.eta_s
    clock.now += 60
    assert pace.eta_s > 5 * first


@given(
    st.lists(
        st.tuples(st.floats(0, 2000), st.integers(1, 9)),
        min_size=1,
        max_size=200,
    )
)
def test_the_eta_is_what_is_left_at_the_rate_and_memory_is_bounded(steps):
    pace = advanced(10_000, steps)
    assert pace.done == sum(count for _, count in steps)
    if steps[-1][0] > 0.001:
        assert pace.per_s > 0
        assert pace.eta_s == pytest.approx((pace.total - pace.done) / pace.per_s)
    assert len(pace._marks) <= PACE_WINDOW_S + NUM_FIRST_MARKS


def lines_of(monkeypatch, num_items, seconds_each):
    """The log of a stage whose items take so long each."""
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    monkeypatch.setattr(Pace.__init__, "__defaults__", (clock,))
    file = io.StringIO()
    with stage(Console(file=file, width=40), "score teacher", num_items) as advance:
        for _ in range(num_items):
            clock.now += seconds_each
            advance(1, "1,234 tokens/s")
    return file.getvalue().splitlines()


def test_a_log_has_a_line_now_and_then_with_what_is_left(monkeypatch):
    lines = lines_of(monkeypatch, 100, 1)
    assert lines[0] == "score teacher: 0/100"
    assert lines[-1] == "score teacher: 100/100 in 100.0 s"
    assert lines[1] == "score teacher: 10/100, eta 1 min 30 s 1,234 tokens/s"
    assert 8 <= len(lines) <= 12


def test_a_stage_of_a_day_does_not_fill_the_log(monkeypatch):
    lines = lines_of(monkeypatch, 86_400 // 5, 5)
    assert 100 < len(lines) < 250
    assert re.fullmatch(r"score teacher: \d+/17280, eta .+ 1,234 tokens/s", lines[-2])


def test_a_terminal_shows_a_bar_with_an_eta():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120)
    with stage(console, "score [teacher]", 4) as advance:
        advance(2, "5 tokens/s")
        advance(2, "6 tokens/s")
    shown = file.getvalue()
    assert "score [teacher]" in shown
    assert "4/4" in shown
    assert "6 tokens/s" in shown
    assert "eta" in shown
