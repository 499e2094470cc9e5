import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.t_distribution import central, two_sided


# Any printed table of t, two-sided.
@pytest.mark.parametrize(
    ("confidence", "freedom", "t"),
    [
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.95, 3, 3.182),
        (0.95, 4, 2.776),
        (0.95, 9, 2.262),
        (0.95, 30, 2.042),
        (0.9, 4, 2.132),
        (0.99, 4, 4.604),
        (0.99, 7, 3.499),
        (0.999, 10, 4.587),
    ],
)
def test_the_table(confidence, freedom, t):
    assert two_sided(confidence, freedom) == pytest.approx(t, abs=5e-4)


@given(st.floats(0, 1e6))
def test_one_and_two_degrees_are_known_in_closed_form(t):
    assert central(t, 1) == pytest.approx(2 * math.atan(t) / math.pi)
    assert central(t, 2) == pytest.approx(t / math.sqrt(2 + t * t))


@given(st.floats(0.01, 0.999), st.integers(1, 60))
def test_the_quantile_is_the_inverse_and_falls_towards_the_normal(confidence, freedom):
    t = two_sided(confidence, freedom)
    assert central(t, freedom) == pytest.approx(confidence, abs=1e-9)
    normal = NormalDist().inv_cdf((1 + confidence) / 2)
    assert normal < t
    assert two_sided(confidence, freedom + 1) < t


@pytest.mark.parametrize("arguments", [(-1.0, 3), (1.0, 0)])
def test_outside_its_range(arguments):
    with pytest.raises(ValueError, match="at least 1 degree of freedom"):
        central(*arguments)
    with pytest.raises(ValueError, match="between 0 and 1"):
        two_sided(1.0, 3)


def test_many_degrees_are_nearly_normal():
    assert two_sided(0.95, 20_000) == pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-4)


def test_infinity_holds_everything():
    assert central(math.inf, 3) == 1.0
