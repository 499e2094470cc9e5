"""Verifiers by name, and what pins them down."""

import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.verifiers import MATCHES, verifier_id, verifier_identity


@pytest.mark.parametrize("method", MATCHES)
def test_ours_are_pinned_by_our_version(method):
    assert verifier_identity(method) == f"{method}/1"
    assert verifier_id(method).startswith(f"{method}-")


def test_maths_is_pinned_by_every_library():
    pytest.importorskip("math_verify")
    identity = verifier_identity("math")
    for library in ("math-verify==", "latex2sympy2_extended==", "sympy=="):
        assert library in identity


def test_an_unknown_one_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'numeric'"):
        verifier_identity("numerical")
