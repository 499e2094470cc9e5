"""Sampling by vLLM, whose log-probabilities must be those of the reference; for its CPU build too.

Runs where vLLM is installed, which is not where the rest is (docs/engines.md, "Measured", has the commands).
"""

import gc
import logging
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.loading import load_sampler, sampler_identity
from rdpt_ray.sampling.sampler import Request, Sampled
from rdpt_ray.scoring.engine import TokenSequence

logger = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore"),  # those of vLLM's imports are its own business
    pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM here (docs/engines.md)"),
]

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random fp32 model with 64-wide heads: vLLM's CPU attention knows no narrow ones."""
    place = tmp_path_factory.mktemp("models") / "model"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=386,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    model.save_pretrained(place)
    AutoTokenizer.from_pretrained(MINIATURE / "teacher").save_pretrained(place)
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1"}
    return place


def sampling(**changes):
    return SamplingConfig(**({"prompts": {"path": "p"}, "to": "t", "max_tokens": 60} | changes))


def end(sampler):
    """Its sockets complain when they are collected; that is to happen here, where it is ignored."""
    sampler._engine.close()
    gc.collect()


REQUESTS = [
    Request(f"{prompt}-{candidate}", f"{prompt}", candidate, [{"role": "user", "content": text}])
    for prompt, text in enumerate(["What is 1 plus 1?", "And?", "Modulo ten, what is left?"])
    for candidate in range(4)
]


@pytest.fixture(scope="module")
def hosted(folder):
    model = ModelConfig(
        model=str(folder), engine="vllm", token_budget=512, vllm={"enforce_eager": True}
    )
    identity = sampler_identity(model, "vllm")
    sampler = load_sampler(
        model, identity, engine="vllm", sampling=sampling(top_k=40, temperature=0.8), num_threads=1
    )
    yield sampler
    end(sampler)


def test_vllm_samples_with_the_models_own_logprobs(folder, hosted):
    from rdpt_ray.scoring.transformers_engine import load_engine

    drawn = hosted.sample(REQUESTS)
    assert all(isinstance(each, Sampled) for each in drawn), drawn
    assert {each.finish_reason for each in drawn} <= {"stop", "length"}
    assert all(each.response.startswith("<think>\n") for each in drawn)
    assert len({each.token_ids.tobytes() for each in drawn}) == len(drawn)
    model = ModelConfig(model=str(folder))
    reference = load_engine(model, sampler_identity(model, "transformers"), num_threads=1)
    sequences = [
        TokenSequence(hosted._encoder.prompt_ids(request.messages), each.token_ids.tolist())
        for request, each in zip(REQUESTS, drawn, strict=True)
    ]
    gaps = []
    for sequence, each in zip(sequences, drawn, strict=True):
        (scores,) = reference.token_scores([sequence])
        gaps.append(np.abs(scores.logprobs - each.logprobs).max())
    logger.info("vllm against transformers: max %.2g over %d responses", max(gaps), len(gaps))
    assert max(gaps) < TOLERANCE


def test_whether_the_same_seeds_draw_the_same(hosted):
    once, again = hosted.sample(REQUESTS), hosted.sample(REQUESTS[::-1])[::-1]
    same = sum(
        np.array_equal(one.token_ids, other.token_ids)
        for one, other in zip(once, again, strict=True)
    )
    logger.info("the same seeds in another order: %d of %d are the same", same, len(once))
    assert same > len(once) // 2


def test_a_response_ends_at_its_end_token_or_is_cut(folder):
    model = ModelConfig(
        model=str(folder), engine="vllm", token_budget=512, vllm={"enforce_eager": True}
    )
    sampler = load_sampler(
        model,
        sampler_identity(model, "vllm"),
        engine="vllm",
        sampling=sampling(max_tokens=300),
        num_threads=1,
    )
    try:
        found = sampler.sample(REQUESTS)
    finally:
        end(sampler)
    for each in found:
        ended = each.token_ids[-1] == 2
        assert each.finish_reason == ("stop" if ended else "length")
        assert ended or len(each.token_ids) == 300
        assert 2 not in each.token_ids[:-1]
    logger.info("%d of %d ended", sum(each.finish_reason == "stop" for each in found), len(found))
