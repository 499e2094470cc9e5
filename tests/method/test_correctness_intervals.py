import numpy as np
import pytest

from rdpt_ray.method.correctness import LETTERS, MAX_POSITIONS, SAMPLE, Correctness
from rdpt_ray.method.correctness_intervals import contrasts, num_positions


def counted(wrong, correct):
    """Of traces given as letters, in the order of their ids."""
    counts = np.zeros((2, len(LETTERS), MAX_POSITIONS), np.int64)
    samples = []
    for group, traces in enumerate((wrong, correct)):
        for text in traces:
            for place, letter in enumerate(text):
                counts[group, LETTERS.index(letter), place] += 1
        samples.append({f"{number:06d}": text for number, text in enumerate(traces[:SAMPLE])})
    return Correctness(counts, tuple(samples))


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
        teacher = contrasts(data, seed=seed, resamples=300)[0]
        hits += teacher.low <= 0.15 <= teacher.high
    # 95 % +- three standard errors of 150 runs, and a little for a percentile interval of 60 traces.
    assert 0.88 <= hits / runs <= 1


def test_the_interval_is_that_of_all_traces_not_of_the_sample():
    rng = np.random.default_rng(0)
    wrong, correct = drawn(rng, 0.35, 4 * SAMPLE), drawn(rng, 0.5, 4 * SAMPLE)
    sampled = contrasts(counted(wrong[:SAMPLE], correct[:SAMPLE]))[0]
    whole = contrasts(counted(wrong, correct))[0]
    assert (whole.high - whole.low) / (sampled.high - sampled.low) == pytest.approx(0.5, abs=0.01)
    assert whole.low <= 0.15 <= whole.high
