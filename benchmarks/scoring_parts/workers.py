"""What a second worker brings: two processes of one thread on halves of the traces, against one on all.

    python workers.py COUNT

is such a process. It says when its engine stands, then scores what the numbers on a line of its input
name, and answers with its wall seconds.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rdpt_ray.scoring.engine import TokenSequence
from scoring_parts import Figures
from scoring_parts.ours import scorer
from scoring_parts.workload import A, attention_flops, build_model, draw_traces, product_flops


def two_workers(quick: bool) -> Figures:
    """The speed-up by wall time, medians of interleaved rounds, with the machine's load before it.

    Args:
        quick: Fewer traces, one round.
    """
    count, rounds = (6, 1) if quick else (24, 5)
    halves = balanced_halves(draw_traces(count, A.vocabulary))
    everything = sorted([*halves[0], *halves[1]])
    load = os.getloadavg()[0]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in halves
    ]
    try:
        _wait(workers)
        one: list[float] = []
        two: list[float] = []
        for _ in range(rounds):
            one.append(_together(workers[:1], [everything]))
            two.append(_together(workers, halves))
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    return {
        "two_workers_speedup": statistics.median(one) / statistics.median(two),
        "one_worker_s": statistics.median(one),
        "two_workers_s": statistics.median(two),
        "two_workers_load_before": load,
    }


def balanced_halves(traces: Sequence[TokenSequence]) -> list[list[int]]:
    """Places of the traces in two groups of about equal work: the costliest first, to the lighter one."""
    work = [
        attention_flops(A, [trace]) + sum(product_flops(A, [trace]).values()) for trace in traces
    ]
    halves: list[list[int]] = [[], []]
    loads = [0, 0]
    for place in sorted(range(len(traces)), key=lambda place: -work[place]):
        lighter = loads.index(min(loads))
        halves[lighter].append(place)
        loads[lighter] += work[place]
    return halves


def _together(workers: "Sequence[subprocess.Popen[str]]", groups: Sequence[Sequence[int]]) -> float:
    """Wall seconds until every worker has done its group."""
    begun = time.perf_counter()
    for worker, group in zip(workers, groups, strict=True):
        assert worker.stdin is not None
        print(*group, file=worker.stdin, flush=True)
    _wait(workers)
    return time.perf_counter() - begun


def _wait(workers: "Sequence[subprocess.Popen[str]]") -> None:
    for worker in workers:
        assert worker.stdout is not None
        if not worker.stdout.readline():
            raise RuntimeError(f"a worker of the benchmark ended with code {worker.wait()}")


def _work(count: int) -> None:
    torch.set_num_threads(1)
    traces = draw_traces(count, A.vocabulary)
    score = scorer(build_model(A))
    score(traces[:1])
    print("ready", flush=True)
    for line in sys.stdin:
        score([traces[int(place)] for place in line.split()])
        print("done", flush=True)


if __name__ == "__main__":
    _work(int(sys.argv[1]))
