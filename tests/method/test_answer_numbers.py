"""Numbers in the writings of the field, and the traps between them."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.answer_numbers import numeric_match, quantity

RIGHT = [  # reference, text
    ("42", "42"),
    ("42", "42."),
    ("42", "42.0"),
    ("42", "+42"),
    ("042", "42"),
    ("42", r"\boxed{42}"),
    ("42", r"$\boxed{x = 42}$"),
    ("42", "The answer is 42."),
    ("42", "#### 42"),
    ("18 = 18\n#### 18", "The answer is $18."),
    ("1000", "1,000"),
    ("1,000", r"\boxed{1000}"),
    ("1000000", "1,000,000"),
    ("1000000", "1 000 000"),
    ("1000", r"\boxed{1{,}000}"),
    ("1000", r"\boxed{1\,000}"),
    ("100000", "1,00,000"),
    ("0.5", "1/2"),
    ("0.5", ".5"),
    ("0.5", r"\boxed{\frac{1}{2}}"),
    ("1/2", r"\boxed{\dfrac12}"),
    ("1/2", "\u00bd"),
    ("2/4", "1/2"),
    ("-1/2", r"\boxed{-\frac{1}{2}}"),
    ("-1/2", r"\boxed{\frac{-1}{2}}"),
    ("-1/2", r"\boxed{\frac{1}{-2}}"),
    ("1/2", r"\boxed{-\frac{-1}{2}}"),
    ("2.5", "2 1/2"),
    ("2.5", r"\boxed{2\frac{1}{2}}"),
    ("2.5", "2\u00bd"),
    ("-2.5", r"\boxed{-2\frac{1}{2}}"),
    ("50%", "0.5"),
    ("50%", "50"),
    ("50", r"\boxed{50\%}"),
    ("0.5", r"\boxed{50\%}"),
    ("50", "50 percent"),
    ("33.3%", "1/3"),
    ("1/3", "0.333"),
    ("2/3", "0.6667"),
    ("3.14", "3.14159"),
    ("3.14159", "3.142"),
    ("1e3", "1000"),
    ("1.5e-3", "0.0015"),
    ("1500", r"\boxed{1.5 \times 10^{3}}"),
    ("1.5\u00d710\u00b3", "1500"),
    ("1000000", r"\boxed{10^6}"),
    ("1024", r"\boxed{2^{10}}"),
    ("-5", "\u22125"),
    ("-5", "- 5"),
    ("5", r"\boxed{5\text{ cm}}"),
    ("5 cm", r"\boxed{5}"),
    ("5", "5 apples"),
    ("5", "5 square metres"),
    ("9.8", r"\boxed{9.8 \text{ m/s}^2}"),
    ("25", r"\boxed{25 \text{ cm}^2}"),
    ("90", r"\boxed{90^\circ}"),
    ("90", "90\u00b0"),
    ("20", r"\boxed{20^\circ\text{C}}"),
    ("5", "$5"),
    ("5", r"\boxed{\$5}"),
    ("5.00", r"\boxed{\$5.00}"),
    ("-5", "-$5"),
    ("1500", "\u20ac1,500"),
    ("3000000", "3 million"),
    ("3.2 million", "3,200,000"),
    ("7", "So he has 7 apples."),
    ("7", r"\boxed{3 + 4 = 7}"),
    ("3.14", r"\boxed{x \approx 3.14}"),
    ("7", "The answer is about 7."),
    ("12", "(12)"),
    ("0", "-0"),
    ("60", "The answer is 60 km/h."),
]

WRONG = [
    ("42", "43"),
    ("5", "-5"),
    ("-5", r"\boxed{5}"),
    ("1/2", r"\boxed{-\frac{1}{2}}"),
    ("1000", r"\boxed{100}"),
    ("1,000", r"\boxed{1.000}"),
    ("1/3", "0.3"),
    ("1/3", r"\boxed{0.33}"),
    ("2/3", r"\boxed{0.666}"),
    ("5", r"\boxed{5.003}"),
    ("3", r"\boxed{3.14}"),
    ("0.5", r"\boxed{0.54}"),
    ("50%", r"\boxed{5}"),
    ("50%", r"\boxed{0.05}"),
    ("1e3", r"\boxed{1e4}"),
    ("2 1/2", r"\boxed{21/2}"),
    ("1000000", r"\boxed{10^5}"),
    ("3 million", r"\boxed{3}"),
    ("7", "The answer is 8."),
]

UNTOLD = [
    ("", "5"),
    ("5", ""),
    ("Paris", "5"),
    ("5", "Paris"),
    ("5", r"\boxed{x+5}"),
    ("5", r"\boxed{5x}"),
    ("5", r"\boxed{5i}"),
    ("5", r"\boxed{5\pi}"),
    ("5", r"\boxed{\sqrt{25}}"),
    ("5", r"\boxed{5!}"),
    ("5", r"\boxed{5 \text{ or } 6}"),
    ("5", r"\boxed{5, 6}"),
    ("5", r"\boxed{\{5, 6\}}"),
    ("5", r"\boxed{(5, 6)}"),
    ("5", r"\boxed{x \le 5}"),
    ("5", r"\boxed{\pm 5}"),
    ("5", "The answer is at least 5"),
    ("5", "The answer is 3,14"),
    ("5 m", r"\boxed{5 \text{ cm}}"),
    ("5", "There are 6 apples,\nso I keep 6 of them."),
    ("5", r"\boxed{5/0}"),
    ("5", r"\boxed{0^{-1}}"),
    ("5 or 6", r"\boxed{5}"),
    ("5", r"\boxed{9^{9^{9}}}"),
]


@pytest.mark.parametrize(("reference", "text"), RIGHT)
def test_right(reference, text):
    assert numeric_match(reference, text) is True


@pytest.mark.parametrize(("reference", "text"), WRONG)
def test_wrong(reference, text):
    assert numeric_match(reference, text) is False


@pytest.mark.parametrize(("reference", "text"), UNTOLD)
def test_untold(reference, text):
    assert numeric_match(reference, text) is None


@given(st.fractions(), st.fractions())
def test_fractions_are_compared_exactly(one, other):
    assert numeric_match(str(one), rf"\boxed{{{other}}}") is (one == other)


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_decimals_are_read_exactly(digits, places):
    written = f"{Decimal(digits).scaleb(-places):f}"
    read = quantity(written)
    assert read is not None
    assert read.value == Fraction(digits, 10**places)


@given(st.integers())
def test_no_sign_is_lost(value):
    assert numeric_match(str(value), rf"\boxed{{{-value}}}") is (value == 0)
