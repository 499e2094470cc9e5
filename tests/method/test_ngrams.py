"""Words, quantities and n-grams: what counts as the same text and what does not."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.ngrams import (
    jaccard,
    ngram_hashes,
    quantities,
    shingles,
    word_hashes,
    words,
)

WORDS = st.lists(st.sampled_from("the cat sat on a mat and it was x y n".split()), max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,   WORLD!", ["hello", "world"]),
        ("x_1 + \\frac{2}{3}", ["x", "1", "frac", "2", "3"]),
        ("\u6c42x\u7684\u503c", ["\u6c42", "x", "\u7684", "\u503c"]),
        ("\uff21\uff11 \ufb01n", ["a1", "fin"]),  # full width, a ligature
        ("Stra\u00dfe STRASSE", ["strasse", "strasse"]),
        ("*** \u2211 !?", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 3 + 5?", "What is 3 - 5?"),
        ("What is 3 + 5?", "What is 5 + 3?"),
        ("Tom has 12 apples", "Tom has 21 apples"),
        ("3.5 litres", "3 5 litres"),
        ("x < 2", "x > 2"),
        ("2 \u00d7 3", "2 \u00f7 3"),
        ("5! =", "5 ="),
        ("n = -4", "n = 4"),
        ("2^3", "23"),
    ],
)
def test_quantities_tell_two_problems_apart(one, other):
    assert quantities(one) != quantities(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a well-known fact", "A well known fact!"),
        ("- first\n- second", "first\nsecond"),
        ("3 + 5", "3+5"),
        ("**Bold** 7", "Bold 7."),
        ("n = \u22124", "n = -4"),
        ("\uff13 apples", "3 apples"),
    ],
)
def test_quantities_do_not_see_punctuation(one, other):
    assert quantities(one) == quantities(other)


@given(WORDS, st.integers(1, 6))
def test_ngrams_are_equal_exactly_where_the_words_are(found, length):
    hashes = ngram_hashes(word_hashes(found), length).tolist()
    grams = [tuple(found[at : at + length]) for at in range(len(found) - length + 1)]
    assert len(hashes) == len(grams)
    assert len(set(hashes)) == len(set(grams))
    by_hash = dict(zip(hashes, grams, strict=True))
    assert all(by_hash[one] == gram for one, gram in zip(hashes, grams, strict=True))


def test_no_two_of_many_ngrams_collide():
    rng = random.Random(1)
    found = [rng.choice("abcd") for _ in range(60_000)]
    for length in (3, 13):
        grams = {tuple(found[at : at + length]) for at in range(len(found) - length + 1)}
        assert len(np.unique(ngram_hashes(word_hashes(found), length))) == len(grams)


@given(st.text(max_size=60), st.integers(1, 5))
def test_a_text_is_similar_to_itself_and_never_empty(text, length):
    one = shingles(text, length)
    assert one.size > 0
    assert one.dtype == np.uint64
    assert np.all(one[1:] > one[:-1])
    assert jaccard(one, shingles(f"  {text}\n", length)) == 1.0


@given(WORDS, WORDS)
def test_jaccard_is_that_of_sets_of_tuples(one, other):
    def grams(found):
        return {tuple(found[at : at + 2]) for at in range(len(found) - 1)}

    if len(one) < 2 or len(other) < 2:
        return
    expected = len(grams(one) & grams(other)) / len(grams(one) | grams(other))
    assert jaccard(shingles(" ".join(one), 2), shingles(" ".join(other), 2)) == expected


def test_a_short_text_is_one_ngram_and_is_not_its_beginning():
    assert shingles("Two words", 3).tolist() == shingles("two, words.", 3).tolist()
    assert jaccard(shingles("two words", 3), shingles("two words more", 3)) == 0.0
    assert jaccard(shingles("+", 3), shingles("-", 3)) == 0.0


def test_hashes_are_the_same_in_another_process():
    code = "from rdpt_ray.method.ngrams import shingles; print(shingles('The cat sat on 3', 3).tolist())"
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "3"},
    )
    assert out.stdout.strip() == str(shingles("the CAT sat, on 3", 3).tolist())
