"""Items of evaluation sets in texts: against a plain search, and the rules for short items."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.ngrams import words
from rdpt_ray.method.overlap import MIN_WORDS, first_overlap, overlap_with

ITEM = "Let n be the number of ways to tile a board of 7 squares with dominoes and trominoes"
THIRTEEN = "let n be the number of ways to tile a board of"
SHORT = "Find the sum of all primes below twenty"
TINY = "What is 2+2?"


def test_a_shared_run_of_thirteen_words_is_found_and_twelve_are_not():
    overlap = overlap_with([("aime row 0", ITEM)], 13)
    assert len(THIRTEEN.split()) == 12
    assert first_overlap(f"Now {THIRTEEN} wood", overlap) is None
    assert first_overlap(f"Now, LET N be... {THIRTEEN[9:]} -- 7!", overlap) == "aime row 0"
    assert first_overlap(f"before {ITEM} after", overlap) == "aime row 0"


def test_an_item_of_fewer_words_is_found_whole_anywhere():
    assert MIN_WORDS <= len(words(SHORT)) < 13
    overlap = overlap_with([("s row 1", SHORT)], 13)
    assert first_overlap(f"Please: {SHORT.upper()}. Thanks", overlap) == "s row 1"
    assert first_overlap(SHORT.rsplit(" ", 1)[0], overlap) is None
    assert first_overlap(SHORT.replace("sum", "product"), overlap) is None
    assert overlap.num_short == 0


def test_a_tiny_item_is_found_only_as_the_whole_text():
    overlap = overlap_with([("t row 2", TINY)], 13)
    assert overlap.num_short == 1
    assert first_overlap("what is 2 + 2", overlap) == "t row 2"
    assert first_overlap(f"{TINY} Explain.", overlap) is None
    assert first_overlap("what is 2 + 2 2", overlap) is None


@pytest.mark.parametrize("text", ["", "  ", "?!", "\u2211"])
def test_items_and_texts_without_words_are_in_nothing(text):
    overlap = overlap_with([("a", ITEM), ("none", text)], 13)
    assert first_overlap(text, overlap) is None
    assert first_overlap(text, overlap_with([], 13)) is None
    assert first_overlap(text, overlap_with([("none", text)], 13)) is None


def test_the_first_item_is_named():
    overlap = overlap_with([("a row 0", SHORT), ("b row 9", ITEM), ("b row 10", f"{ITEM} x")], 13)
    assert first_overlap(ITEM, overlap) == "b row 9"
    assert first_overlap(f"{ITEM}\n{SHORT}", overlap) == "a row 0"


WORD = st.sampled_from(["a", "b", "c"])


@given(
    st.lists(st.lists(WORD, max_size=14), max_size=6),
    st.lists(WORD, max_size=40),
    st.integers(5, 13),
)
def test_it_finds_what_a_plain_search_finds(items, text, length):
    def holds(item):
        run = min(length, len(item))
        if not item:
            return False
        if run < min(length, MIN_WORDS):
            return item == text
        runs = [item[at : at + run] for at in range(len(item) - run + 1)]
        return any(text[at : at + run] in runs for at in range(len(text) - run + 1))

    labels = [(str(place), " ".join(item)) for place, item in enumerate(items)]
    expected = next((str(place) for place, item in enumerate(items) if holds(item)), None)
    assert first_overlap(" ".join(text), overlap_with(labels, length)) == expected
