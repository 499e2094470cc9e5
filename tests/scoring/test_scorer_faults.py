"""A fault of one trace is that trace's error, with what came and what was expected; never a number."""

import re

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, normalizers

from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.traces import Trace
from rdpt_ray.scoring.transformers_engine import TransformersEngine

PROMPT = [{"role": "user", "content": "What is 6 x 7?"}]
GOOD = "The answer is 42. So it is."


def whole(text, messages=PROMPT):
    return Trace(messages, text, [(0, len(text))])


def assert_failed(score, code):
    assert score.error is not None
    assert score.error.startswith(f"{code}: ")
    assert (len(score.sum_logprob), len(score.num_tokens), score.num_prompt_tokens) == (0, 0, 0)
    assert (score.sum_logprob.dtype, score.num_tokens.dtype) == (np.float32, np.int32)


def assert_others_unharmed(make_scorer, traces, bad, **changes):
    """Scores `traces`; all but those at `bad` get what they get alone. Returns the bad ones' scores."""
    scores = make_scorer(**changes).score(traces)
    for place in set(range(len(traces))) - set(bad):
        (alone,) = make_scorer().score([traces[place]])
        assert scores[place].error is None
        assert scores[place].sum_logprob.tolist() == alone.sum_logprob.tolist()
    return [scores[place] for place in bad]


def test_no_traces_no_scores(make_scorer):
    assert make_scorer().score([]) == []


def test_a_context_too_short_is_told_in_numbers(make_scorer, tiny_model, llama_config):
    short = TransformersEngine(tiny_model(llama_config(max_position_embeddings=60)))
    long = GOOD * 10
    (fit, score) = make_scorer(engine=short).score([whole(GOOD), whole(long)])
    assert fit.error is None
    assert_failed(score, "context_exceeded")
    (known,) = make_scorer().score([whole(long)])
    prompt, response = known.num_prompt_tokens, int(known.num_tokens.sum())
    assert score.error == (
        f"context_exceeded: {prompt + response} tokens ({prompt} prompt, {response} response),"
        " the model reads at most 60"
    )


