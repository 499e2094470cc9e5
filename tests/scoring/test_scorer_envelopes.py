"""Markup is read and never scored: sums equal a reference that puts the pieces together by hand."""

import numpy as np
import pytest
import torch

from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.envelopes import Envelope
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.traces import Trace, TraceTokens

PROMPT = [{"role": "user", "content": "What is 6 x 7?"}]
OWN = Envelope("config", "<|im_start|>think\n", "\n<|im_end|>\n\n", "<|im_end|>")
REASONING = ["Let me think. ", "It is 42.\n\n"]
ANSWER = ["So it is 42!", " \U0001f600"]


def trace(reasoning, answer):
    text, answer_start = "".join([*reasoning, *answer]), len("".join(reasoning))
    if not answer:
        text = text.rstrip()
        answer_start = len(text)
    edges = np.cumsum([0, *map(len, [*reasoning, *answer])]).tolist()
    sentences = list(zip(edges[:-1], [*edges[1:-1], len(text)], strict=True))
    return Trace(PROMPT, text, sentences, answer_start=answer_start)


def pieces(reasoning, answer):
    """(text, sentences' texts or None for markup), in reading order."""
    if not reasoning:
        return [(OWN.answer_open, None), ("".join(answer), answer)]
    text = "".join(reasoning).rstrip()
    if not answer:
        return [(OWN.think_open, None), (text, reasoning)]
    opened = [(OWN.think_open, None), (text + "\n", reasoning)]
    return [*opened, (OWN.think_close.removeprefix("\n"), None), ("".join(answer), answer)]


def reference(model, kind, reasoning, answer):
    """Sum of each sentence, a sentence being as many characters as its text has, in order."""
    tokenizer = kind.tokenizer()
    rendered = tokenizer.apply_chat_template(PROMPT, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    owners = [-1] * len(ids)
    first = 0
    for text, sentences in pieces(reasoning, answer):
        encoding = kind.backend.encode(text, add_special_tokens=False)
        ids += encoding.ids
        if sentences is None:
            owners += [-1] * len(encoding.ids)
            continue
        edges = np.cumsum([len(each) for each in sentences])
        places = [first + int(np.searchsorted(edges, at, "right")) for at, _ in encoding.offsets]
        ends = len(text.rstrip())  # a line break by itself is markup, behind a stop it is not
        owners += [
            place if at < ends else -1
            for place, (at, _) in zip(places, encoding.offsets, strict=True)
        ]
        first += len(sentences)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    sums = np.zeros(first)
    for place, owner in enumerate(owners):
        if owner >= 0:
            sums[owner] += logits[place - 1, ids[place]].item()
    return sums, np.bincount([owner for owner in owners if owner >= 0]).tolist()


HALVES = {"both": (REASONING, ANSWER), "answer": ([], ANSWER), "reasoning": (REASONING, [])}


@pytest.mark.parametrize("which", HALVES)
@pytest.mark.parametrize("name", ["gpt-2", "qwen"])
def test_sums_equal_the_reference(kinds, engine, tiny_model, llama_config, which, name):
    scorer = ModelScorer(TraceEncoder(kinds[name].tokenizer(), {}, OWN), engine, 1000)
    (score,) = scorer.score([trace(*HALVES[which])])
    assert score.error is None
    sums, num_tokens = reference(tiny_model(llama_config()), kinds[name], *HALVES[which])
    np.testing.assert_allclose(score.sum_logprob, sums, rtol=0, atol=1e-4)
    assert score.num_tokens.tolist() == num_tokens


def test_what_is_read_before_changes_what_is_scored(kinds, engine):
    plain, wrapped = (
        ModelScorer(TraceEncoder(kinds["qwen"].tokenizer(), {}, *own), engine, 1000).score(
            [trace(REASONING, ANSWER)]
        )[0]
        for own in ([], [OWN])
    )
    assert (np.abs(plain.sum_logprob - wrapped.sum_logprob) > 1e-2).all()


class Told:
    """An engine that gives every token its place; markup in the middle gets what no score may be."""

    context_length = None

    def token_scores(self, batch):
        return [self._scores(np.array(one.response_ids)) for one in batch]

    def _scores(self, ids):
        places = np.arange(len(ids))
        control = ids < 5
        return TokenScores(
            np.where(control, np.nan, -places).astype(np.float32),
            np.where(control, 0, places + 1).astype(np.int32),
            places.astype(np.float32),
        )


def test_signals_are_those_of_the_same_tokens(kinds):
    scorer = ModelScorer(TraceEncoder(kinds["gpt-2"].tokenizer(), {}, OWN), Told(), 1000)
    (tokens,) = scorer.tokens([trace(REASONING, ANSWER)])
    assert isinstance(tokens, TraceTokens), "markup that is not finite harms nobody"
    assert (tokens.scores.ranks == 1 - tokens.scores.logprobs).all()
    assert (tokens.scores.briers == -tokens.scores.logprobs).all()
    assert len(tokens.spans) == len(tokens.scores.logprobs)
    steps = np.diff(-tokens.scores.logprobs)
    gap = kinds["gpt-2"].backend.encode(OWN.think_close, add_special_tokens=False).ids
    assert sorted(set(steps.tolist())) == [1, 1 + len(gap)]


def test_markup_before_the_first_token_counts_to_the_prompt(kinds):
    counts = []
    for envelope in ([], [OWN]):
        scorer = ModelScorer(TraceEncoder(kinds["gpt-2"].tokenizer(), {}, *envelope), Told(), 1000)
        (tokens,) = scorer.tokens([trace([], ["It is so."])])
        counts.append(tokens.num_prompt_tokens)
    assert counts[1] == counts[0] + 1


def test_an_envelope_is_no_response(kinds):
    scorer = ModelScorer(TraceEncoder(kinds["gpt-2"].tokenizer(), {}, OWN), Told(), 1000)
    (error,) = scorer.tokens([Trace(PROMPT, "", [])])
    assert error.startswith("no_tokens: ")
