"""What a second worker brings: two processes of one thread on halves of the traces, against one on all.

    python workers.py COUNT

is such a process. It says when its engine stands, then scores what the numbers on a line of its input
name, and answers with its CPU seconds: on shared cores their ratio shows what two workers take from each
other, where the wall's shows the neighbours.
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
    count, rounds = (4, 1) if quick else (16, 5)
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
        _answers(workers)
        one: list[tuple[float, float]] = []
        two: list[tuple[float, float]] = []
        for _ in range(rounds):
            one.append(_together(workers[:1], [everything]))
            two.append(_together(workers, halves))
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    one_wall, one_cpu = (statistics.median(clock) for clock in zip(*one, strict=True))
    two_wall, two_cpu = (statistics.median(clock) for clock in zip(*two, strict=True))
    return {
        "two_workers_speedup": one_wall / two_wall,
        "two_workers_speedup_cpu": one_cpu / two_cpu,
        "one_worker_s": one_wall,
        "two_workers_s": two_wall,
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


def _together(
    workers: "Sequence[subprocess.Popen[str]]", groups: Sequence[Sequence[int]]
) -> tuple[float, float]:
    """Wall seconds until every worker has done its group, and the most CPU seconds one of them took."""
    begun = time.perf_counter()
    for worker, group in zip(workers, groups, strict=True):
        assert worker.stdin is not None
        print(*group, file=worker.stdin, flush=True)
    cpu_s = max(_answers(workers))
    return time.perf_counter() - begun, cpu_s


def _answers(workers: "Sequence[subprocess.Popen[str]]") -> list[float]:
    answers: list[float] = []
    for worker in workers:
        assert worker.stdout is not None
        line = worker.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker of the benchmark ended with code {worker.wait()}")
        answers.append(float(line))
    return answers


def _work(count: int) -> None:
    torch.set_num_threads(1)
    traces = draw_traces(count, A.vocabulary)
    score = scorer(build_model(A))
    score(traces[:1])
    print(time.process_time(), flush=True)
    for line in sys.stdin:
        begun = time.process_time()
        score([traces[int(place)] for place in line.split()])
        print(time.process_time() - begun, flush=True)


if __name__ == "__main__":
    _work(int(sys.argv[1]))
