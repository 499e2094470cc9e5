from dataclasses import replace

import numpy as np
import pytest

from rdpt_ray.method.correctness import SAMPLE
from rdpt_ray.method.correctness_intervals import contrasts, num_positions
from tests.method.counted_traces import counted, counted_prompts


def drawn(rng, share, traces, length=6):
    """Traces that are TEACHER to different degrees, `share` on average; every other one is shorter."""
    own = rng.beta(4 * share, 4 * (1 - share), traces)
    return [
        "".join("T" if rng.random() < chance else "C" for _ in range(length - number % 2))
        for number, chance in enumerate(own)
    ]


def test_curves_and_area_by_hand():
    wrong = ["TC"] * 3 + ["CT"] * 3 + ["C"] * 4
    correct = ["TT"] * 6 + ["CT"] * 2 + ["TCS"] * 2
    found = {each.name: each for each in contrasts(counted(wrong, correct))}
    assert found.keys() == {"TEACHER", "STUDENT", "COMMON"}
    assert found["TEACHER"].wrong.share == (0.3, 0.5)
    assert found["TEACHER"].correct.share == (0.8, 0.8)
    assert found["TEACHER"].area == pytest.approx((0.5 + 0.3) / 2)
    assert found["COMMON"].area == pytest.approx((-0.5 - 0.3) / 2)
    # S only stands at the third position, which no more than two traces reach.
    assert found["STUDENT"].correct.share == (0, 0)
    assert found["STUDENT"].area == 0
    for each in found.values():
        assert each.low <= each.area <= each.high
        for curve in (each.correct, each.wrong):
            for low, share, high in zip(curve.low, curve.share, curve.high, strict=True):
                assert 0 <= low <= share <= high <= 1


def test_positions_with_too_few_traces_are_not_read():
    assert num_positions(counted(["TT"] * 4, ["TT"] * 100)) == 0
    assert num_positions(counted(["TT"] * 5, ["TTT"] * 100)) == 2
    assert num_positions(counted(["T"] * 195 + ["TT"] * 5, ["TT"] * 200)) == 1  # 5 of 200: 2.5 %
    assert contrasts(counted(["TT"] * 4, ["TT"] * 100)) == []
    assert contrasts(counted([], ["TT"] * 100)) == []


def test_the_same_seed_gives_the_same():
    rng = np.random.default_rng(0)
    data = counted(drawn(rng, 0.3, 50), drawn(rng, 0.5, 60))
    assert contrasts(data, seed=1) == contrasts(data, seed=1)
    assert contrasts(data, seed=1) != contrasts(data, seed=2)


def test_the_area_is_covered_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    runs, hits = 150, 0
    for seed in range(runs):
        data = counted(drawn(rng, 0.35, 60), drawn(rng, 0.5, 80))
        teacher = contrasts(data, seed=seed, resamples=200)[0]
        hits += teacher.low <= 0.15 <= teacher.high
    # 95 % +- three standard errors of 150 runs, and a little for a percentile interval of 60 traces.
    assert 0.88 <= hits / runs <= 1


def test_the_interval_is_that_of_all_prompts_not_of_the_sample():
    rng = np.random.default_rng(0)
    wrong, correct = drawn(rng, 0.35, 2 * SAMPLE), drawn(rng, 0.5, 2 * SAMPLE)
    both = counted(wrong[: SAMPLE // 2], correct[: SAMPLE // 2])
    whole = replace(counted(wrong, correct), sample=both.sample)
    sampled, scaled = contrasts(both)[0], contrasts(whole)[0]
    assert (scaled.high - scaled.low) / (sampled.high - sampled.low) == pytest.approx(0.5, abs=0.01)
    assert scaled.low <= 0.15 <= scaled.high


def test_traces_of_one_prompt_are_drawn_together():
    """Eight copies of a trace say no more than one: the interval stays as wide as with one."""
    rng = np.random.default_rng(0)
    wrong, correct = drawn(rng, 0.35, 60), drawn(rng, 0.5, 60)
    once = contrasts(counted(wrong, correct))[0]
    groups = [(0, [text] * 8) for text in wrong] + [(1, [text] * 8) for text in correct]
    prompts = [([], texts) if group else (texts, []) for group, texts in groups]
    copied = contrasts(counted_prompts(prompts))[0]
    assert copied.area == pytest.approx(once.area)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.1)


def test_a_few_prompts_are_not_read_however_many_traces():
    traces = (["TC"] * 50, ["CT"] * 50)
    assert contrasts(counted_prompts([traces] * 4)) == []
    assert len(contrasts(counted_prompts([traces] * 5))) == 2
