"""Where the final answer of a text is found, and that no text takes long or raises."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.answer_choices import choice_match
from rdpt_ray.method.answer_exact import exact_match
from rdpt_ray.method.answer_numbers import numeric_match
from rdpt_ray.method.answer_text import plain
from rdpt_ray.method.answers import READING_CHARS, final_answer, reference_readings

MATCHES = (exact_match, numeric_match, choice_match)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        (r"So \boxed{5}.", "5"),
        (r"\boxed{3} was wrong, hence \boxed{4}", "4"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\fbox{A}", "A"),
        (r"\boxed {x+1}", "x+1"),
        (r"\boxed 42 and that is it", "42"),
        (r"\boxed 1.5.", "1.5"),
        (r"$x = \boxed{1}$ or $x = \boxed{2}$", "1, 2"),
        (r"\boxed{1}, \boxed{2}, \boxed{3}", "1, 2, 3"),
        (r"\boxed{5}; checked again: \boxed{5}", "5"),
        (r"\boxed{12}. The rest was cut: \boxed{1", "12"),
        (r"\boxed{}\boxed{ } so the answer is 3", "3"),
        ("<answer>Paris</answer>", "Paris"),
        ("<answer> 12\n</answer> good luck", "12"),
        ("<answer>9</answer><answer>10</answer>", "10"),
        ("<answer>The answer is 5.</answer>", "5."),
        ("<answer>unclosed", "unclosed"),
        ("5 + 5 = 10\n#### 10", "10"),
        ("#### Step 1\nadd\n#### 1,000\n", "1,000"),
        ("#### Step 4\nThe final answer is 8.", "8."),
        ("The final answer is 42. I hope it is correct.", "42"),
        ("The answer is: **B**", "B**"),
        ("**Answer:** 17", "17"),
        ("Answer: 17\n", "17"),
        ("**Final Answer**\n\n17", "17"),
        ("### Final Answer:\n17 apples", "17 apples"),
        ("The answer to the riddle is a river.", "a river."),
        ("the answer is 5. Checking: the answer is correct.", "5"),
        ("The answer is 5.\nThis answer is consistent.", "5."),
        ("The correct option is (C).", "(C)."),
        ("The answer is 5. Wait.\nThe answer is 6.", "6."),
        ("\u6240\u4ee5\u7b54\u6848\u662f\uff1aB", "B"),
        ("\u6545\u9009B", "B"),
        ('{"answer": "B"}', '"B"}'),
    ],
)
def test_a_marked_answer_is_found(text, reading):
    found = final_answer(text)
    assert found is not None
    assert found.readings[0] == reading
    assert found.certain


@pytest.mark.parametrize(
    ("text", "reading", "certain"),
    [
        ("Paris", "Paris", True),
        ("  7 \n", "7", True),
        ("First this.\nThen that.\n\n", "Then that.", False),
        ("one long line " * 6, ("one long line " * 6).strip(), False),
    ],
)
def test_without_a_mark_it_is_the_last_line(text, reading, certain):
    found = final_answer(text)
    assert found is not None
    assert (found.readings[0], found.certain) == (reading, certain)


@pytest.mark.parametrize("text", ["", " \n\t", "x" * (READING_CHARS + 1)])
def test_no_answer(text):
    assert final_answer(text) is None


@pytest.mark.parametrize(
    ("reference", "readings"),
    [
        ("42", ("42",)),
        ("She has 3 + 4 = 7.\n#### 7", ("7",)),
        (r"Since $a = b$, \boxed{\frac12}.", (r"\frac12",)),
        ("two\nlines", ("two\nlines",)),
        ("", ()),
    ],
)
def test_a_reference_is_what_it_marks_or_all_of_it(reference, readings):
    assert reference_readings(reference) == readings


def test_only_the_end_is_looked_at():
    assert final_answer(r"\boxed{1}" + "\n" * 10_000 + "2").readings[0] == "2"


PIECES = st.sampled_from(
    [
        *("\\boxed{", "\\boxed", "{", "}", "\\", "$", "<answer>", "</answer>", "####", "\n", " "),
        *(
            "answer is ",
            "Answer:",
            "final answer",
            "(",
            ")",
            "A",
            "B",
            "1",
            ",",
            ".",
            "/",
            "-",
            "%",
        ),
        *(
            "\\frac",
            "\\text{",
            "^",
            "\u00bd",
            "\u00b2",
            "\u7b54\u6848",
            "=",
            "and",
            "\x00",
            "\ud7ff",
        ),
    ]
)


@given(st.text() | st.lists(PIECES).map("".join), st.text() | st.lists(PIECES).map("".join))
def test_no_text_raises(reference, text):
    for match in MATCHES:
        assert match(reference, text) in (True, False, None)


@given(st.lists(PIECES | st.text(max_size=3)).map("".join).filter(str.strip))
def test_exact_is_reflexive(text):
    assert exact_match(text, text)


@given(
    st.integers().map(str)
    | st.integers().map("{:,}".format)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4).map("{:f}".format)
    | st.fractions().map(str)
    | st.tuples(st.integers(-99, 99), st.integers(1, 99)).map(
        lambda ab: f"\\frac{{{ab[0]}}}{{{ab[1]}}}"
    )
)
def test_numeric_is_reflexive(text):
    assert numeric_match(text, text)
    assert numeric_match(text, rf"so \boxed{{{text}}}")


@given(st.text(max_size=60))
def test_plain_is_done_after_a_few_rounds(text):
    """Wrappers inside wrappers come off one layer at a time; nothing ever grows back."""
    settled = plain(plain(plain(text)))
    assert len(plain(settled)) <= len(settled) + 1


HOSTILE = {
    "braces": "\\boxed{" * 150_000,
    "closed": "\\boxed{" * 75_000 + "}" * 75_000,
    "labels": "the answer to " * 70_000,
    "answers": "answer is " * 100_000,
    "tags": "<answer>" * 125_000,
    "blanks": "answer:" + " " * 1_000_000,
    "digits": "1" * 1_000_000,
    "commas": "1,234" * 200_000,
    "groups": "111,111,11" * 100_000,
    "fractions": "\\frac{1}" * 125_000,
    "lines": "\n" * 1_000_000,
    "text": "\\text{" * 160_000,
    "letters": "A and B, " * 110_000,
    "dollars": "$" * 1_000_000,
    "words": "ab cd " * 160_000,
    "units": "5 " + "m/s " * 240_000,
    "short blanks": "answer is " + " " * 900,
    "short digits": "the answer is " + "1" * 900,
    "short groups": "the answer is " + "111 " * 200,
    "short letters": "the answer is " + "A and " * 150,
    "short braces": "the answer is " + "{" * 450 + "}" * 450,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_takes_no_time(name):
    text = HOSTILE[name]
    begun = time.process_time()
    for match in MATCHES:
        match("42", text)
        match(text, "42")
        match(text, text)
    assert time.process_time() - begun < 1.0
