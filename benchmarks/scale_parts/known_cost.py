"""A scorer of known cost in place of a model: it takes as long as it is told, and never computes.

It goes in by the argument `load` of `rdpt_ray.pipeline.score.score`, so that everything around it is the
real stage: the pool, the attempts, the commit. It sleeps, so two cores can host many "accelerators".
"""

import threading
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.traces import Trace, TraceTokens

PROMPT_TOKENS = 16


class KnownCost:
    """Says the same of a trace whenever it is asked, after a fixed time per part."""

    def __init__(self, voice: str, seconds: float) -> None:
        self._voice, self._seconds = voice, seconds
        self._passing = threading.Lock()

    def tokens(self, traces: Sequence[Trace]) -> list[TraceTokens | str]:
        """One token per sentence. Of two threads one waits, as for the one model of an actor."""
        if self._seconds:
            with self._passing:
                time.sleep(self._seconds)
        return [said(self._voice, trace) for trace in traces]


def said(voice: str, trace: Trace) -> TraceTokens:
    """What a voice says of a trace: log-probabilities between -4 and 0 that only its id decides."""
    digest = sha256(f"{voice}{trace.trace_id}".encode()).digest()
    spans = np.array(trace.sentences, np.int64).reshape(-1, 2)
    values = np.frombuffer(digest, np.uint8)[np.arange(len(spans)) % len(digest)]
    return TraceTokens(spans, TokenScores(-(values / 64).astype(np.float32)), PROMPT_TOKENS)


def load_known_cost(
    model: ModelConfig, identity: ModelIdentity, *, num_threads: int, seconds: float = 0.0
) -> Any:
    """Called in each actor like `load_scorer`."""
    return KnownCost(identity.key, seconds)
