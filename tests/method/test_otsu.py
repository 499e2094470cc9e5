import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rdpt_ray.method.otsu import otsu

histograms = arrays(np.int64, st.tuples(st.integers(1, 4), st.just(12)), elements=st.integers(0, 5))


def slow(counts):
    """The best cut by the textbook formula, on the sentences themselves."""
    values = np.repeat(np.arange(len(counts)), counts)
    shares = {0: 0.0}
    for cut in range(1, len(counts)):
        low, high = values[values < cut], values[values >= cut]
        if len(low) and len(high):
            weight = len(low) * len(high) / len(values) ** 2
            shares[cut] = weight * (low.mean() - high.mean()) ** 2 / values.var()
    return shares


@given(histograms)
def test_no_cut_is_better(counts):
    cuts, found = otsu(counts)
    for row, cut, share in zip(counts, cuts, found, strict=True):
        shares = slow(row)
        assert share == pytest.approx(max(shares.values()))
        assert shares[int(cut)] == pytest.approx(share)


def test_the_middle_of_a_gap():
    counts = np.array([[5, 0, 0, 0, 0, 0, 5], [5, 5, 0, 0, 0, 0, 0], [0, 0, 3, 0, 0, 0, 0]])
    cuts, shares = otsu(counts)
    assert cuts.tolist() == [3, 1, 0]
    assert shares.tolist() == [1, 1, 0]


def test_an_empty_histogram_has_no_cut():
    cuts, shares = otsu(np.zeros((1, 5), np.int64))
    assert (cuts.tolist(), shares.tolist()) == ([0], [0])
