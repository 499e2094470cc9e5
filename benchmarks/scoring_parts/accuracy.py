"""How far scores are from float64's, and whether a trace's neighbours change them."""

import numpy as np
import torch
from numpy.typing import NDArray

from rdpt_ray.scoring.engine import TokenSequence
from scoring_parts import Figures
from scoring_parts.ours import scorer
from scoring_parts.peers import one_by_one
from scoring_parts.workload import A, Shape, build_model, draw_traces


def accuracy(quick: bool) -> Figures:
    """Errors in nats on short traces, for every model shape given; and the bitwise comparison.

    Args:
        quick: Fewer and shorter traces.
    """
    figures: Figures = {}
    traces = sorted(draw_traces(8 if quick else 16, A.vocabulary), key=len)
    some = traces[: 2 if quick else 6]
    truth = float64_scores(A, some)
    ours = scorer(build_model(A))
    for name, scores in {
        "fp32": ours(some),
        "bf16": scorer(build_model(A, torch.bfloat16))(some),
        "hf_naive_fp32": one_by_one(build_model(A), some),
        "hf_naive_bf16": one_by_one(build_model(A, torch.bfloat16), some),
    }.items():
        off = np.abs(np.concatenate(scores) - np.concatenate(truth))
        figures[f"max_abs_err_{name}"] = float(off.max())
        figures[f"mean_abs_err_{name}"] = float(off.mean())
    together = ours(traces)
    alone = [ours([trace])[0] for trace in traces]
    figures["alone_equals_batched"] = all(
        np.array_equal(one, other) for one, other in zip(alone, together, strict=True)
    )
    return figures


@torch.inference_mode()
def float64_scores(shape: Shape, traces: list[TokenSequence]) -> list[NDArray[np.float64]]:
    """The float32 model's weights, everything computed in float64."""
    model = build_model(shape).double()
    truth: list[NDArray[np.float64]] = []
    for trace in traces:
        ids = torch.tensor([*trace.prompt_ids, *trace.response_ids])
        first = len(trace.prompt_ids)
        logprobs = model(input_ids=ids[None], use_cache=False).logits[0].log_softmax(-1)
        truth.append(logprobs[first - 1 : -1].gather(1, ids[first:, None]).squeeze(1).numpy())
    return truth
