"""Every divergence against sums written out, its largest value, and classes made from its values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import classify

# three sentences: (token log-probabilities, characters); the last has no token
SENTENCES = [([-0.5, -1.5], 8), ([-0.25, -0.25, -1.0, -0.5], 10), ([], 3)]
SUMS = np.array([-2.0, -2.0, math.nan])
TOKENS = np.array([2, 4, 0])
CHARS = np.array([8, 10, 3])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prob_difference", [math.exp(-1.0), math.exp(-0.5)]),
        ("log_ratio", [-1.0, -0.5]),
        ("log_ratio_per_char", [-0.25, -0.2]),
    ],
)
def test_values_by_hand(name, expected):
    values = DIVERGENCES[name].values(SUMS, TOKENS, CHARS)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values[:2], expected, rtol=1e-15)
    assert math.isnan(values[2])


def test_names_and_defaults():
    rows = {name: (each.alpha, each.beta, each.highest) for name, each in DIVERGENCES.items()}
    assert rows == {
        "prob_difference": (0.1, 0.1, 1.0),
        "log_ratio": (0.2, 0.2, 0.0),
        "log_ratio_per_char": (0.05, 0.05, 0.0),
    }
    assert all(each.name == name and each.unit for name, each in DIVERGENCES.items())
    assert next(iter(DIVERGENCES)) == "prob_difference"


@given(
    st.sampled_from(sorted(DIVERGENCES)),
    st.lists(
        st.tuples(st.floats(-1e4, 1e-3), st.integers(0, 100), st.integers(1, 1000)),
        max_size=20,
    ),
)
def test_no_value_is_above_the_highest_and_only_what_has_no_token_has_none(name, rows):
    divergence = DIVERGENCES[name]
    sums, tokens, chars = (np.array([row[at] for row in rows]) for at in range(3))
    values = divergence.values(np.where(tokens > 0, sums, np.nan), tokens, chars)
    assert values.shape == (len(rows),)
    np.testing.assert_array_equal(np.isnan(values), tokens == 0)
    assert np.all(values[tokens > 0] <= divergence.highest)


def test_a_certain_model_reaches_the_highest():
    for divergence in DIVERGENCES.values():
        (value,) = divergence.values(np.array([1e-7]), np.array([3]), np.array([12]))
        assert value == divergence.highest


@pytest.mark.parametrize("name", ["log_ratio", "log_ratio_per_char"])
def test_classes_are_made_from_the_values_of_any_divergence(name):
    divergence = DIVERGENCES[name]
    tokens, chars = np.array([4, 4, 4]), np.array([16, 16, 16])
    student = divergence.values(np.array([-4.0, -4.0, -4.0]), tokens, chars)
    teacher = divergence.values(np.array([-3.5, -2.0, -6.0]), tokens, chars)
    classes = classify(teacher, student, beta=divergence.beta)
    assert list(classes) == ["COMMON", "TEACHER", "STUDENT"]


def test_per_char_takes_out_the_tokenizers_share():
    """Two models equally sure of the text; one cuts it into twice as many tokens."""
    sums, chars = np.array([-4.0]), np.array([16])
    student_tokens, teacher_tokens = np.array([4]), np.array([8])
    by_token, by_char = DIVERGENCES["log_ratio"], DIVERGENCES["log_ratio_per_char"]
    for divergence, expected in [(by_token, "TEACHER"), (by_char, "COMMON")]:
        student = divergence.values(sums, student_tokens, chars)
        teacher = divergence.values(sums, teacher_tokens, chars)
        assert classify(teacher, student, beta=divergence.beta)[0] == expected


def test_exactly_beta_is_common_and_a_little_more_is_teacher():
    student = np.array([-0.5, -0.5])
    teacher = np.array([-0.25, -0.25 + 2**-40])
    assert list(classify(teacher, student, beta=0.25)) == ["COMMON", "TEACHER"]
