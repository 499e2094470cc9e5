"""How long scoring takes, from a short real run here: the job's own pools, models and code on a few traces.

Traces of the sample are written as parts into a store that is thrown away, and scored as the job would score
them. That gives two figures for each model: how long the pool takes to start and to end, and how fast its
actors read. The job's own parts, shared out over its actors, give the rest.
"""

import os
import random
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace

import fsspec
import pyarrow as pa
from rich.console import Console

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import InputError
from rdpt_ray.method.sentences import splitter_id
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.plan import InputPlan, Looked, Plan, RolePlan
from rdpt_ray.pipeline.plan_models import Lengths, PlannedModel, token_lengths
from rdpt_ray.pipeline.plan_sample import Sample, own_traces, reads_at_most, traces_in, work_of
from rdpt_ray.pipeline.plan_schedule import makespan
from rdpt_ray.pipeline.plan_text import duration
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.pipeline.session import at_work
from rdpt_ray.storage.files import Root, open_root
from rdpt_ray.storage.parts import (
    bucket_folder,
    bucket_of,
    cut_into_parts,
    num_buckets,
    part_chars,
    write_part,
)
from rdpt_ray.storage.schemas import TRACES

PARTS_EACH = 3
"""Parts for each actor of a measurement: one begins while another is in hand, as in a job."""

FIRST_TOKENS = 2048
"""Of a part of the first measurement; a second one is longer, once the speed is known."""

MOST_OF_JOB = 0.5
"""Share of a small job that is measured: a prediction is not the job itself."""

BUSY = 0.5
"""Load for each CPU of this machine above which it is said that others work on it."""

