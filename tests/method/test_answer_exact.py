"""Answers that are the reference in the same words, and those that are not."""

import pytest

from rdpt_ray.method.answer_exact import exact_match

RIGHT = [  # reference, text
    ("Paris", "Paris"),
    ("Paris", "paris."),
    ("Paris", "**Paris**"),
    ("Paris", "The answer is Paris."),
    ("Paris", "The answer is Paris. It lies on the Seine."),
    ("Paris", r"\boxed{\text{Paris}}"),
    ("Paris", "<answer> Paris </answer>"),
    ("Paris", '"Paris"'),
    ("Mr. Darcy", "The answer is Mr. Darcy"),
    ("New York City", "new  york\u00a0city"),
    ("don't", "don\u2019t"),
    ("x+1", "x + 1"),
    ("x+1", r"\boxed{x+1}"),
    ("x^2", "x\u00b2"),
    (r"$x^2$", r"\boxed{x^2}"),
    (r"\frac{1}{2}", r"\boxed{\dfrac{1}{2}}"),
    ("1/2", r"\boxed{\frac{1}{2}}"),
    ("1/2", r"\boxed{\frac12}"),
    (r"-\frac{1}{2}", r"\boxed{\frac{-1}{2}}"),
    ("(1, 2)", "(1,2)"),
    ("(1,2)", r"\boxed{\left(1, 2\right)}"),
    ("[0, 1)", r"\boxed{[0,1)}"),
    (r"\{1,2\}", r"\boxed{\{1, 2\}}"),
    ("{1,2}", r"\boxed{\lbrace 1,2 \rbrace}"),
    ("1,000", "1000"),
    ("1000", r"\boxed{1{,}000}"),
    ("1,234,567", "1234567"),
    ("42", "#### 42"),
    ("Sum.\n#### 42", r"\boxed{42}"),
    ("5", r"\boxed{x=5}"),
    ("x=5", r"\boxed{5}"),
    ("f(x)=x+1", "x+1"),
    ("50%", r"\boxed{50\%}"),
    ("90", r"\boxed{90^\circ}"),
    ("90\u00b0", r"\boxed{90^{\circ}}"),
    ("5!", "5!"),
    ("-3", "\u22123"),
    (r"3 \le x", "3 \u2264 x"),
    (r"\infty", "\u221e"),
    (r"2\pi", "2\u03c0"),
    ("a*b", r"\boxed{a \cdot b}"),
    ("Monday", "Answer: Monday"),
    ("Monday", "**Answer:** Monday"),
    ("Yes", r"\boxed{\textbf{Yes}}"),
    ("true", "True"),
    ("B", r"\boxed{B}"),
    ("\u5317\u4eac", "\u7b54\u6848\u662f\u5317\u4eac\u3002"),
    ("\uff15", "5"),
    ("$5", r"\boxed{\$5}"),
    ("2 1/2", "2\u00bd"),
    ("caf\u00e9", "cafe\u0301"),
    ("a, b and c", "A, B and C"),
]

WRONG = [
    ("Paris", "London"),
    ("Paris", r"\boxed{London}"),
    ("Paris", "The answer is London."),
    ("5", "-5"),
    ("-5", r"\boxed{5}"),
    ("5", r"\boxed{50}"),
    ("1000", r"\boxed{1,0000}"),
    ("1.5", r"\boxed{15}"),
    ("(1,2)", r"\boxed{(2,1)}"),
    ("[0,1]", r"\boxed{(0,1)}"),
    ("x=5", r"\boxed{y=5}"),
    ("21/2", "2 1/2"),
    ("x_1", r"\boxed{x_2}"),
    ("5!", r"\boxed{5}"),
    ("0.5", r"\boxed{1/2}"),
    ("yes", r"\boxed{no}"),
    ("1,2", r"\boxed{12}"),
]

UNTOLD = [
    ("", "Paris"),
    (" \n", "Paris"),
    ("Paris", ""),
    ("Paris", "I went there by train\nand came back"),
    ("Paris", "It is Paris"),
    ("Paris", "word " * 40),
    ("4", "3 + 4 makes 7"),
    ("Paris", "x" * 2000),
]


@pytest.mark.parametrize(("reference", "text"), RIGHT)
def test_right(reference, text):
    assert exact_match(reference, text) is True


@pytest.mark.parametrize(("reference", "text"), WRONG)
def test_wrong(reference, text):
    assert exact_match(reference, text) is False


@pytest.mark.parametrize(("reference", "text"), UNTOLD)
def test_untold(reference, text):
    assert exact_match(reference, text) is None
