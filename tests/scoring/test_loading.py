"""Configured envelopes to pinned identities."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import ModelConfig, RecordedConfig
from rdpt_ray.scoring.envelopes import ENVELOPES, NONE, THINK
from rdpt_ray.scoring.loading import encoder_of, identity_of, load_scorer
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.traces import Trace, TraceTokens

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if hurry %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)


@pytest.fixture
def thinking(model_folder):
    return str(model_folder(template=THINKS))


def test_the_miniature_teacher_thinks():
    """Its generation prompt opens a block, as DeepSeek-R1's does."""
    assert identity_of(ModelConfig(model=str(MINIATURE / "teacher"))).envelope == THINK


def test_a_thinking_model_finds_its_own_trace_likely():
    """Cut before the line break that markup begins with, its last full stop would have next to no chance."""
    reasoning = "Only the last digit matters.\nNow 3 plus 4 leaves 7."
    text = f"{reasoning}\n\nThe answer is \\boxed{{7}}."
    edges = [0, 29, len(reasoning) + 2, len(text)]
    asked = [{"role": "user", "content": "Modulo ten, what is left of 3 plus 4?"}]
    trace = Trace(asked, text, list(pairwise(edges)), "t", None, len(reasoning) + 2)
    model = ModelConfig(model=str(MINIATURE / "teacher"))
    scorer = load_scorer(model, identity_of(model), num_threads=1)
    assert isinstance(scorer, ModelScorer)
    (score,) = scorer.score([trace])
    assert (np.exp(score.sum_logprob / score.num_tokens)[1:] > 0.5).all()


@pytest.mark.parametrize("name", ["student", "distilled"])
def test_auto_changes_nothing_for_models_without_reasoning(name):
    model = ModelConfig(model=str(MINIATURE / name))
    pinned = identity_of(model)
    assert pinned.envelope == NONE
    assert pinned == identity_of(model.model_copy(update={"envelope": "none"}))


def test_auto_is_settled_before_anything_is_scored(thinking):
    pinned = identity_of(ModelConfig(model=thinking))
    assert pinned.envelope.texts[:2] == THINK.texts[:2]
    hurried = ModelConfig(model=thinking, chat_template_kwargs={"hurry": True})
    assert identity_of(hurried).envelope == NONE


def test_a_name_and_its_text_are_one_key(thinking):
    wanted = [
        "think",
        {"think_open": "<think>\n", "think_close": "\n</think>\n\n"},
        "none",
        "glm4",
        {"think_open": "<think>\n", "think_close": "\n</think>\n\n", "answer_open": ""},
    ]
    keys = [identity_of(ModelConfig(model=thinking, envelope=each)).key for each in wanted]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_what_is_pinned_is_what_is_read(thinking):
    model = ModelConfig(model=thinking, envelope="glm4")
    encoded = encoder_of(identity_of(model)).encode([{"role": "user", "content": "?"}], "A.", 0)
    plain = encoder_of(identity_of(ModelConfig(model=thinking, envelope="none")))
    before = plain.encode([{"role": "user", "content": "?"}], "A.", 0).sequence
    assert encoded.sequence.response_ids == before.response_ids
    assert len(encoded.sequence.prompt_ids) > len(before.prompt_ids)
    scorer = load_scorer(model, identity_of(model), num_threads=1)
    (tokens,) = scorer.tokens(
        [Trace([{"role": "user", "content": "?"}], "R.\n\nA.", [], "t", None, 4)]
    )
    assert isinstance(tokens, TraceTokens)
    assert tokens.spans[-1].tolist() == [5, 6]


def test_recorded_traces_have_the_markup_they_were_sampled_with(thinking):
    model = ModelConfig(
        model=thinking, engine="precomputed", recorded=RecordedConfig(path="x"), envelope="glm4"
    )
    assert identity_of(model, recorded="recorded/x").envelope == NONE


def test_auto_needs_the_tokenizer(thinking):
    (Path(thinking) / "tokenizer.json").unlink()
    (Path(thinking) / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        identity_of(ModelConfig(model=thinking))
    pinned = identity_of(ModelConfig(model=thinking, envelope="gpt_oss"))
    assert pinned.envelope == ENVELOPES["gpt_oss"]