def test_a_context_just_long_enough_is_enough(make_scorer, tiny_model, llama_config):
    (known,) = make_scorer().score([whole(GOOD)])
    needed = known.num_prompt_tokens + int(known.num_tokens.sum())
    for limit, fits in ((needed, True), (needed - 1, False)):
        engine = TransformersEngine(tiny_model(llama_config(max_position_embeddings=limit)))
        (score,) = make_scorer(engine=engine).score([whole(GOOD)])
        assert (score.error is None) == fits


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("{{ raise_exception('only user and assistant') }}", "only user and assistant"),
        ("{{ message.missing.deeper }}", "UndefinedError"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ 'a' + 1 }}", "TypeError"),
        ("{% for i in range(10**9) %}{% endfor %}", "OverflowError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ message.__class__.__mro__ }}", "SecurityError"),
    ],
)
def test_a_template_that_raises(make_scorer, statement, said):
    template = (
        "{% for message in messages %}{% if message.role == 'tool' %}"
        + statement
        + "{% endif %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    refused = whole(GOOD, [{"role": "tool", "content": "42"}])
    traces = [whole(GOOD), refused, whole("7 of 9.")]
    (score,) = assert_others_unharmed(make_scorer, traces, [1], template=template)
    assert_failed(score, "template_error")
    assert said in score.error
    assert len(score.error) <= 500


def test_no_messages_is_a_template_error(make_scorer):
    (score,) = make_scorer().score([whole(GOOD, [])])
    assert_failed(score, "template_error")


def test_an_error_is_cut_to_a_readable_length(make_scorer):
    template = "{{ raise_exception(messages[0].content) }}"
    (score,) = make_scorer(template=template).score(
        [whole(GOOD, [{"role": "user", "content": "x" * 9999}])]
    )
    assert_failed(score, "template_error")
    assert len(score.error) == 500


def test_a_template_that_renders_to_nothing(make_scorer):
    template = (
        "{% if messages[0].content != 'skip' %}<|im_start|>{{ messages[0].content }}{% endif %}"
    )
    nothing = whole(GOOD, [{"role": "user", "content": "skip"}])
    something, score = make_scorer(template=template).score([whole(GOOD), nothing])
    assert something.error is None
    assert_failed(score, "empty_prompt")


def dropping(kinds, text):
    """A tokenizer whose normalizer throws `text` away."""
    tokenizer = kinds["gpt-2"].tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(text, "")
    return TraceEncoder(tokenizer, {})


def test_a_character_the_tokenizer_has_no_way_to_spell(kinds, engine):
    """`tokenizers` raises a bare Exception where a vocabulary has no unknown token."""
    pieces = [(chr(code), -1.0) for code in range(10, 127)]
    tokenizer = kinds["gpt-2"].tokenizer()
    tokenizer._tokenizer = Tokenizer(models.Unigram(pieces))
    encoder = TraceEncoder(tokenizer, {})
    good, score = ModelScorer(encoder, engine, 1000).score(
        [whole("So it is."), whole("So \u7b54.")]
    )
    assert good.error is None
    assert_failed(score, "tokenizer_error")


def test_a_response_without_a_token(make_scorer, kinds, engine):
    scorer = ModelScorer(dropping(kinds, "\u200b"), engine, 1000)
    good, score, empty = scorer.score([whole(GOOD), whole("\u200b\u200b"), Trace(PROMPT, "", [])])
    assert good.error is None
    assert_failed(score, "no_tokens")
    assert_failed(empty, "no_tokens")


def test_a_sentence_without_a_token_is_null_and_never_certain(kinds, engine):
    text = "So. \u200b\u200b It is."
    sentences = [(0, 4), (4, 6), (6, len(text))]
    scorer = ModelScorer(dropping(kinds, "\u200b"), engine, 1000)
    (score,) = scorer.score([Trace(PROMPT, text, sentences)])
    assert score.error is None
    assert score.num_tokens[1] == 0
    assert np.isnan(score.sum_logprob).tolist() == [False, True, False]
    (kept,) = scorer.score([Trace(PROMPT, "So.  It is.", [(0, 4), (4, 11)])])
    assert score.sum_logprob[[0, 2]].tolist() == kept.sum_logprob.tolist()
    assert score.num_tokens[[0, 2]].tolist() == kept.num_tokens.tolist()


def poisoned(model, token):
    """The same with a NaN embedding for one token: every trace that reads it is spoilt."""
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = torch.nan
    return TransformersEngine(model)


@pytest.mark.parametrize("packs", [True, False])
def test_numbers_that_are_not_finite_spoil_only_their_trace(
    make_scorer, kinds, tiny_model, llama_config, packs
):
    (token,) = kinds["gpt-2"].backend.encode("#", add_special_tokens=False).ids
    clean, spoilt = tiny_model(llama_config()), tiny_model(llama_config())
    if not packs:
        for model in (clean, spoilt):
            model.config.layer_types = ["linear_attention"]
    engine = poisoned(spoilt, token)
    assert engine.packs == packs
    texts = [GOOD, "Then\n# and on. And on.", "7 of 9.", GOOD * 3]
    traces = [whole(text) for text in texts]
    scores = make_scorer(engine=engine).score(traces)
    assert_failed(scores[1], "nonfinite_score")
    ids = kinds["gpt-2"].backend.encode(texts[1], add_special_tokens=False).ids
    (num_bad,) = re.findall(rf"(\d+) of {len(ids)} log-probabilities", scores[1].error)
    # At least all after the token; before it too, as a masked NaN is still a NaN to the kernel.
    assert len(ids) - ids.index(token) - 1 <= int(num_bad) <= len(ids)
    expected = make_scorer(engine=TransformersEngine(clean)).score(traces)
    for place in (0, 2, 3):
        assert scores[place].error is None
        assert scores[place].sum_logprob.tolist() == expected[place].sum_logprob.tolist()


@pytest.mark.parametrize("packs", [True, False])
def test_a_token_the_model_lacks_fails_alone(kinds, tiny_model, llama_config, packs):
    model = tiny_model(llama_config())
    if not packs:
        model.config.layer_types = ["linear_attention"]
    engine = TransformersEngine(model)
    assert engine.packs == packs
    tokenizer = kinds["gpt-2"].tokenizer()
    beyond = model.config.vocab_size
    tokenizer.add_tokens([AddedToken("<rare>", special=False, normalized=False)])
    assert tokenizer.convert_tokens_to_ids("<rare>") == beyond
    scorer = ModelScorer(TraceEncoder(tokenizer, {}), engine, 100_000)
    texts = [GOOD, "So it is. " * 4, "It <rare> is.", "7 of 9.", "Yes."]
    scores = scorer.score([whole(text) for text in texts])
    assert_failed(scores[2], "engine_error")
    assert f"token id {beyond}, the model has {beyond} embeddings" in scores[2].error
    for place in (0, 1, 3, 4):
        (alone,) = scorer.score([whole(texts[place])])
        assert scores[place].error is None
        assert scores[place].sum_logprob.tolist() == alone.sum_logprob.tolist()


class LittleMemory:
    """An engine that runs out of memory above a number of tokens, as a GPU would."""

    context_length = None

    def __init__(self, engine, limit):
        self.engine, self.limit, self.passes = engine, limit, []

    def token_scores(self, batch):
        tokens = sum(map(len, batch))
        if tokens > self.limit:
            raise MemoryError(f"tried to allocate for {tokens} tokens")
        self.passes.append(len(batch))
        return self.engine.token_scores(batch)


def test_a_pass_too_large_is_halved_until_it_fits(make_scorer, engine):
    traces = [whole(f"{number} of 9 say so. " * (1 + number)) for number in range(8)]
    traces.append(whole(GOOD * 60))
    small = LittleMemory(engine, limit=300)
    (score,) = assert_others_unharmed(make_scorer, traces, [8], engine=small, token_budget=100_000)
    assert_failed(score, "out_of_memory")
    assert "tried to allocate for" in score.error
    assert max(small.passes) > 1, "it ends where the pass fits, not at one trace each"


def test_halving_is_no_falling_back_to_one_by_one(make_scorer, engine):
    traces = [whole(GOOD)] * 16
    (known,) = make_scorer().score(traces[:1])
    tokens = known.num_prompt_tokens + int(known.num_tokens.sum())
    small = LittleMemory(engine, limit=5 * tokens)
    scores = make_scorer(engine=small, token_budget=100_000).score(traces)
    assert [score.error for score in scores] == [None] * 16
    assert max(small.passes) >= 4
