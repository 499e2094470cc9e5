"""A long trace is given up between chunks, and what was read until then is what would have been read."""

from itertools import pairwise

import numpy as np
import pytest

from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.scoring.traces import Trace, sentence_scores
from rdpt_ray.scoring.transformers_engine import TransformersEngine

CHUNK = 40
"""Tokens; the long trace has several times as many."""
PROMPT = [{"role": "user", "content": "Is it so? Say why."}]
SENTENCE = "Let me think about this, so we have 42 digits. "


def trace(count, gives_up=None):
    text = SENTENCE * count
    spans = list(pairwise(range(0, len(text) + 1, len(SENTENCE))))
    return Trace(PROMPT, text, spans, f"t{count}", gives_up=gives_up)


@pytest.fixture(scope="module")
def chunking(tiny_model, llama_config):
    """An engine with all signals whose budget is one chunk."""
    engine = TransformersEngine(
        tiny_model(llama_config()), token_budget=CHUNK, signals=["rank", "brier"]
    )
    assert engine.chunks
    return engine


@pytest.fixture
def scorer(make_scorer, chunking):
    return make_scorer(engine=chunking, token_budget=CHUNK)


@pytest.fixture
def whole(scorer):
    (scores,) = scorer.score([trace(12)])
    assert scores.error is None
    return scores


def test_it_is_asked_after_each_chunk_and_never_changes_a_number(scorer, whole):
    asked = []
    (scores,) = scorer.score([trace(12, lambda tokens: bool(asked.append(tokens)))])
    assert scores.error is None
    for name in ("sum_logprob", "num_tokens", "first_logprob", "sum_rank", "sum_brier"):
        np.testing.assert_array_equal(getattr(scores, name), getattr(whole, name))
    total = int(whole.num_tokens.sum())
    read = [each.num_prompt_tokens + len(each.spans) for each in asked]
    assert len(asked) == -(-(total + whole.num_prompt_tokens) // CHUNK) > 4
    # A chunk's last token predicts the one behind it, so that one has its score too.
    assert read[:-1] == [CHUNK * (number + 1) + 1 for number in range(len(read) - 1)]
    assert all(len(each.spans) + each.num_unread == total for each in asked)
    assert asked[-1].num_unread == 0


@pytest.mark.parametrize("num_chunks", [1, 2, 3, 5])
def test_sentences_before_the_stop_have_the_scores_of_a_whole_read(scorer, whole, num_chunks):
    asked = []

    def after(tokens):
        asked.append(tokens)
        return len(asked) == num_chunks

    (scores,) = scorer.score([trace(12, after)])
    assert len(asked) == num_chunks
    total, read = int(whole.num_tokens.sum()), len(asked[-1].spans)
    assert scores.error == f"pruned: {read} of {total} tokens read"
    ends = np.cumsum(whole.num_tokens)
    num_read = int(np.searchsorted(ends, read, side="left"))  # the last one touched is not known
    assert (scores.num_tokens[num_read:] == -1).all()
    assert num_chunks < 2 or 0 < num_read < 12
    for name in ("sum_logprob", "num_tokens", "first_logprob", "sum_rank", "sum_brier"):
        got, full = getattr(scores, name), getattr(whole, name)
        np.testing.assert_array_equal(got[:num_read], full[:num_read])
        assert name == "num_tokens" or np.isnan(got[num_read:]).all()
    row = scores_row("t", scores)
    assert row["error"] == scores.error
    for name in ("sum_logprob", "num_tokens", "first_logprob", "sum_rank", "sum_brier"):
        assert row[name][num_read:] == [None] * (12 - num_read)
        assert None not in row[name][:num_read]


def test_what_it_is_asked_with_gives_the_scores_that_are_kept(scorer):
    """Whoever decides by the tokens so far decides by the numbers that a later run finds in the store."""
    told = []

    def after(tokens):
        told.append(scores_row("t", sentence_scores(trace(12), tokens)))
        return len(told) == 3

    (scores,) = scorer.score([trace(12, after)])
    expected = scores_row("t", scores)
    # Signals are measured too, but nobody needs them to decide.
    assert {**told[-1], "sum_rank": 0, "sum_brier": 0} == {
        **expected,
        "sum_rank": 0,
        "sum_brier": 0,
    }


def test_a_trace_within_the_budget_is_read_in_one_go_and_its_neighbours_are_untouched(
    make_scorer, tiny_model, llama_config
):
    engine = TransformersEngine(tiny_model(llama_config()), token_budget=150)
    scorer = make_scorer(engine=engine, token_budget=150)
    refused = []
    texts = [trace(1, lambda tokens: bool(refused.append(tokens)) or True), trace(2), trace(12)]
    alone = [scorer.score([each])[0] for each in (trace(1), trace(2), trace(12))]
    long = trace(12, lambda tokens: True)
    together = scorer.score([*texts, long])
    assert refused == []
    for one, other in zip(alone, together[:3], strict=True):
        assert one.error is other.error is None
        np.testing.assert_array_equal(one.sum_logprob, other.sum_logprob)
    assert together[3].error.startswith("pruned: ")


def test_a_chunk_that_ends_inside_the_prompt_asks_nothing(make_scorer, tiny_model, llama_config):
    engine = TransformersEngine(tiny_model(llama_config()), token_budget=16)
    scorer = make_scorer(engine=engine, token_budget=16)
    asked = []
    long_prompt = [{"role": "user", "content": "So what is the sum of the digits? " * 4}]
    each = Trace(
        long_prompt,
        SENTENCE,
        [(0, len(SENTENCE))],
        gives_up=lambda tokens: bool(asked.append(tokens)),
    )
    (scores,) = scorer.score([each])
    assert scores.error is None
    assert scores.num_prompt_tokens > 32
    total = scores.num_prompt_tokens + int(scores.num_tokens.sum())
    first = (scores.num_prompt_tokens - 1) // 16
    assert len(asked) == -(-total // 16) - first - (total % 16 == 1)


def test_given_up_before_a_sentence_was_whole_none_has_a_number(scorer):
    text = "so " * 200
    (scores,) = scorer.score([Trace(PROMPT, text, [(0, len(text))], gives_up=lambda tokens: True)])
    row = scores_row("t", scores)
    assert row["sum_logprob"] == row["num_tokens"] == [None]
    assert row["error"].startswith("pruned: ")
