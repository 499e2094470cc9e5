"""By hand: of 12 sentences 5 are 0.6 apart (Teacher), 7 a little less than 0.05."""

import pytest

from rdpt_ray.method.sensitivity import sweep
from rdpt_ray.publish.findings_beta import beta_rows, neighbours, own_row


def test_rows_by_hand(five):
    rows = {row.beta: row for row in beta_rows(sweep(five), "curate")}
    assert list(rows) == ["0.01", "0.02", "0.05", "0.08", "0.1", "0.12", "0.15", "0.2", "0.3"]
    own = rows["0.1"]
    assert own.counts == (("TEACHER", 5), ("COMMON", 7), ("STUDENT", 0))
    assert own.teacher == pytest.approx(5 / 12)
    assert (own.near, own.same_pick, own.tied) == (0, 1, 0)
    assert own.sentences == 12
    # Everything is Teacher at 0.02, so the longest of p wins.
    assert rows["0.02"].counts == (("TEACHER", 12), ("COMMON", 0), ("STUDENT", 0))
    assert rows["0.02"].same_pick == 0
    assert rows["0.05"].near == pytest.approx(7 / 12)


def test_the_runs_own_row_and_those_beside_it(five):
    rows = beta_rows(sweep(five, beta=0.1), "curate")
    assert own_row(rows).beta == "0.1"
    assert [row.beta for row in neighbours(rows)] == ["0.08", "0.12"]
    assert [row.own for row in rows].count(True) == 1


def test_at_the_end_of_the_grid_there_is_one_neighbour(five):
    rows = beta_rows(sweep(five, beta=0.9), "curate")
    assert [row.beta for row in neighbours(rows)] == ["0.3"]


def test_nothing_to_divide_is_none(columns_of):
    rows = beta_rows(sweep(columns_of(["T"])), "curate")
    assert own_row(rows).same_pick is None
    assert own_row([]) is None
    assert neighbours([]) == []
