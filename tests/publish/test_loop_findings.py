import json
from dataclasses import replace

import pytest

from rdpt_ray.publish.loop_findings import (
    cautions,
    class_names,
    computed,
    pair_rows,
    policy_rows,
)
from tests.publish.loop_run import answered, loop, policy


def test_means_and_shares_by_hand():
    first, random, fewest = policy_rows(loop())
    assert first.accuracy.mean == pytest.approx(0.8)
    assert first.accuracy.deviation == pytest.approx(0.1)
    # t(2) = 4.303
    assert first.accuracy.low == pytest.approx(0.8 - 4.303 * 0.1 / 3**0.5, abs=1e-4)
    assert (random.accuracy.low, random.accuracy.high) == pytest.approx((0.6, 0.6))
    # .4, .9, .2: .5 +- 4.303 * .361 / sqrt(3) would reach below 0 and above 1.
    assert fewest.accuracy.mean == pytest.approx(0.5)
    assert (fewest.accuracy.low, fewest.accuracy.high) == (0, 1)
    # 6 + 7 + 8 Teacher, 9 Shared, 1 + 0 + 1 Student
    assert first.shares == pytest.approx({"TEACHER": 21 / 32, "SHARED": 9 / 32, "STUDENT": 2 / 32})
    assert first.teacher_difference.mean == pytest.approx(0.2)
    assert class_names(loop()) == ["TEACHER", "SHARED", "STUDENT"]


def test_the_first_is_compared_with_the_others_seed_by_seed():
    one, other = pair_rows(loop())
    assert (one.first, one.second) == ("teacher_count", "random")
    # .2, .1, .3: s = .1; all three won, and +++ or --- of eight
    assert one.difference.spread.mean == pytest.approx(0.2)
    assert one.difference.won == 3
    assert (one.difference.p_value, one.difference.smallest_p) == (0.25, 0.25)
    assert one.verdict == "undecided"  # .2 - 4.303 * .1 / sqrt(3) is below 0
    # .4, -.2, .7
    assert (other.second, other.difference.won, other.verdict) == ("fewest", 2, "undecided")
    turned = pair_rows(loop(pairs=(("random", "teacher_count"),)))
    assert [each.difference.spread.mean for each in turned] == pytest.approx([-0.2])


def test_a_clear_difference_is_told_and_who_is_ahead():
    policies = (policy("a", (9, 9, 8)), policy("b", (1, 1, 1)))
    assert pair_rows(loop(policies=policies))[0].verdict == "first is better"
    assert pair_rows(loop(policies=policies[::-1]))[0].verdict == "second is better"


def test_only_seeds_that_both_have_are_compared():
    short = policy("b", (1, 1))
    pairs = pair_rows(loop(policies=(policy("a", (2, 3, 9)), short)))
    assert pairs[0].difference.spread.seeds == 2
    assert pairs[0].difference.spread.mean == pytest.approx(0.15)
    (none,) = pair_rows(loop(policies=(policy("a", (2,)), policy("b", ()))))
    assert none.difference is None
    assert none.verdict == "undecided: too few seeds"


def test_what_the_numbers_do_not_carry_is_said():
    (floor, prompts) = cautions(loop())
    assert "With 3 seeds no p-value of the sign-flip test can be below 0.25" in floor
    assert "over seeds of the training" in prompts
    uneven = replace(policy("random", (6,)), tokens=6000)
    unclear = policy("fewest", (6,))
    unclear = replace(unclear, seeds=(replace(unclear.seeds[0], accuracy=answered(5, unknown=2)),))
    said = " ".join(cautions(loop(policies=(uneven, unclear))))
    assert "(5,000 to 6,000)" in said
    assert "Of 2 of 20 answers it is not known" in said
    assert cautions(loop(policies=(policy("a", ()),))) == []


def test_everything_that_is_computed_is_plain():
    found = json.loads(json.dumps(computed(loop())))
    assert found["policies"]["random"]["accuracy"]["mean"] == pytest.approx(0.6)
    assert found["pairs"][0]["difference"]["won"] == 3
    assert found["facts"]["policies"][0]["control"]["pairs"] == 40
