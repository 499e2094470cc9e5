"""What an actor tells of every part that it has committed: to the driver, to Prometheus, to its log."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import ray

from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline import metrics
from rdpt_ray.pipeline.logs import start_log, tell
from rdpt_ray.pipeline.nodes import CPU, accelerator_of


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """What scoring, or sampling, one part came to; a response that was sampled is counted as a trace."""

    key: str
    num_scored: int
    """Traces that the model read to their end."""
    num_errors: int
    num_pruned: int
    """Traces of this run that it did not read, or not to their end, because nothing depends on them."""
    num_tokens: int
    """Tokens read: prompts and responses."""
    seconds: float
    """Of one actor, from reading the part to its commit."""
    num_again: int = 0
    """Traces read now that a lost attempt of the same run may have read before."""
    numerics: str = "{}"
    """What decides the last bits, a JSON object."""
    is_left: bool = False
    """Not begun: the session is to begin nothing new."""
    actor_s: float = 0.0
    """Seconds since the actor last told of a part, or began to load its model: these add up to its time."""
    busy_s: float = 0.0
    """Seconds of them in which its model worked."""
    on: str = CPU
    """The accelerator that it holds, as Ray names it; CPU without one."""
    num_on: float = 1.0
    """How many of them."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Whom an actor works for, and at what."""

    session: str
    """The file of the driver's session."""
    role: str = ""
    stage: str = "score"

    @property
    def run(self) -> str:
        """Id of the run."""
        return self.session.split("/")[1]


class PartReport:
    """Completes the record of a part with what the actor has spent since the last one."""

    def __init__(self, duty: Duty, pool: PoolConfig) -> None:
        """Begin to count: before the model is loaded.

        Args:
            duty: The actor's.
            pool: As configured.
        """
        start_log()
        self._duty = duty
        self._on = accelerator_here() if pool.num_gpus else CPU
        self._num_on = float(pool.num_gpus or pool.num_cpus)
        self._told, self._busy_told = time.monotonic(), 0.0
        self._lock = threading.Lock()  # two parts may end at once
        self.busy_s: Callable[[], float] = lambda: 0.0
        """Seconds in which the model has worked, since it was loaded."""

    def of(self, part: ScoredPart) -> ScoredPart:
        """The record of a part that is committed."""
        with self._lock:
            now, busy = time.monotonic(), self.busy_s()
            actor_s, busy_s = now - self._told, busy - self._busy_told
            self._told, self._busy_told = now, busy
        part = replace(part, actor_s=actor_s, busy_s=busy_s, on=self._on, num_on=self._num_on)
        values = {
            "rdpt_tokens": part.num_tokens,
            "rdpt_traces": part.num_scored,
            "rdpt_trace_errors": part.num_errors,
            "rdpt_parts": 1,
            "rdpt_actor_seconds": actor_s,
            "rdpt_busy_seconds": busy_s,
            "rdpt_part_seconds": part.seconds,
        }
        duty = self._duty
        metrics.count(values, duty.run, duty.role, duty.stage)
        tell(
            "part committed",
            run=duty.run,
            session=duty.session.rpartition("/")[2].removesuffix(".json"),
            stage=duty.stage,
            role=duty.role,
            part=part.key,
            traces=part.num_scored,
            errors=part.num_errors,
            tokens=part.num_tokens,
            seconds=round(part.seconds, 3),
        )
        return part


def accelerator_here() -> str:
    """The accelerator of this process's node, as Ray names it."""
    if not ray.is_initialized():
        return "GPU"
    here = ray.get_runtime_context().get_node_id()
    return next(
        (accelerator_of(node["Resources"]) for node in ray.nodes() if node["NodeID"] == here), "GPU"
    )
