"""The engine, against plain `generate`, a scoring pass, and itself under other circumstances."""

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig

from rdpt_ray.sampling.engine import Ask, Drawn
from rdpt_ray.sampling.transformers_engine import TransformersSampler
from rdpt_ray.scoring.engine import TokenSequence
from rdpt_ray.scoring.transformers_engine import TransformersEngine
from tests.sampling.conftest import MINIATURE, requests, sampler_of, sampling

SIZES = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": 200,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "llama": (transformers.LlamaConfig(**SIZES), True),
    "sliding windows": (
        transformers.Gemma3TextConfig(
            **SIZES, sliding_window=16, layer_types=["sliding_attention", "full_attention"]
        ),
        True,
    ),
    "recurrent": (
        transformers.MambaConfig(
            vocab_size=300, hidden_size=48, state_size=8, num_hidden_layers=2, pad_token_id=0
        ),
        False,
    ),
}


def some_asks(count=6, max_tokens=80):
    draw = np.random.default_rng(0)
    return [
        Ask(draw.integers(5, 300, length).tolist(), row, max_tokens)
        for row, length in enumerate([5, 9, 9, 20, 31, 3][:count])
    ]


@pytest.fixture(scope="module", params=CONFIGS)
def engine(request):
    config, drops_rows = CONFIGS[request.param]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    model.generation_config = GenerationConfig(repetition_penalty=5.0, eos_token_id=11)
    found = TransformersSampler(model, sampling(), [2, 7, 8, 9], num_threads=1)
    assert found._drops_rows is drops_rows
    return found


def assert_same(drawn, expected, tolerance):
    for one, other in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(one.token_ids, other.token_ids)
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=tolerance)
        assert one.is_ended == other.is_ended


@pytest.mark.filterwarnings("ignore")  # Mamba's, of kernels that are not there
def test_a_row_is_drawn_alike_alone_and_among_others_that_end_before_it(engine):
    asks = some_asks()
    together = engine.draw(asks)
    assert_same(engine.draw(asks), together, 0)
    assert_same([engine.draw([ask])[0] for ask in asks], together, 1e-4)
    assert_same(engine.draw(asks[::-1])[::-1], together, 1e-4)
    assert len({len(each.token_ids) for each in together}) > 2
    for each in together:
        ended = np.isin(each.token_ids, [2, 7, 8, 9])
        assert not ended[:-1].any()
        assert ended[-1] == each.is_ended
        assert each.is_ended or len(each.token_ids) == 80


def test_greedy_is_transformers_own_greedy(teacher_model):
    sampler = sampler_of("teacher", temperature=0)
    asks = [sampler._ask(request) for request in requests(4, 1)]
    drawn = sampler._engine.draw(asks)
    for ask, each in zip(asks, drawn, strict=True):
        ids = torch.tensor([ask.prompt_ids])
        out = teacher_model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=160,
            pad_token_id=0,
        )
        assert out[0, ids.shape[1] :].tolist() == each.token_ids.tolist()


def test_logprobs_are_those_of_a_scoring_pass_at_any_temperature():
    sampler = sampler_of("teacher", temperature=1.3, top_p=0.9)
    asks = [sampler._ask(request) for request in requests(10, 3)]
    drawn = sampler._engine.draw(asks)
    scoring = TransformersEngine(
        AutoModelForCausalLM.from_pretrained(MINIATURE / "teacher").eval(), num_threads=1
    )
    scores = scoring.token_scores(
        [
            TokenSequence(ask.prompt_ids, each.token_ids.tolist())
            for ask, each in zip(asks, drawn, strict=True)
        ]
    )
    gaps = [
        np.abs(score.logprobs - each.logprobs).max()
        for score, each in zip(scores, drawn, strict=True)
    ]
    assert max(gaps) < 1e-4


class Hungry(TransformersSampler):
    """The same on a machine where more than so many rows do not fit."""

    most_rows = 2

    def batch(self, asks):
        if len(asks) > self.most_rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().batch(asks)


def test_out_of_memory_halves_the_batches_and_ends_as_the_rows_own_error(teacher_model):
    sampler = sampler_of("teacher")
    asks = [sampler._ask(request) for request in requests(3, 3)]
    expected = sampler._engine.draw(asks)
    hungry = Hungry(teacher_model, sampling(), [2], num_threads=1)
    assert_same(hungry.draw(asks), expected, 1e-4)
    hungry.most_rows = 0
    for error in hungry.draw(asks):
        assert error.startswith("out_of_memory: up to ")


def test_a_row_that_breaks_the_pass_is_alone_to_blame(teacher_model):
    sampler = sampler_of("teacher")
    asks = [sampler._ask(request) for request in requests(4, 1)]

    class Brittle(TransformersSampler):
        def batch(self, asks):
            if any(ask.stream == bad for ask in asks):
                raise RuntimeError("no such kernel")
            return super().batch(asks)

    bad = asks[2].stream
    brittle = Brittle(teacher_model, sampling(), [2], num_threads=1)
    asks.append(Ask([1, 9999], 0, 5))
    first, second, third, fourth, outside = brittle.draw(asks)
    assert all(isinstance(each, Drawn) for each in (first, second, fourth))
    assert third == "engine_error: RuntimeError('no such kernel')"
    assert outside == "engine_error: token id 9999, the model has 386 embeddings"