DATASET = "calibration"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One model, measured here."""

    role: Role
    why_not: str | None
    """Why it was not measured; the figures are null then."""
    load: float = 0.0
    """Processes that wanted a CPU of this machine in the minute before: the work of others."""
    actors_here: int = 0
    measured_tokens: int = 0
    measured_s: float | None = None
    """From the first part's begin to the last one's end."""
    start_s: float | None = None
    """Until the pool's first part begins, and from its last one's end until the pool is gone."""
    tokens_per_s: float | None = None
    """Of one actor, with the others at work."""
    actors: int = 0
    """Of the job."""
    scoring_s: float | None = None
    """Of the job, start-up included: what remains, without what pruning is expected to spare."""


def calibrate_plan(
    config: CurateConfig, plan: Plan, looked: Looked, console: Console
) -> list[Calibrated]:
    """Measure every model that can be hosted here.

    Args:
        config: Of the job.
        plan: Of the job.
        looked: What the plan was made of.
        console: Where it is told what is measured.

    Raises:
        InputError: if there is no trace to measure with.
        RdptError: if a model cannot be loaded, or the pool fails.
    """
    if looked.sample is None:
        raise InputError("--calibrate: there is nothing to measure with: the input cannot be read")
    found: list[Calibrated] = []
    load = os.getloadavg()[0]
    with connected(), _scratch(config, plan) as store:
        for each in plan.roles:
            model = looked.models[each.role]
            why_not = _obstacle(each, model)
            if why_not is None:
                console.print(f"measuring {each.role}", highlight=False, markup=False)
                measure = _Measure(config, store, model, looked, plan.input)
                found.append(_calibrated(each, measure, load, console))
            else:
                found.append(Calibrated(each.role, why_not))
    return found


def _obstacle(each: RolePlan, model: PlannedModel) -> str | None:
    if model.is_recorded:
        return "it was recorded, and reads nothing"
    if model.identity is None:
        return "it cannot be loaded here"
    if each.remaining is not None and not each.remaining.share:
        return "the store has all of it"
    if not connected_cluster().room(model.config.pool):
        return "its pool does not fit here"
    return None


@contextmanager
def _scratch(config: CurateConfig, plan: Plan) -> Iterator[Root]:
    """A store that is gone afterwards: on this machine, or beside the job's where others must see it too."""
    if not plan.where.is_connected:
        with tempfile.TemporaryDirectory(prefix="rdpt-calibrate-") as folder:
            yield open_root(folder)
        return
    store = open_root(f"{config.store.rstrip('/')}-calibrate-{secrets.token_hex(4)}")
    try:
        yield store
    finally:
        fs, path = fsspec.core.url_to_fs(store.uri)
        with suppress(FileNotFoundError):
            fs.rm(path, recursive=True)


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a measurement needs to know."""

    config: CurateConfig
    store: Root
    model: PlannedModel
    looked: Looked
    reads: InputPlan

    @property
    def sample(self) -> Sample:
        assert self.looked.sample is not None
        return self.looked.sample

    def traces(self) -> pa.Table:
        """The model's traces of the sample."""
        tables = [traces_in(block).select(TRACES.names) for block in self.sample.blocks]
        return own_traces(self.model.role, pa.concat_tables(tables), list(self.looked.models))

    def lengths(self, traces: pa.Table) -> Lengths:
        return token_lengths(self.model, traces, self.config.plan.chars_per_token)

    def work(self, traces: pa.Table) -> float:
        """What reading traces takes: operations, or tokens of a model of unknown size."""
        return self._work(self.lengths(traces))

    def _work(self, lengths: Lengths) -> float:
        limit = reads_at_most(self.model)
        tokens = lengths.prompts + lengths.responses
        if limit is not None:
            fits = tokens <= limit
            lengths = Lengths(lengths.prompts[fits], lengths.responses[fits])
        if self.model.size is None:
            return float((lengths.prompts + lengths.responses).sum())
        return float(work_of(self.model, lengths).total)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A pool that was watched."""

    start_s: float
    busy_s: float
    work: float
    """Until the last actor is done, if all share it well."""
    num_tokens: int


def _calibrated(each: RolePlan, measure: _Measure, load: float, console: Console) -> Calibrated:
    pool = each.model.pool
    here = min(connected_cluster().room(pool), pool.max_actors or connected_cluster().room(pool))
    works = part_works(measure, each)
    traces = _shuffled(measure.traces(), measure.config.plan.seed)
    tokens_each = FIRST_TOKENS
    tables = _cut(measure, traces, here * PARTS_EACH, tokens_each)
    timed = _timed(measure, tables, here, console)
    wanted_s = measure.config.plan.calibrate_s
    if timed.busy_s < wanted_s:
        longer = _cut(
            measure,
            traces,
            here * PARTS_EACH,
            round(tokens_each * wanted_s / max(timed.busy_s, 0.1)),
        )
        if sum(map(len, longer)) > sum(map(len, tables)):
            timed = _timed(measure, longer, here, console)
    rate = timed.work / timed.busy_s
    actors = each.pool.actors if each.pool is not None else here
    return Calibrated(
        role=each.role,
        why_not=None,
        load=load,
        actors_here=here,
        measured_tokens=timed.num_tokens,
        measured_s=timed.busy_s,
        start_s=timed.start_s,
        tokens_per_s=timed.num_tokens / timed.busy_s / here,
        actors=actors,
        scoring_s=timed.start_s + makespan([work * each.share for work in works], actors) / rate,
    )


def part_works(measure: _Measure, each: RolePlan) -> list[float]:
    """What each of the job's parts takes: known where all traces are, alike where they are not."""
    tokens, sample = each.tokens, measure.sample
    if measure.reads.source == "store" and sample.is_complete and tokens and tokens.flops:
        return [float(work) for work in tokens.by_part.values()]
    job = measure.looked.job
    if measure.reads.source == "all" and job is not None:
        size = sum(file.size for file in job.files)
        buckets = num_buckets(size)
        traces = measure.traces()
        places = [bucket_of(name, buckets) for name in traces.column("prompt_id").to_pylist()]
        return [
            measure.work(part)
            for bucket in sorted(set(places))
            for part in cut_into_parts(
                traces.filter(pa.array([place == bucket for place in places], pa.bool_())),
                part_chars(size),
            )
        ]
    assert tokens is not None, "a recorded model is not measured"
    total = tokens.flops if measure.model.size is not None else tokens.num_tokens
    count = max(1, round(measure.reads.num_parts))
    return [total / count] * count


