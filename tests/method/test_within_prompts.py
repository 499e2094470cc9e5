import numpy as np
import pytest

from rdpt_ray.method.equal_position import associations
from rdpt_ray.method.within_prompts import num_mixed, within_prompts
from tests.method.counted_traces import counted, counted_prompts


def test_by_hand():
    # First prompt, one wrong and two right traces: w = 2 / 3; shares of T at position 1: 0 and 1 / 2.
    # Second, two of each: w = 1 at position 1 (1 / 2 and 1), 1 trace of each at position 2: w = 1 / 2 (0, 1).
    first = (["C"], ["T", "C"])
    second = (["TC", "C"], ["TT", "T"])
    one_sided = (["T"] * 9, [])
    data = counted_prompts([first, second, one_sided] * 5)
    assert num_mixed(data) == 10
    found = within_prompts(data)["TEACHER"]
    above = (2 / 3) * (1 / 2) + 1 * (1 / 2) + (1 / 2) * 1
    assert found.difference == pytest.approx(above / (2 / 3 + 1 + 1 / 2))
    assert found.low <= found.difference <= found.high
    assert within_prompts(data)["COMMON"].difference == pytest.approx(-found.difference)
    assert within_prompts(data)["BOOSTED"].difference == 0


def test_a_hard_prompt_makes_no_difference_within_it():
    """Easy prompts have more T and more right answers; within a prompt T says nothing."""
    easy = (["T", "C"], ["T", "C"] * 4)
    easy = (easy[0] + ["T"] * 2, easy[1] + ["T"] * 8)
    hard = (["T", "C", "C", "C"] * 4, ["T", "C", "C", "C"])
    data = counted_prompts([easy] * 10 + [hard] * 10)
    overall = next(each for each in associations(data) if each.name == "TEACHER")
    assert overall.low > 0.1
    found = within_prompts(data)["TEACHER"]
    assert (found.difference, found.low, found.high) == pytest.approx((0, 0, 0))


def test_too_few_prompts_of_both_kinds():
    mixed = (["T"], ["C"])
    assert within_prompts(counted_prompts([mixed] * 4 + [(["T"] * 9, [])] * 9)) == {}
    assert within_prompts(counted(["T"] * 9, ["C"] * 9)) == {}
    found = within_prompts(counted_prompts([mixed] * 5))
    assert (found["TEACHER"].difference, found["TEACHER"].high) == (-1, -1)


def test_it_covers_a_known_difference_and_the_same_seed_gives_the_same():
    rng = np.random.default_rng(0)
    runs, hits = 100, 0
    for seed in range(runs):
        prompts = []
        for own in rng.uniform(0, 0.8, 40):
            groups = [
                ["".join(rng.choice(["T", "C"], 4, p=[share, 1 - share])) for _ in range(2)]
                for share in (own, own + 0.15)
            ]
            prompts.append((groups[0], groups[1]))
        found = within_prompts(counted_prompts(prompts), seed=seed, resamples=200)["TEACHER"]
        hits += found.low <= 0.15 <= found.high
    assert 0.87 <= hits / runs <= 1
    data = counted_prompts(prompts)
    assert within_prompts(data, seed=1) == within_prompts(data, seed=1)
