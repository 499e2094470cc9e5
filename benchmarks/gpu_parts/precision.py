"""How far scores on the GPU are from float64's on the CPU, beside transformers' own pass."""

import copy
from typing import Any

import numpy as np
import torch
from scoring_parts import Figures
from scoring_parts.accuracy import float64_scores
from scoring_parts.ours import scorer
from scoring_parts.peers import one_by_one
from scoring_parts.workload import A, build_model, draw_traces


def precision(quick: bool) -> Figures:
    """Errors in nats; and what share of traces gets the same bits alone and in company.

    Args:
        quick: Fewer traces.
    """
    figures: Figures = {}
    traces = sorted(draw_traces(8 if quick else 24, A.vocabulary), key=len)
    some = traces[:6]
    truth = np.concatenate(float64_scores(A, some))
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        model: Any = build_model(A, dtype)
        model.cuda()
        own = np.abs(np.concatenate(one_by_one(copy.deepcopy(model), some)) - truth)
        ours = scorer(model)
        off = np.abs(np.concatenate(ours(some)) - truth)
        figures[f"max_abs_err_{name}"], figures[f"mean_abs_err_{name}"] = (
            float(off.max()),
            float(off.mean()),
        )
        figures[f"max_abs_err_hf_{name}"], figures[f"mean_abs_err_hf_{name}"] = (
            float(own.max()),
            float(own.mean()),
        )
        together = ours(traces)
        alone = [ours([trace])[0] for trace in traces]
        pairs = list(zip(alone, together, strict=True))
        same = [np.array_equal(one, other) for one, other in pairs]
        figures[f"same_bits_alone_{name}"] = float(np.mean(same))
        figures[f"max_diff_alone_{name}"] = float(max(np.abs(a - b).max() for a, b in pairs))
        again = ours(traces)
        figures[f"same_bits_again_{name}"] = float(
            np.mean(
                [np.array_equal(one, other) for one, other in zip(again, together, strict=True)]
            )
        )
    return figures
