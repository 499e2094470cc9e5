"""How large a model is and what reading costs it, from its config alone: no weight is read or made.

The model is built on torch's meta device, where tensors have a shape and no content, so that parameters are
counted, not estimated (671 billion in a third of a second). What the config must tell beside is how attention
looks: heads, windows, and what is kept of each token.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from rdpt_ray.errors import ModelError
from rdpt_ray.method.work import AttentionLayers, Reader
from rdpt_ray.scoring.quantisation import Quantisation, quantisation
from rdpt_ray.scoring.weights import LOAD_FAULTS

CONFIG_FAULTS = (*LOAD_FAULTS, AttributeError, TypeError, ZeroDivisionError)
"""What transformers raises over a config that it cannot make a model of."""

EXPERT = re.compile(r"(^|\.)experts\.")
"""In the name of a parameter that only some tokens pass; shared experts are not among them."""
LAYER = re.compile(r"\.(\d+)\.")

NUM_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
NUM_EXPERTS_PER_TOKEN = ("num_experts_per_tok", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
"""Names that configs of transformers 5 use."""

NOT_ATTENTION = {"linear_attention", "conv", "moe", "mlp"}
"""Types of layers that compare no tokens."""
WINDOWED = {
    "sliding_attention": "sliding_window",
    "hybrid_sliding": "sliding_window",
    "chunked_attention": "attention_chunk_size",
}
"""Types of layers that see a part -> the field that says how much. Every other type counts as full attention,
which is more than sparse attention does; a chunk counts as a window, which is up to twice of it."""

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class ModelSize:
    """A model's parameters by part, and what they take."""

    embedding: int
    """Looked up, not multiplied; with tied weights, the head too."""
    dense: int
    """The body that every token passes, shared experts, routers and norms included."""
    experts: int
    """Of which a token passes some."""
    active_experts: int
    """Of these, what one token passes."""
    head: int
    """0 if it is the embedding."""
    beside: int
    """For other input than text: held in memory, not used."""
    weight_bytes: int
    """In the dtype that was asked for, or as the checkpoint's quantisation has it."""
    layer_width: int
    """Sum, over the matrices that a token passes in the widest layer, of their wider sides."""
    cache_shards: int
    """Over how many GPUs what is kept of a token can be shared out."""
    num_heads: int
    context_length: int | None
    """Longest trace, in tokens."""
    reader: Reader
    """What reading costs."""
    remarks: tuple[str, ...] = ()
    """What could not be told from the config."""

    @property
    def total(self) -> int:
        """All parameters."""
        return self.embedding + self.dense + self.experts + self.head + self.beside

    @property
    def active(self) -> int:
        """Parameters that one token is multiplied with: body and head, without embeddings."""
        head = self.reader.hidden_size * self.reader.vocabulary
        return self.dense + self.active_experts + head


def read_config(
    model: str, revision: str | None = None, *, is_offline: bool = False
) -> PretrainedConfig:
    """The config of a model in a local folder or on the Hub; nothing else is read.

    Args:
        model: Local folder or Hub id.
        revision: Commit of a Hub model.
        is_offline: Whether only folders and the Hub's cache on this machine are looked at.

    Raises:
        ModelError: if there is none that transformers understands, naming the model.
    """
    try:
        return AutoConfig.from_pretrained(
            model, revision=revision, trust_remote_code=False, local_files_only=is_offline
        )
    except CONFIG_FAULTS as error:
        raise ModelError(f"model {model}: its config.json cannot be read: {error}") from error


def model_size(config: PretrainedConfig, *, dtype: str) -> ModelSize:
    """Count a causal language model.

    Args:
        config: As `read_config` gives it.
        dtype: "float32", "bfloat16" or "float16", for what is not quantised.

    Raises:
        ModelError: if transformers cannot make such a model, or its config does not tell what attention
            looks like.
    """
    name = config.name_or_path or config.model_type
    try:
        with torch.device("meta"):
            built = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        return _count(built, config, DTYPE_BYTES[dtype])
    except CONFIG_FAULTS as error:
        raise ModelError(f"model {name}: its size cannot be told: {error}") from error


