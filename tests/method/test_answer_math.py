"""What math-verify is given: the answer alone, in LaTeX; what it then says is in test_verifier_process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.answer_math import boxed, math_pair


@pytest.mark.parametrize(
    ("reading", "latex"),
    [
        ("5", r"\boxed{5}"),
        ("5 apples", r"\boxed{5}"),
        ("5.", r"\boxed{5}"),
        ("$5", r"\boxed{5}"),
        (r"\$1,000", r"\boxed{1,000}"),
        ("50%", r"\boxed{50\%}"),
        (r"50\%", r"\boxed{50\%}"),
        (r"5\text{ cm}", r"\boxed{5}"),
        ("1/2", r"\boxed{1/2}"),
        ("-5", r"\boxed{-5}"),
        ("x^2 + 1", r"\boxed{x^2 + 1}"),
        ("$x^2 + 1$.", r"\boxed{x^2 + 1}"),
        (r"\(x^2\)", r"\boxed{x^2}"),
        (r"$$\frac12$$", r"\boxed{\frac12}"),
        ("$x=1$ or $x=2$", "$x=1$ or $x=2$"),
        ("**7**", r"\boxed{7}"),
    ],
)
def test_a_reading_becomes_a_box(reading, latex):
    assert boxed(reading) == latex


def test_a_pair_is_what_both_mark():
    pair = math_pair("Thus.\n#### 12", r"We get \boxed{\frac{24}{2}}.")
    assert pair is not None
    assert (pair.reference, pair.answer, pair.certain) == (
        r"\boxed{12}",
        r"\boxed{\frac{24}{2}}",
        True,
    )


@pytest.mark.parametrize(("reference", "text"), [("", "5"), ("5", ""), ("5", "x" * 5000)])
def test_no_pair_without_both(reference, text):
    assert math_pair(reference, text) is None


@pytest.mark.parametrize(
    ("reference", "text", "verdict"),
    [
        ("42", r"\boxed{42}", True),
        ("042", r"\boxed{42}", True),
        ("42", r"\boxed{-42}", False),
        ("-0", r"\boxed{0}", True),
        ("42", "42 apples", True),
        ("x+1", r"\boxed{x+1}", True),
        ("x+1", r"\boxed{1+x}", None),
        ("50", r"\boxed{50\%}", None),
        ("1000", r"\boxed{1,000}", None),
        ("4.2", r"\boxed{42}", None),
    ],
)
def test_what_takes_no_mathematics_is_told_without(reference, text, verdict):
    pair = math_pair(reference, text)
    assert pair is not None
    assert pair.obvious is verdict


@given(st.text(), st.text())
def test_no_text_raises_or_grows(reference, text):
    pair = math_pair(reference, text)
    assert pair is None or max(len(pair.reference), len(pair.answer)) < 1100
