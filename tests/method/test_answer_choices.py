"""Multiple-choice answers in the writings of the field."""

import pytest

from rdpt_ray.method.answer_choices import choice_match, letters

RIGHT = [  # reference, text
    ("B", "B"),
    ("B", "b"),
    ("b", "B."),
    ("B", "(B)"),
    ("B", "[B]"),
    ("B", "B)"),
    ("B", "**B**"),
    ("B", "`B`"),
    ("B", "$B$"),
    ("B", r"\boxed{B}"),
    ("B", r"\boxed{(B)}"),
    ("B", r"\boxed{\text{B}}"),
    ("B", r"\boxed{\text{(B)}}"),
    ("B", r"\boxed{\textbf{(B)}}"),
    ("B", r"\boxed{\textbf{(B)}\ 42}"),
    ("B", r"\boxed{\textbf{(B) }42}"),
    ("B", r"\boxed{\mathrm{B}}"),
    ("B", r"\boxed{\mathbf{B}}"),
    ("B", r"$\boxed{\text{B) } \frac{1}{2}}$"),
    ("B", r"\boxed{B: 42}"),
    ("B", r"\boxed{B. Paris}"),
    ("B", r"\boxed{B - Paris}"),
    ("B", r"\boxed{\text{Option B}}"),
    ("B", "The answer is B"),
    ("B", "The answer is B."),
    ("B", "The answer is (B)."),
    ("B", "The correct answer is **B**."),
    ("B", "The correct answer is: **B. Paris**"),
    ("B", "The correct option is (B) Paris."),
    ("B", "The best choice is B, because A is wrong."),
    ("B", "Answer: B"),
    ("B", "ANSWER: (b)"),
    ("B", "**Answer:** B) Paris"),
    ("B", "**Final Answer**\n\nB"),
    ("B", "Final answer: option B"),
    ("B", "Therefore, the correct choice is \\(\\text{B}\\)."),
    ("B", "#### B"),
    ("B", "<answer>B</answer>"),
    ("B", "<answer>(B) Paris</answer>"),
    ("B", "A is wrong.\nSo it must be option B."),
    ("B", "C is ruled out.\nB is correct."),
    ("B", "Paris is the capital, which is (B)."),
    ("B", "\u7b54\u6848\uff1aB"),
    ("B", "\u7b54\u6848\u662fB\u3002"),
    ("B", "\u6240\u4ee5\uff0c\u6b63\u786e\u9009\u9879\u662f B"),
    ("B", "\u6545\u9009\uff1aB"),
    ("(B)", "B"),
    ("B. Paris", "The answer is B"),
    ("(B) 42", r"\boxed{B}"),
    (r"\text{(B)}", r"\boxed{B}"),
    ("Option B", "B"),
    ("AC", "A, C"),
    ("A and C", r"\boxed{AC}"),
    ("A,C", r"\boxed{\text{C and A}}"),
    ("A", "The answer is A."),
    ("I", r"\boxed{I}"),
    ("J", "The answer is (J)"),
    ("E", r"\boxed{\textbf{(E)}~\text{none of the above}}"),
    ("D", '{"answer": "D"}'),
    ("C", "The answer is **(C)** 5 apples"),
    ("#### C", "C"),
]

WRONG = [
    ("B", "A"),
    ("B", r"\boxed{C}"),
    ("B", r"\boxed{\text{(D)}}"),
    ("B", "The answer is A. Not B."),
    ("B", "A and B"),
    ("B", r"\boxed{AB}"),
    ("AC", r"\boxed{A}"),
    ("B", r"\boxed{B} no, \boxed{C}"),
    ("(B) 42", "(C) 42"),
    ("B", "<answer>A</answer>"),
]

UNTOLD = [
    ("B", ""),
    ("", "B"),
    ("Paris", "B"),
    ("42", "B"),
    ("B", "Paris"),
    ("B", "A triangle has three sides."),
    ("I", "I think so."),
    ("A", "A long time ago"),
    ("B", r"\boxed{42}"),
    ("B", "Option A and option B are left."),
    ("B", "The answer is Dublin."),
    ("B", "The answer is a river."),
    ("K", "K"),
    ("B", r"\boxed{x}"),
]


@pytest.mark.parametrize(("reference", "text"), RIGHT)
def test_right(reference, text):
    assert choice_match(reference, text) is True


@pytest.mark.parametrize(("reference", "text"), WRONG)
def test_wrong(reference, text):
    assert choice_match(reference, text) is False


@pytest.mark.parametrize(("reference", "text"), UNTOLD)
def test_untold(reference, text):
    assert choice_match(reference, text) is None


@pytest.mark.parametrize("letter", "ABCDEFGHIJ")
@pytest.mark.parametrize("form", ["{}", "({})", "{}.", r"\text{{({})}}", "option {}"])
def test_every_letter(letter, form):
    assert letters(form.format(letter)) == {letter}
    assert letters(form.format(letter.lower())) == {letter}