def _count(model: PreTrainedModel, config: PretrainedConfig, itemsize: int) -> ModelSize:
    text = config.get_text_config()
    head: Any = model.get_output_embeddings()
    tables, reading = _tables(model), {id(each) for each in model.get_decoder().parameters()}
    stored = quantisation(config)
    top_k, num_experts = _first(text, NUM_EXPERTS_PER_TOKEN), _first(text, NUM_EXPERTS)
    parts: Counter[str] = Counter()
    widths: defaultdict[str, int] = defaultdict(int)
    active = multiplied = 0
    bits = 0.0
    for name, weight in model.named_parameters():  # a tied weight comes once
        part = _part(name, weight, head, tables, reading)
        count, is_expert = weight.numel(), part == "experts"
        is_matrix = weight.ndim > 1 and not name.endswith("bias")
        parts[part] += count
        in_body = part in ("dense", "experts")
        if stored and is_matrix and in_body and stored.covers(name, is_expert=is_expert):
            bits += count * (stored.bits or 0)
        else:
            bits += count * 8 * itemsize
        if not in_body:
            continue
        share = (top_k, num_experts) if is_expert and top_k and num_experts else (1, 1)
        active += count * share[0] // share[1] if is_expert else 0
        if is_matrix:
            multiplied += count * share[0] // share[1]
            widths[_layer(name)] += _width(weight, is_expert) * share[0] // share[1]
    vocabulary, hidden_size = head.weight.shape
    return ModelSize(
        embedding=parts["embedding"],
        dense=parts["dense"],
        experts=parts["experts"],
        active_experts=active,
        head=parts["head"],
        beside=parts["beside"],
        weight_bytes=round(bits / 8),
        layer_width=max((width for layer, width in widths.items() if layer), default=0),
        cache_shards=1 if _is_latent(text) else int(_kv_heads(text)),
        num_heads=int(text.num_attention_heads),
        context_length=getattr(text, "max_position_embeddings", None),
        reader=Reader(multiplied, int(hidden_size), int(vocabulary), _attention(text)),
        remarks=tuple(_remarks(stored, parts["experts"], top_k and num_experts)),
    )


def _tables(model: PreTrainedModel) -> set[int]:
    return {id(each.weight) for each in model.modules() if isinstance(each, nn.Embedding)}


def _part(name: str, weight: Any, head: Any, tables: set[int], reading: set[int]) -> str:
    if id(weight) in tables and (id(weight) in reading or weight is head.weight):
        return "embedding"
    if weight is head.weight or weight is getattr(head, "bias", None):
        return "head"
    if id(weight) not in reading:
        return "beside"
    return "experts" if EXPERT.search(name) else "dense"


def _first(config: Any, names: tuple[str, ...]) -> int | None:
    """The first of these fields that is a number."""
    found = (getattr(config, name, None) for name in names)
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def _layer(name: str) -> str:
    """The number of the layer that a parameter is in; empty for one that is in none."""
    found = LAYER.search(name)
    return found[1] if found else ""


def _width(weight: torch.Tensor, is_expert: bool) -> int:
    """The wider side of a matrix; of stacked experts, of all of them."""
    if is_expert and weight.ndim == 3:
        return weight.shape[0] * max(weight.shape[1:])
    return max(weight.shape)


def _is_latent(config: Any) -> bool:
    """Whether keys and values are made of a latent, which is what is kept (arXiv 2405.04434, section 2.1)."""
    return bool(getattr(config, "kv_lora_rank", None))


def _kv_heads(config: Any) -> int:
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads


def _attention(config: Any) -> tuple[AttentionLayers, ...]:
    """The layers that compare tokens, alike ones together."""
    count = config.num_hidden_layers
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if types is None:
        types = ["sliding_attention" if window else "full_attention"] * count
    configs = getattr(config, "per_layer_config", None) or [config] * count
    kinds = Counter(
        _one_layer(each, kind)
        for each, kind in zip(configs, types, strict=True)
        if kind not in NOT_ATTENTION
    )
    return tuple(replace(layers, num_layers=number) for layers, number in kinds.items())


def _one_layer(config: Any, kind: str) -> AttentionLayers:
    heads = config.num_attention_heads
    window = getattr(config, WINDOWED[kind], None) if kind in WINDOWED else None
    if _is_latent(config):
        key_width = config.qk_nope_head_dim + config.qk_rope_head_dim
        value_width, kept = config.v_head_dim, config.kv_lora_rank + config.qk_rope_head_dim
    else:
        key_width = value_width = getattr(config, "head_dim", None) or config.hidden_size // heads
        kept = 2 * _kv_heads(config) * key_width
    return AttentionLayers(1, heads, key_width, value_width, window, kept)


def _remarks(stored: Quantisation | None, num_in_experts: int, share: int | None) -> list[str]:
    found: list[str] = []
    if stored is not None and stored.bits is None:
        found.append(f"weights quantised by {stored.method} are counted as if they were not")
    if num_in_experts and not share:
        found.append("the config does not tell how many experts a token passes: all are counted")
    return found
