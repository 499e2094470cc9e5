"""Recorded log-probabilities: the right numbers at the right characters, or the trace's error."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig, RecordedConfig
from rdpt_ray.scoring.identity import identify
from rdpt_ray.scoring.loading import load_scorer
from rdpt_ray.scoring.recorded import RecordedScorer, load_recorded, record_id
from rdpt_ray.scoring.recorded_text import load_recorded_tokenizer
from rdpt_ray.scoring.traces import Trace, TraceTokens, sentence_scores

TEACHER = str(Path(__file__).resolve().parents[2] / "examples" / "miniature" / "teacher")
TOKENIZER = load_recorded_tokenizer(TEACHER, None)
RESPONSE = "Now 3 plus 4 leaves 7.\n\nThe answer is 7."
SAID = "Now 3 plus 4 leaves 7.\n</think>\n\nThe answer is 7.<|end|>"


@pytest.fixture(scope="module")
def token_ids():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TEACHER)
    return np.array(tokenizer(SAID, add_special_tokens=False).input_ids, np.int32)


def trace(metadata='{"sample_uuid":"u1"}', trace_id="t1"):
    spans = [(0, 24), (24, len(RESPONSE))]
    return Trace([{"role": "user", "content": "3 + 4?"}], RESPONSE, spans, trace_id, metadata)


def score(records, *traces, join="sample_uuid"):
    return RecordedScorer(TOKENIZER, lambda ids: records, join).tokens(traces or [trace()])


def test_tokens_of_the_text_get_their_numbers_and_markup_gets_none(token_ids):
    logprobs = -np.arange(1, len(token_ids) + 1, dtype=np.float32)
    (tokens,) = score({"u1": (token_ids, logprobs)})
    text = [RESPONSE[start:end] for start, end in tokens.spans.tolist()]
    assert "".join(text).replace("\n", "") == RESPONSE.replace("\n", "")
    assert "</think>" not in text
    assert tokens.num_prompt_tokens == 0
    assert tokens.scores.ranks is tokens.scores.briers is None
    scores = sentence_scores(trace(), tokens)
    thought = [token for token, (start, _) in zip(text, tokens.spans, strict=True) if start < 24]
    assert scores.num_tokens.tolist() == [len(thought), len(text) - len(thought)]
    assert scores.sum_logprob[0] == -sum(range(1, len(thought) + 1))
    assert scores.first_logprob[0] == -1


def test_rounding_above_zero_is_zero(token_ids):
    logprobs = np.full(len(token_ids), 1e-6, np.float32)
    (tokens,) = score({"u1": (token_ids, logprobs)})
    assert (tokens.scores.logprobs == 0).all()


def damaged(token_ids, **change):
    logprobs = np.full(len(token_ids), -0.5, np.float32)
    for place, value in change.get("logprobs", {}).items():
        logprobs[place] = value
    ids = token_ids.copy()
    for place, value in change.get("ids", {}).items():
        ids[place] = value
    return ids, logprobs[: change.get("count")]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"count": -1}, r"recorded_length: (\d+) token ids, \d+ log-probabilities"),
        ({"logprobs": {3: math.nan}}, r"nonfinite_score: 1 of \d+"),
        ({"logprobs": {3: -math.inf, 4: math.inf}}, r"nonfinite_score: 2 of \d+"),
        ({"logprobs": {0: 0.25}}, r"recorded_positive: a log-probability of 0\.25; expected"),
        ({"ids": {1: 60_000}}, r"recorded_mismatch: the tokenizer has no token 60000"),
        ({"ids": {1: 300}}, r"recorded_mismatch: at character \d+ of \d+ the response has"),
    ],
)
def test_a_faulty_record_is_the_traces_error(token_ids, change, error):
    good = trace('{"sample_uuid":"u2"}')
    records = {"u1": damaged(token_ids, **change), "u2": damaged(token_ids)}
    bad, fine = score(records, trace(), good)
    import re

    assert re.match(error, bad)
    assert isinstance(fine, TraceTokens)


def test_a_record_of_another_response_is_a_mismatch(token_ids):
    other = Trace([], RESPONSE.replace("leaves 7", "leaves 8"), [], "t", '{"sample_uuid":"u1"}')
    (error,) = score({"u1": damaged(token_ids)}, other)
    at = RESPONSE.index("7.")
    assert error.startswith(f"recorded_mismatch: at character {at} of {len(RESPONSE)} ")
    assert "'8." in error
    assert "'7." in error


def test_what_the_lookup_says_of_a_record_is_the_error():
    assert score({"u1": "recorded_duplicate: two"}) == ["recorded_duplicate: two"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ('{"sample_uuid":"u9"}', "no record has the id 'u9'"),
        ('{"uuid":"u1"}', "input.columns: {metadata.sample_uuid: COLUMN}"),
        (None, "no 'sample_uuid' in its metadata"),
        ('{"sample_uuid":null}', "no 'sample_uuid'"),
        ('{"sample_uuid":true}', "no 'sample_uuid'"),
        ('["u1"]', "no 'sample_uuid'"),
    ],
)
def test_a_trace_without_a_record_says_what_is_missing(token_ids, metadata, said):
    (error,) = score({"u1": damaged(token_ids)}, trace(metadata))
    assert error.startswith("recorded_missing: ")
    assert said in error


def test_ids_are_text_or_whole_numbers_or_the_traces_own():
    assert record_id(trace('{"n":12}'), "n") == "12"
    assert record_id(trace('{"n":"12"}'), "n") == "12"
    assert record_id(trace(None, "t7"), "trace_id") == "t7"


def test_records_are_asked_for_once_for_all_traces(token_ids):
    asked = []

    def lookup(identities):
        asked.append(identities)
        return {each: damaged(token_ids) for each in identities}

    scorer = RecordedScorer(TOKENIZER, lookup, "sample_uuid")
    assert len(scorer.tokens([trace(), trace(), trace('{"sample_uuid":"u0"}'), trace(None)])) == 4
    assert asked == [["u0", "u1"]]


def identity_of(folder):
    return identify(
        folder,
        None,
        dtype="float32",
        engine="precomputed/1",
        chat_template=None,
        chat_template_kwargs={},
        served="recorded/x",
    )


def test_it_is_loaded_with_a_lookup_and_from_nothing_else(token_ids):
    model = ModelConfig(
        model=TEACHER,
        engine="precomputed",
        recorded=RecordedConfig(path="anywhere", id_column="uuid", join="sample_uuid"),
    )
    records = {"u1": damaged(token_ids)}
    scorer = load_recorded(model, identity_of(TEACHER), num_threads=1, lookup=lambda ids: records)
    (tokens,) = scorer.tokens([trace(json.dumps({"sample_uuid": "u1"}))])
    assert isinstance(tokens, TraceTokens)
    with pytest.raises(ModelError, match="where the records are"):
        load_scorer(model, identity_of(TEACHER), num_threads=1)
    plain = ModelConfig(model=TEACHER)
    with pytest.raises(ModelError, match="recorded"):
        load_recorded(plain, identity_of(TEACHER), num_threads=1, lookup=lambda ids: {})
