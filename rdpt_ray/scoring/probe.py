"""Which paths a model allows, measured against its own plain forward pass when it is loaded."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from rdpt_ray.scoring.engine import TokenScores, TokenSequence
from rdpt_ray.scoring.head import Shape, plain_logprobs

EXACT = 1e-3
"""Largest difference in log-probability that rounding explains in float32."""

ROUNDING = {torch.bfloat16: 0.1, torch.float16: 0.03}
"""In half precision: root mean square of the differences, as a share of the log-probabilities' own spread.

A bound in nats would not do: a deep model's roundings add up (0.4 at most were seen with 36 layers of 4096 on
an H100, 0.6 with 36 narrow ones on CPU, 0.08 of the spread), and logits of 30 lie 0.125 apart in bfloat16.
Traces that see each other gave 0.3 to 1.1 of the spread, a layer that leaks one token 0.18 to 0.37.
"""

REFUSALS = (NotImplementedError, RuntimeError, TypeError, ValueError, AttributeError, IndexError)
"""What a model raises when it cannot go a way it was not written for."""


def sequences(model: PreTrainedModel) -> list[TokenSequence]:
    """Two short random traces, the same for every model of a vocabulary."""
    vocabulary = model.config.get_text_config().vocab_size
    ids = np.random.default_rng(0).integers(0, vocabulary, size=48).tolist()
    return [TokenSequence(ids[:3], ids[3:20]), TokenSequence(ids[20:21], ids[21:])]


@torch.inference_mode()
def own_logprobs(model: PreTrainedModel, traces: Sequence[TokenSequence]) -> NDArray[np.float32]:
    """What the model's own forward pass says of some traces' response tokens, one after the other."""
    return np.concatenate([_own(model, trace) for trace in traces])


def _own(model: PreTrainedModel, trace: TokenSequence) -> NDArray[np.float32]:
    ids = torch.tensor([*trace.prompt_ids, *trace.response_ids], device=_device(model))
    logits = model(input_ids=ids[None], use_cache=False).logits[0]
    first = len(trace.prompt_ids) - 1
    return plain_logprobs(logits[first:-1], ids[first + 1 :].to(logits.device)).cpu().numpy()


@torch.inference_mode()
def disagreement(
    model: PreTrainedModel,
    expected: NDArray[np.float32],
    attempt: Callable[[], Sequence[TokenScores]],
) -> str | None:
    """How a path's numbers differ from the model's own, in words; None if only by rounding.

    Args:
        model: For the tolerance that goes with its dtype.
        expected: From `own_logprobs`.
        attempt: The path, over the same traces.
    """
    try:
        actual = np.concatenate([scores.logprobs for scores in attempt()])
    except REFUSALS as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
    difference = float(np.abs(actual - expected).max())
    share = ROUNDING.get(model.dtype)
    if share is None:
        is_rounding = difference <= EXACT
    else:
        is_rounding = float(np.sqrt(np.mean((actual - expected) ** 2))) <= share * expected.std()
    return None if is_rounding else f"it changes its log-probabilities by {difference:.3g}"


@torch.inference_mode()
def head_shape(model: PreTrainedModel) -> Shape | None:
    """What the model does to its logits after one linear map; None if its head is something else.

    Told by the config, and compared to the bit: a soft cap on small logits changes them by less than
    rounding does, so no tolerance would find a forgotten one.
    """
    head: Any = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear):
        return None
    trace = sequences(model)[0]
    row = torch.tensor([[*trace.prompt_ids, *trace.response_ids]], device=_device(model))
    try:
        hidden = model.base_model(input_ids=row, use_cache=False).last_hidden_state
    except REFUSALS:
        return None
    if hidden.shape[-1] != head.in_features:
        return None
    logits = model(input_ids=row, use_cache=False).logits
    for shape in _shapes(model.config.get_text_config()):
        if torch.equal(shape(head(hidden)).float(), logits.float()):
            return shape
    return None


def _shapes(config: Any) -> list[Shape]:
    """Candidates, in the order of operations that the models themselves use."""
    shapes: list[Shape] = [lambda logits: logits]
    for name in ("final_logit_softcapping", "logits_soft_cap"):
        cap = getattr(config, name, None)
        if cap:
            shapes.append(lambda logits, cap=cap: torch.tanh(logits / cap) * cap)
    divisor = getattr(config, "logits_scaling", None)
    if divisor:
        shapes.append(lambda logits: logits / divisor)
    factor = getattr(config, "logit_scale", None)
    if factor:
        shapes.append(lambda logits: logits * factor)
    return shapes


def _device(model: PreTrainedModel) -> torch.device:
    embeddings: Any = model.get_input_embeddings()
    return embeddings.weight.device
