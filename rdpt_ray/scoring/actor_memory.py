"""What one actor needs of an accelerator's memory, and over how many of them its model must be spread.

An upper estimate from shapes, not a measurement: within a layer nothing is taken to be freed before its end.
Not in it: a model that cannot read a trace in pieces (docs/engines.md) holds the activations of its longest
trace instead of `token_budget` tokens.
"""

from dataclasses import dataclass
from math import ceil

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.head import TOKEN_TILE, VOCABULARY_TILE
from rdpt_ray.scoring.model_size import DTYPE_BYTES, ModelSize

RESERVED_BYTES = 1_500_000_000
"""For the CUDA context, the libraries' work spaces and what the allocator cannot reuse; assumed."""

RESIDUAL_COPIES = 2
NORM_COPIES = 2
"""The stream of hidden states between layers in the dtype, and in float32 inside a norm."""

TILE_ENTRY_BYTES = 8
"""Of an entry of a head's tile, beside itself: in float32, and its log-softmax (`scoring.head.row_lse`)."""

VLLM_LOGIT_BYTES = 6
"""vLLM holds [tokens, vocabulary] in 16 bits and in float32 (`_get_prompt_logprobs_dict`, 0.32)."""

SHARDS = (1, 2, 4, 8)
"""Sizes that are tried; a node rarely has more than 8."""


@dataclass(frozen=True, slots=True)
class ActorMemory:
    """Bytes on each of an actor's accelerators."""

    weights: int
    cache: int
    """Of the longest trace: with `transformers` only if it is longer than the token budget."""
    activations: int
    head: int
    reserved: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.cache + self.activations + self.head + self.reserved


def actor_memory(
    size: ModelSize, model: ModelConfig, *, longest: int, shards: int = 1
) -> ActorMemory:
    """What an actor that hosts a model needs.

    Args:
        size: Of the model, counted in `model.dtype`.
        model: As configured: engine, dtype, token budget.
        longest: Tokens of the longest trace. vLLM keeps room for `vllm.max_model_len` or, if that is not
            set, for the model's context length.
        shards: Accelerators that share it: vLLM splits every layer, `transformers` deals out the layers.
    """
    itemsize, hidden = DTYPE_BYTES[model.dtype], size.reader.hidden_size
    is_vllm = model.engine == "vllm"
    if is_vllm:
        longest = model.vllm.max_model_len or size.context_length or longest
    keeps = is_vllm or longest > model.token_budget
    cache = size.reader.cached_values(longest) * itemsize if keeps else 0
    per_token = (RESIDUAL_COPIES * itemsize + NORM_COPIES * 4) * hidden
    per_token += size.layer_width * itemsize // (shards if is_vllm else 1)
    return ActorMemory(
        weights=ceil(size.weight_bytes / shards),
        cache=ceil(cache / (min(shards, size.cache_shards) if is_vllm else shards)),
        activations=per_token * model.token_budget,
        head=_head(size, model, itemsize),
        reserved=RESERVED_BYTES,
    )


def fits(memory: ActorMemory, model: ModelConfig, memory_bytes: int) -> bool:
    """Whether an actor fits accelerators of so much memory, of which it may have a share.

    vLLM fills `gpu_memory_utilization` of it with more cache, and its logits come on top (docs/engines.md).
    """
    room = memory_bytes * min(1.0, model.pool.num_gpus or 1.0)
    if model.engine != "vllm":
        return memory.total <= room
    planned = room * model.vllm.gpu_memory_utilization
    return memory.total - memory.head <= planned and planned + memory.head <= room


def smallest_shards(
    size: ModelSize, model: ModelConfig, memory_bytes: int, *, longest: int
) -> int | None:
    """The fewest accelerators over which an actor's model must be spread; None if 8 are too few.

    Args:
        size: Of the model, counted in `model.dtype`.
        model: As configured; how many GPUs it asks for does not matter, but for a share of one.
        memory_bytes: Of one accelerator.
        longest: Tokens of the longest trace.
    """
    for shards in SHARDS:
        if model.engine == "vllm" and size.num_heads % shards:
            continue
        if fits(actor_memory(size, model, longest=longest, shards=shards), model, memory_bytes):
            return shards
    return None


def _head(size: ModelSize, model: ModelConfig, itemsize: int) -> int:
    """Logits: of all tokens with vLLM, of a tile with `transformers`."""
    vocabulary = size.reader.vocabulary
    if model.engine == "vllm":
        return model.token_budget * vocabulary * VLLM_LOGIT_BYTES
    rows = min(model.token_budget, TOKEN_TILE["cuda"])
    return rows * min(vocabulary, VOCABULARY_TILE["cuda"]) * (itemsize + TILE_ENTRY_BYTES)
