"""What Ray takes of a real stage: `rdpt_ray.pipeline.score.score` over real parts, one actor of one CPU.

Counted: the wall time from the moment the model gets its first part to the moment the last part's record
reaches the driver. In it, the time in which the actor's scorer works on no part is Ray's share; so reading
and committing count as Ray's too, as far as they do not overlap with scoring. Starting Ray, the pool and
the model is before all that, and is reported beside it. Work that Ray's processes do meanwhile on another
core is `ray_cpu_share`: their part of all CPU time between the first and the last record.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from rdpt_ray.input_config import InputConfig
from rdpt_ray.model_config import ModelConfig, PoolConfig
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.ingest import Destination, ingest
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.scoring.loading import identity_of, load_scorer
from rdpt_ray.scoring.scorer import Scorer
from rdpt_ray.scoring.traces import Trace, TraceTokens
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.sessions import session_name
from scoring_parts import Figures
from scoring_parts.workload import A, B, Shape, build_model

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"
VOCABULARY = 386
"""Of the miniature's tokenizer."""
NUM_PARTS = 4


def ray_share(quick: bool) -> Figures:
    """Ray's share of the wall time, and how it came to be.

    Args:
        quick: Parts of seconds instead of half a minute, so that the share is larger than it really is.
    """
    shape = replace(A if quick else B, vocabulary=VOCABULARY)
    rows = 160 if quick else 640
    with TemporaryDirectory(prefix="rdpt-bench-") as folder:
        model = _saved_model(Path(folder) / "model", shape)
        store = open_root(f"{folder}/store")
        source = InputConfig(path=str(MINIATURE / "traces.parquet"), limit=rows)
        identity = identity_of(model)
        with connected():
            to = Destination(store, "bench", "runs/bench", NUM_PARTS)
            buckets = ingest(list_inputs(source), source, to)
            parts = [Part(b.bucket, key, num) for b in buckets for key, num in b.parts.items()]
            begun = time.monotonic()
            arrivals: list[float] = []
            used: list[dict[int, float]] = []
            record = Path(folder) / "intervals"
            load = partial(_recording, record)
            for _ in score(
                parts,
                store=store,
                dataset="bench",
                model=model,
                identity=identity,
                session=session_name("bench", "bench"),
                load=load,
            ):
                arrivals.append(time.monotonic())
                used.append(_cpu_seconds())
        intervals = [json.loads(line) for line in record.read_text().splitlines()]
    starts, busy = min(start for _, start, _ in intervals), _union(intervals)
    wall = arrivals[-1] - starts
    (actor,) = {pid for pid, _, _ in intervals}
    spent = {pid: seconds - used[0].get(pid, 0) for pid, seconds in used[-1].items()}
    return {
        "ray_share": 1 - busy / wall,
        "ray_cpu_share": 1 - spent[actor] / sum(spent.values()),
        "ray_parts": len(parts),
        "ray_part_s": busy / len(parts),
        "ray_wall_s": wall,
        "ray_start_s": starts - begun,
    }


class _Recording:
    """A scorer that writes down when it works: process, start, end (monotonic, one clock per machine)."""

    def __init__(self, scorer: Scorer, record: Path) -> None:
        self._scorer, self._record = scorer, record

    def tokens(self, traces: Sequence[Trace]) -> list[TraceTokens | str]:
        begun = time.monotonic()
        result = self._scorer.tokens(traces)
        with self._record.open("a") as file:
            print(json.dumps([os.getpid(), begun, time.monotonic()]), file=file)
        return result


def _recording(record: Path, *arguments: Any, **named: Any) -> Scorer:
    return _Recording(load_scorer(*arguments, **named), record)


def _union(intervals: list[tuple[int, float, float]]) -> float:
    """Seconds covered by at least one interval."""
    covered, until = 0.0, -math.inf
    for _, start, end in sorted(intervals, key=lambda interval: interval[1]):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def _cpu_seconds() -> dict[int, float]:
    """CPU seconds so far of this process and of all that it started: Ray's daemons and the actor."""
    me = psutil.Process()
    seconds: dict[int, float] = {}
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds[process.pid] = times.user + times.system
    return seconds


def _saved_model(folder: Path, shape: Shape) -> ModelConfig:
    """A random model with the miniature's tokenizer, as a user's folder."""
    build_model(shape).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(MINIATURE / "teacher" / name, folder / name)
    return ModelConfig(model=str(folder), pool=PoolConfig(max_actors=1, num_cpus=1))