def _shuffled(traces: pa.Table, seed: int) -> pa.Table:
    order = list(range(traces.num_rows))
    random.Random(seed).shuffle(order)
    return traces.take(order)


def _cut(measure: _Measure, traces: pa.Table, count: int, tokens_each: int) -> list[pa.Table]:
    """Parts of about so many tokens, of different traces, none larger than a part of the job."""
    room = traces.num_rows
    if measure.sample.is_complete:
        room = max(count, int(room * MOST_OF_JOB))
    room = min(room, traces.num_rows)
    looked_at = measure.lengths(traces.slice(0, min(room, 256)))
    per_trace = (looked_at.prompts.sum() + looked_at.responses.sum()) / max(
        1, len(looked_at.prompts)
    )
    in_part = measure.reads.traces.value / max(1.0, measure.reads.num_parts)
    rows = max(1, min(round(tokens_each / max(1.0, per_trace)), room // count, round(in_part)))
    return [
        traces.slice(place * rows, rows) for place in range(count) if place * rows < traces.num_rows
    ]


def _timed(measure: _Measure, tables: Sequence[pa.Table], here: int, console: Console) -> _Timed:
    """Score parts as the job would, and watch."""
    store, config, model = measure.store, measure.config, measure.model
    assert model.identity is not None, "a model that is not pinned is not measured"
    dataset = f"{DATASET}-{secrets.token_hex(4)}"  # nothing that was scored counts again
    splitter = splitter_id(config.split.unit)
    keys = [write_part(store, bucket_folder(dataset, 0), table, splitter) for table in tables]
    parts = [Part(0, key, len(table)) for key, table in zip(keys, tables, strict=True)]
    hosted = model.config.model_copy(
        update={"pool": model.config.pool.model_copy(update={"max_actors": here})}
    )
    identity = replace(model.identity, served=dataset)
    arrivals: list[tuple[float, float]] = []
    num_tokens = 0
    with at_work(store, DATASET, secrets.token_hex(8), console, drain_s=config.drain_s) as session:
        begun = time.monotonic()
        stage = score(
            parts,
            store=store,
            dataset=dataset,
            model=hosted,
            identity=identity,
            session=session.file,
            stalled=session.stall,
        )
        with session.finishing(), closing(stage) as results:
            for scored in results:
                arrivals.append((time.monotonic() - begun, scored.seconds))
                num_tokens += scored.num_tokens
        ended = time.monotonic() - begun
    ready = min(arrived - seconds for arrived, seconds in arrivals)
    last = max(arrived for arrived, _ in arrivals)
    works = [measure.work(table) for table in tables]
    return _Timed(ready + ended - last, last - ready, makespan(works, here), num_tokens)


def print_calibration(console: Console, calibrated: Sequence[Calibrated]) -> None:
    """A line for each model."""
    for each in calibrated:
        console.print(calibrated_text(each), highlight=False, markup=False)
    load, num_cpus = max((each.load for each in calibrated), default=0.0), os.cpu_count() or 1
    if load > BUSY * num_cpus:
        console.print(
            f"this machine was busy before (load {load:.1f} on {num_cpus} CPUs): the figures are of a machine"
            " that is shared like that",
            highlight=False,
            markup=False,
        )


def calibrated_text(each: Calibrated) -> str:
    """What a measurement says of the job, in a line."""
    if each.scoring_s is None or each.start_s is None or each.tokens_per_s is None:
        return f"{each.role}: not measured: {each.why_not}"
    return (
        f"{each.role}: {duration(each.scoring_s)} of scoring with {each.actors} actors,"
        f" {each.start_s:.1f} s of it to start and end (measured: {each.measured_tokens:,} tokens by"
        f" {each.actors_here} actors in {each.measured_s:.1f} s, {each.tokens_per_s:,.0f} a second and actor)"
    )
