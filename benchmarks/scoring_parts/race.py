"""Contestants on the same model, traces and threads, one after the other, round after round.

A round measures the machine's rate of matrix products first, so that a slow minute of the machine slows
both sides of a ratio. The clock is the process's CPU time: on shared cores wall time measures the
neighbours. Wall time is kept beside it.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.scoring.engine import TokenSequence

Timed = tuple[float, float, list[NDArray]]
"""CPU seconds, wall seconds, scores per trace."""

Run = Callable[[Sequence[TokenSequence]], Timed]


@dataclass(slots=True)
class Result:
    """One contestant's rounds."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    """FLOP/s of matrix products, measured at the start of the same round."""
    total: float = 0.0
    """Sum of all log-probabilities, to see that all score the same thing."""

    @property
    def cpu(self) -> float:
        """Median CPU seconds of a round."""
        return statistics.median(self.cpu_s)

    @property
    def wall(self) -> float:
        """Median wall seconds of a round."""
        return statistics.median(self.wall_s)

    def fraction(self, flops: int) -> float:
        """Median share of the machine's rate, counting only FLOPs that scoring needs."""
        rounds = zip(self.cpu_s, self.peaks, strict=True)
        return statistics.median(flops / seconds / peak for seconds, peak in rounds)


def timed(score: Callable[[Sequence[TokenSequence]], list[NDArray]]) -> Run:
    """A function of this process, with its clocks."""

    def run(traces: Sequence[TokenSequence]) -> Timed:
        wall, cpu = time.perf_counter(), time.process_time()
        scores = score(traces)
        return time.process_time() - cpu, time.perf_counter() - wall, scores

    return run


def race(
    contestants: dict[str, Run],
    traces: Sequence[TokenSequence],
    *,
    rounds: int,
    peak: Callable[[], float],
) -> dict[str, Result]:
    """Run everyone `rounds` times, after a warm-up on the shortest trace.

    Args:
        contestants: Name -> how to score.
        traces: In order of arrival.
        rounds: Repeats.
        peak: Measures FLOP/s of matrix products.
    """
    shortest = [min(traces, key=len)]
    for run in contestants.values():
        run(shortest)
    results = {name: Result() for name in contestants}
    for _ in range(rounds):
        now = peak()
        for name, run in contestants.items():
            cpu, wall, scores = run(traces)
            results[name].cpu_s.append(cpu)
            results[name].wall_s.append(wall)
            results[name].peaks.append(now)
            results[name].total = float(sum(np.sum(values, dtype=np.float64) for values in scores))
    return results
