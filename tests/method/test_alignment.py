"""Hand-made token spans for every way a tokenizer cuts text, and the rule again as a slow loop."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.alignment import (
    first_inked,
    first_of_sentence,
    sentence_of_token,
    sentence_sums,
)

TEXT = "One. Two.\n\nThree."
#       0    5      11
SENTENCES = [(0, 5), (5, 11), (11, 17)]


def owners_of(text, sentences, spans):
    return sentence_of_token(text, sentences, np.array(spans, dtype=np.int64)).tolist()


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        # the blank at the end of a sentence opens the next token: " Two" is Two's
        ([(0, 3), (3, 4), (4, 8), (8, 9), (9, 16), (16, 17)], [0, 0, 1, 1, 2, 2]),
        # the blank stands with the sentence before, as a token of its own
        ([(0, 4), (4, 5), (5, 9), (9, 11), (11, 17)], [0, 0, 1, 1, 2]),
        # half of the paragraph break each
        ([(0, 9), (9, 10), (10, 17)], [0, 1, 2]),
        # a straddling token: its first letter decides
        ([(0, 6), (6, 17)], [0, 1]),
        ([(3, 7), (8, 12)], [0, 1]),
        # ".\n\nThree" begins in Two with ink
        ([(8, 16)], [1]),
        # "\n\nThree" begins in Two with blanks
        ([(9, 16)], [2]),
        # trim_offsets leaves an empty span: its place decides
        ([(0, 4), (4, 4), (5, 5), (5, 9)], [0, 0, 1, 1]),
        # byte-level: one character over several tokens
        ([(5, 6), (5, 6), (5, 6), (6, 9)], [1, 1, 1, 1]),
        # and a blank one
        ([(9, 10), (9, 10), (10, 11)], [1, 1, 1]),
        # gaps, where the tokenizer normalised characters away
        ([(0, 2), (6, 8), (12, 15)], [0, 1, 2]),
        # a token at the very end, empty or not, belongs to the last sentence
        ([(17, 17), (16, 17)], [2, 2]),
        # one token for everything
        ([(0, 17)], [0]),
        ([], []),
    ],
)
def test_owner_of_each_token(spans, expected):
    assert owners_of(TEXT, SENTENCES, spans) == expected


def test_leading_blanks_of_the_text_belong_to_the_first_sentence():
    text, sentences = "  \n A. B.", [(0, 7), (7, 9)]
    assert owners_of(text, sentences, [(0, 2), (0, 5), (2, 3), (6, 8)]) == [0, 0, 0, 1]


def test_an_all_blank_token_over_a_boundary_stays_where_it_starts():
    text, sentences = "A.    B.", [(0, 4), (4, 8)]
    assert owners_of(text, sentences, [(2, 6), (3, 5), (4, 6), (3, 7)]) == [0, 0, 1, 1]


def test_a_text_of_blanks_alone():
    assert owners_of(" \n\t ", [(0, 4)], [(0, 2), (2, 4), (4, 4)]) == [0, 0, 0]


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\u2028", "\x1c", "\x85", "\u205f"])
def test_every_unicode_blank_is_blank(blank):
    assert first_inked(f"a.{blank}b", [(2, 4), (2, 3)]).tolist() == [3, 2]


@pytest.mark.parametrize("mark", ["\u200b", "\ufeff", "\0", "\ud800", "\U0001f600", "\u0301"])
def test_what_has_no_width_is_not_blank(mark):
    text = f"a. {mark}b"
    assert first_inked(text, [(2, 5), (3, 5)]).tolist() == [3, 3]


def test_positions_after_the_basic_plane_count_characters():
    text = "\U0001f600\U0001f600. B."
    assert owners_of(text, [(0, 4), (4, 6)], [(0, 1), (1, 3), (3, 5), (5, 6)]) == [0, 0, 1, 1]


def test_a_position_is_always_inside_the_text():
    assert first_inked("ab", [(2, 2), (2, 3), (1, 2)]).tolist() == [1, 1, 1]


def test_no_tokens_of_no_text():
    assert first_inked("", []).tolist() == []
    assert sentence_of_token("", [], []).tolist() == []
    assert first_inked("", [(0, 0)]).tolist() == [0]


def test_spans_may_come_as_lists_tuples_or_any_integer_array():
    expected = owners_of(TEXT, SENTENCES, [(0, 4), (4, 8)])
    for spans in ([[0, 4], [4, 8]], ((0, 4), (4, 8)), np.array([(0, 4), (4, 8)], np.int32)):
        assert sentence_of_token(TEXT, SENTENCES, spans).tolist() == expected


# The rule from the design, written as it reads, to compare with.


def owner_by_the_rule(text, sentences, span):
    start, end = span
    inked = [place for place in range(start, end) if not text[place].isspace()]
    place = min(inked[0] if inked else start, len(text) - 1)
    (owner,) = [index for index, (low, high) in enumerate(sentences) if low <= place < high]
    return owner


@st.composite
def tokenised(draw):
    """A text, a tiling of it, token spans as odd as tokenizers make them, and log-probabilities."""
    text = draw(st.text(alphabet="ab. \n\u3000\u00e9\U0001f600", min_size=1, max_size=40))
    cuts = draw(st.sets(st.integers(1, len(text) - 1))) if len(text) > 1 else set()
    edges = [0, *sorted(cuts), len(text)]
    sentences = list(itertools.pairwise(edges))
    place = st.integers(0, len(text))
    span = st.tuples(place, place).map(lambda pair: (min(pair), max(pair)))
    spans = sorted(draw(st.lists(span, max_size=60)))
    count = len(spans)
    logprobs = draw(st.lists(st.floats(-30, 0, width=32), min_size=count, max_size=count))
    return text, sentences, spans, logprobs


@given(tokenised())
def test_owners_are_those_of_the_written_rule(case):
    text, sentences, spans, _ = case
    expected = [owner_by_the_rule(text, sentences, span) for span in spans]
    assert owners_of(text, sentences, spans) == expected


@given(tokenised())
def test_every_token_is_counted_once_and_no_logprob_is_lost(case):
    text, sentences, spans, logprobs = case
    owners = sentence_of_token(text, sentences, spans)
    sums, num_tokens = sentence_sums(logprobs, owners, len(sentences))
    assert (sums.dtype, num_tokens.dtype) == (np.float32, np.int32)
    assert len(sums) == len(num_tokens) == len(sentences)
    assert num_tokens.sum() == len(spans)
    for index, (total, count) in enumerate(zip(sums, num_tokens, strict=True)):
        mine = [value for value, owner in zip(logprobs, owners, strict=True) if owner == index]
        assert count == len(mine)
        assert np.isnan(total) if not mine else total == pytest.approx(math.fsum(mine), rel=1e-7)
    assert np.nansum(sums, dtype=np.float64) == pytest.approx(math.fsum(logprobs), rel=1e-6)


@given(tokenised())
def test_order_of_the_tokens_does_not_change_their_owners(case):
    text, sentences, spans, _ = case
    assert owners_of(text, sentences, spans[::-1]) == owners_of(text, sentences, spans)[::-1]


def test_sums_by_hand():
    owners = np.array([0, 0, 2, 2, 2])
    sums, num_tokens = sentence_sums([-0.5, -0.25, -1.0, -2.0, 0.0], owners, 4)
    np.testing.assert_array_equal(sums, np.array([-0.75, np.nan, -3.0, np.nan], np.float32))
    assert num_tokens.tolist() == [2, 0, 3, 0]


def test_sums_are_added_in_float64():
    """100,000 float32 steps of -0.1 added in float32 are off by more than 1; in float64 by nothing."""
    count = 100_000
    sums, _ = sentence_sums(np.full(count, -0.1, np.float32), np.zeros(count, np.int64), 1)
    assert sums[0] == np.float32(count * float(np.float32(-0.1)))


def test_a_trace_without_tokens_has_only_nulls():
    sums, num_tokens = sentence_sums([], np.empty(0, np.int64), 3)
    assert np.isnan(sums).all()
    assert num_tokens.tolist() == [0, 0, 0]


def test_a_certain_sentence_is_zero_and_not_null():
    sums, num_tokens = sentence_sums([0.0], np.array([1]), 2)
    assert (sums[1], num_tokens[1]) == (0.0, 1)


@given(tokenised())
def test_the_first_token_of_a_sentence_speaks_for_it(case):
    text, sentences, spans, logprobs = case
    owners = sentence_of_token(text, sentences, np.array(spans, dtype=np.int64).reshape(-1, 2))
    first = first_of_sentence(logprobs, owners, len(sentences))
    assert (first.dtype, first.shape) == (np.float32, (len(sentences),))
    for index, value in enumerate(first.tolist()):
        mine = [one for one, owner in zip(logprobs, owners, strict=True) if owner == index]
        assert value == np.float32(mine[0]) if mine else np.isnan(value)


def test_firsts_by_hand():
    first = first_of_sentence([-0.5, -0.25, -1.0, -2.0], np.array([0, 0, 2, 2]), 4)
    np.testing.assert_array_equal(first, np.array([-0.5, np.nan, -1.0, np.nan], np.float32))
