"""The arithmetic of reading traces: floating-point operations of a model's body, attention and head.

A multiplication and an addition are two operations. A token passes each weight of the body that is active
for it once: 2 per weight (Kaplan et al., arXiv 2001.08361, section 2.1). Embeddings are looked up and cost
nothing. Attention multiplies every query with the keys that it may see, and the result with their values:
2 per pair, head and entry of a key, 2 more per entry of a value (Chowdhery et al., arXiv 2204.02311,
appendix B). Only pairs that are seen count: half a square where attention is causal. Grouped heads keep
fewer keys and values and multiply as many. The head is read where a response token is predicted, as in
`scoring.head`. Norms, rotations, softmax and activation functions are left out: they move memory, and are
one reason why no hardware reaches its peak.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class AttentionLayers:
    """Layers of one kind."""

    num_layers: int
    num_heads: int
    """Of the queries."""
    key_width: int
    """Entries of one head's key."""
    value_width: int
    window: int | None = None
    """Keys that a query may see, itself included; None for all before it."""
    cached_values: int = 0
    """Numbers that one layer keeps of a token it may see again: keys and values, or what they are made of."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What of a model makes work."""

    body_weights: int
    """Entries of the matrices that one token is multiplied with, without embeddings and head."""
    hidden_size: int
    vocabulary: int
    """Rows of the head."""
    attention: tuple[AttentionLayers, ...]
    """Layers that compare tokens; those that keep a state of fixed size are in the body alone."""

    def cached_values(self, length: int) -> int:
        """Numbers that are kept of a trace of so many tokens while it is read in pieces."""
        return sum(
            layers.num_layers * layers.cached_values * min(length, layers.window or length)
            for layers in self.attention
        )


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations."""

    body: int
    attention: int
    head: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.body + self.attention + self.head


def reading_work(
    reader: Reader,
    prompt_lengths: ArrayLike,
    response_lengths: ArrayLike,
    *,
    head_reads_prompts: bool = False,
) -> Work:
    """What it takes to read traces once, without padding.

    Args:
        reader: The model.
        prompt_lengths: [N] tokens of each trace before its first scored one, template included.
        response_lengths: [N] tokens that are scored.
        head_reads_prompts: Whether the engine also multiplies prompt tokens with the head, as vLLM does
            (`_get_prompt_logprobs_dict` of 0.32).

    Raises:
        ValueError: if the lengths are not as many, or one is negative.
    """
    prompts = np.asarray(prompt_lengths, dtype=np.int64)
    responses = np.asarray(response_lengths, dtype=np.int64)
    if prompts.shape != responses.shape or prompts.ndim != 1:
        raise ValueError(
            f"expected [N] and [N] lengths, got {list(prompts.shape)} and {list(responses.shape)}"
        )
    if (prompts < 0).any() or (responses < 0).any():
        raise ValueError("expected lengths of at least 0")
    lengths = prompts + responses
    num_tokens = int(lengths.sum())
    attention = sum(
        2
        * layers.num_layers
        * layers.num_heads
        * (layers.key_width + layers.value_width)
        * causal_pairs(lengths, layers.window)
        for layers in reader.attention
    )
    head_tokens = num_tokens if head_reads_prompts else int(responses.sum())
    return Work(
        body=2 * reader.body_weights * num_tokens,
        attention=attention,
        head=2 * reader.hidden_size * reader.vocabulary * head_tokens,
    )


def causal_pairs(lengths: NDArray[np.int64], window: int | None = None) -> int:
    """Pairs of a query and a key that it sees, over all traces: sum over i of min(i, window), i from 1.

    Args:
        lengths: [N] tokens.
        window: Keys that a query may see, itself included; None for all before it.
    """
    near = lengths if window is None else np.minimum(lengths, window)
    far = lengths - near
    return int((near * (near + 1) // 2 + far * near).sum())
