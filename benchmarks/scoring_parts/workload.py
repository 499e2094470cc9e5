"""What is scored: random Llamas of three sizes, and random traces with the lengths of real ones.

Speed does not depend on what the weights say. The final norm is scaled so that the logits have a
standard deviation of about 3, as a trained model's have; what rounding does to a random net is an upper
bound, since nothing was trained to withstand it.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from rdpt_ray.scoring.engine import TokenSequence

LOGIT_STD = 3.0
INITIAL_STD = 0.02

PROMPT_TOKENS = 64
MEDIAN_RESPONSE, SIGMA, LONGEST_TRACE = 600, 0.8, 2461


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's sizes; the output embedding is the input one."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    kv_heads: int
    vocabulary: int
    head_dim: int = 64


A = Shape("h384", 384, 1024, 8, 2, 32_000)
"""25M parameters."""
B = Shape("h768", 768, 2048, 12, 4, 50_304)
"""114M parameters."""
C = Shape("152k", 512, 1536, 8, 2, 152_064)
"""102M parameters, three quarters of them the vocabulary of a Qwen."""


def build_model(shape: Shape, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The same random model at every call.

    Args:
        shape: Its sizes.
        dtype: What the weights, drawn in float32, are rounded to.
    """
    torch.manual_seed(0)
    model = _opinionated(AutoModelForCausalLM.from_config(config_of(shape)))
    return model.to(dtype).eval()


def build_on_gpu(shape: Shape) -> PreTrainedModel:
    """A random model of bfloat16 that was never on the host."""
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config_of(shape), dtype=torch.bfloat16)
    return _opinionated(model).eval()


def config_of(shape: Shape) -> LlamaConfig:
    """The Llama of these sizes."""
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // shape.head_dim,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=65_536,
        initializer_range=INITIAL_STD,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def _opinionated(model: Any) -> Any:
    """A random model whose logits have a standard deviation of `LOGIT_STD`."""
    scale = LOGIT_STD / (INITIAL_STD * math.sqrt(model.config.hidden_size))
    with torch.no_grad():
        model.base_model.norm.weight.fill_(scale)
    return model


def draw_traces(count: int, vocabulary: int, seed: int = 0) -> list[TokenSequence]:
    """Traces in the order they arrive: random tokens, lengths at evenly spaced quantiles of a lognormal.

    So a few traces have the lengths of many; those of the measured set: median 600 tokens of response,
    sigma 0.8, nothing above 2461 tokens in all.

    Args:
        count: How many.
        vocabulary: Token ids are drawn from [3, vocabulary).
        seed: Of the tokens and of the order.
    """
    draw = np.random.default_rng(seed)
    spread = [NormalDist().inv_cdf((index + 0.5) / count) for index in range(count)]
    lengths = [round(MEDIAN_RESPONSE * math.exp(SIGMA * deviation)) for deviation in spread]
    lengths = [min(length, LONGEST_TRACE - PROMPT_TOKENS) for length in lengths]
    return [random_trace(int(length), vocabulary, draw) for length in draw.permutation(lengths)]


def long_traces(count: int, shortest: int, longest: int, vocabulary: int) -> list[TokenSequence]:
    """Traces of random tokens, with responses of evenly spaced lengths, in random order."""
    draw = np.random.default_rng(0)
    lengths = np.linspace(shortest, longest, count).astype(int)
    return [random_trace(int(length), vocabulary, draw) for length in draw.permutation(lengths)]


def random_trace(response_tokens: int, vocabulary: int, draw: np.random.Generator) -> TokenSequence:
    """One trace of random tokens after a prompt of `PROMPT_TOKENS`."""
    ids = draw.integers(3, vocabulary, PROMPT_TOKENS + response_tokens).tolist()
    return TokenSequence(ids[:PROMPT_TOKENS], ids[PROMPT_TOKENS:])


def num_tokens(traces: list[TokenSequence]) -> int:
    """Tokens read: prompts and responses."""
    return sum(len(trace) for trace in traces)


def products(shape: Shape) -> list[tuple[int, int, int]]:
    """The weight matrices a token goes through, as (inputs, outputs, how many)."""
    kv = shape.kv_heads * shape.head_dim
    return [
        (shape.hidden, shape.hidden, 2 * shape.layers),
        (shape.hidden, kv, 2 * shape.layers),
        (shape.hidden, shape.intermediate, 2 * shape.layers),
        (shape.intermediate, shape.hidden, shape.layers),
    ]


def product_flops(shape: Shape, traces: list[TokenSequence]) -> dict[tuple[int, int], int]:
    """FLOPs that scoring needs in each kind of matrix product; the head reads response positions only.

    Returns:
        (inputs, outputs) -> 2 * inputs * outputs * rows, all layers together.
    """
    tokens = num_tokens(traces)
    responses = sum(len(trace.response_ids) for trace in traces)
    flops = {(i, o): 2 * i * o * count * tokens for i, o, count in products(shape)}
    head = (shape.hidden, shape.vocabulary)
    flops[head] = 2 * math.prod(head) * responses
    return flops


def attention_flops(shape: Shape, traces: list[TokenSequence]) -> int:
    """FLOPs of exact causal attention: each query with itself and what is before it, twice."""
    pairs = sum(len(trace) * (len(trace) + 1) // 2 for trace in traces)
    return 4 * shape.hidden * shape.layers * pairs
