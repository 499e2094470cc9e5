"""The values of an answer go to the tokens they are about, or nowhere."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.scoring.dialects import ECHO, ECHO_WITH_IDS, VLLM, AnswerFault
from rdpt_ray.scoring.engine import TokenSequence

tokens = st.integers(5, 419)
sequences = st.builds(
    TokenSequence,
    st.lists(tokens, min_size=1, max_size=6),
    st.lists(tokens, min_size=1, max_size=30),
)


def ids_of(sequence):
    return [*sequence.prompt_ids, *sequence.response_ids]


def answer_to(dialect, sequence, values):
    ids = ids_of(sequence)
    choice = {"prompt_logprobs": None, "logprobs": None}
    if dialect is VLLM:
        choice["prompt_logprobs"] = [
            None,
            *({str(i): {"logprob": v, "rank": 1}} for i, v in zip(ids[1:], values, strict=True)),
        ]
    else:
        choice["logprobs"] = {"token_logprobs": [None, *values, -0.1]}
    return {"choices": [choice], "usage": {"prompt_tokens": len(ids)}}


@given(st.sampled_from([VLLM, ECHO, ECHO_WITH_IDS]), sequences, st.data())
def test_the_response_gets_its_own_values(dialect, sequence, data):
    count = len(sequence) - 1
    values = data.draw(st.lists(st.floats(-50, 0, width=32), min_size=count, max_size=count))
    scores = dialect.scores(answer_to(dialect, sequence, values), sequence, ranks=False)
    expected = np.array(values[-len(sequence.response_ids) :], dtype=np.float32)
    np.testing.assert_array_equal(scores.logprobs, expected)


@given(st.sampled_from([VLLM, ECHO]), sequences, st.data())
def test_an_answer_about_other_ids_is_never_taken(dialect, sequence, data):
    """Any edit of the ids that the server reads: dropped, doubled or, where ids are told, changed."""
    ids = ids_of(sequence)
    place = data.draw(st.integers(0, len(ids) - 1))
    edits = [
        ids[:place] + ids[place + 1 :],
        ids[:place] + ids[place : place + 1] * 2 + ids[place + 1 :],
    ]
    if dialect is VLLM and place > 0:
        edits.append([*ids[:place], ids[place] + 1, *ids[place + 1 :]])
    read = data.draw(st.sampled_from(edits))
    answer = answer_to(dialect, TokenSequence(read, []), [-1.0] * max(0, len(read) - 1))
    with pytest.raises(AnswerFault):
        dialect.scores(answer, sequence, ranks=False)


@pytest.mark.parametrize("dialect", [VLLM, ECHO])
@pytest.mark.parametrize(
    ("came", "kept"),
    [(1e-6, 0.0), (0, 0.0), (-9999.0, -math.inf), (-math.inf, -math.inf), (math.nan, math.nan)],
)
def test_rounding_is_mended_and_infinity_is_not_a_number(dialect, came, kept):
    sequence = TokenSequence([1], [2, 3])
    answer = answer_to(dialect, sequence, [-1.0, came])
    found = dialect.scores(answer, sequence, ranks=False).logprobs
    np.testing.assert_array_equal(found, np.array([-1.0, kept], dtype=np.float32))
