"""The engine under test, driven as `ModelScorer` drives it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from rdpt_ray.scoring.batching import plan_batches
from rdpt_ray.scoring.engine import Signal, TokenSequence
from rdpt_ray.scoring.transformers_engine import TransformersEngine

TOKEN_BUDGET = 8192
"""`ModelConfig.token_budget`'s default: what users get."""


def scorer(
    model: PreTrainedModel, *, token_budget: int = TOKEN_BUDGET, signals: Sequence[Signal] = ()
) -> Callable[[Sequence[TokenSequence]], list[NDArray[np.float32]]]:
    """An engine over a model (it keeps the model and may change it) as a function of the traces.

    Args:
        model: Its weights become the engine's.
        token_budget: Tokens per pass.
        signals: What else to measure in the pass.
    """
    engine = TransformersEngine(model, token_budget=token_budget, signals=tuple(signals))

    def score(traces: Sequence[TokenSequence]) -> list[NDArray[np.float32]]:
        scores: dict[int, NDArray[np.float32]] = {}
        for batch in plan_batches([len(trace) for trace in traces], token_budget):
            answers = engine.token_scores([traces[place] for place in batch])
            for place, answer in zip(batch, answers, strict=True):
                if isinstance(answer, str):
                    raise RuntimeError(f"trace {place} of the benchmark: {answer}")
                scores[place] = answer.logprobs
        return [scores[place] for place in range(len(traces))]

    return score
