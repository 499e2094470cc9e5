"""Responses of a model to prompts, with the log-probabilities of their tokens: `rdpt sample`.

What comes of it is a data set of traces like any other, and a recording for the engine `precomputed`: the
model that wrote the traces need not score them again (docs/sampling.md).
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

import pyarrow as pa
from rich.console import Console

from rdpt_ray import __version__
from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import QuarantineError
from rdpt_ray.pipeline.capacity import check_capacity
from rdpt_ray.pipeline.check_models import check_tokenizers
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.roles import model_of
from rdpt_ray.pipeline.sample_manifest import sample_manifest
from rdpt_ray.pipeline.sample_parts import SamplingTask, sample_planned
from rdpt_ray.pipeline.sample_plan import Plan, kept_plan, make_plan, read_all
from rdpt_ray.pipeline.session import AtWork, at_work
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.loading import (
    engine_of,
    sampler_identity,
    sampling_key,
    sampling_settings,
)
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.runs import MANIFEST, run_folder, run_id, write_json
from rdpt_ray.storage.samples import check_settings, part_counts, sample_parts
from rdpt_ray.storage.samples import read_samples as read_parts
from rdpt_ray.storage.sources import InputFile


@dataclass(frozen=True, slots=True)
class SampleRun:
    """What a run of sampling came to."""

    run: str
    """Its folder in the store."""
    dataset: str
    """The folder of the responses, for `input.path`, and for `recorded.path` of their model."""
    prompts: int
    """Different ones."""
    samples: int
    """Responses to them; those with an error are among them."""
    complete: int
    """Ended by the model itself."""
    tokens: int
    """Of the responses."""
    quarantined: int
    """Rows of the prompts' files that are no prompt."""
    errors: int
    """Responses that could not be had; each says why, in the column error."""
    sampled: int
    """Responses that this start sampled."""
    reused: int
    """Responses that were there."""

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {**asdict(self), "dataset": public_uri(self.dataset)}


@dataclass(frozen=True, slots=True)
class _Job:
    """What a run is made of."""

    config: CurateConfig
    ask: SamplingConfig
    role: Role
    files: list[InputFile]
    task: SamplingTask
    run_id: str
    session: str


def sample(
    config: CurateConfig, console: Console, *, ask: SamplingConfig, role: Role, to: str
) -> SampleRun:
    """Sample, or continue it, or find it done.

    Args:
        config: The model, the store, and how long to wait when asked to end.
        console: Where progress is shown.
        ask: The prompts and how to draw.
        role: Which model answers.
        to: URI of the folder of the responses; `ask.to` is for whoever calls.

    Returns:
        What the folder has for these prompts now.

    Raises:
        RdptError: whatever is wrong with the config, the prompts, the model, the store or the cluster, before
            anything is sampled wherever it can be known by then.
    """
    job = _open(config, ask, role, to)
    task = job.task
    there = sample_parts(task.to)
    check_settings(task.to, there, task.settings)
    plan = kept_plan(task.store, task.run, there)
    if plan is not None and task.store.exists(f"{task.run}/{MANIFEST}") and not _left(plan, task):
        _check_quarantined(job, plan)
        return _found(job, plan, num_sampled=0)
    check_tokenizers({role: task.identity}, {})
    console.print(
        f"run {job.run_id}: {', '.join(file.uri for file in job.files[:3])}, by {role}",
        highlight=False,
        markup=False,
    )
    with (
        connected(),
        at_work(
            task.store,
            job.run_id,
            job.session,
            console,
            drain_s=config.drain_s,
            models={role: {"key": task.attempts, "model": public_uri(task.identity.model)}},
            plan=config.plan,
        ) as session,
    ):
        for wait in check_capacity({role: task.model.pool}, connected_cluster()):
            console.print(f"waiting for the autoscaler: {wait}", highlight=False, markup=False)
        plan = plan or _planned(job, session)
        _check_quarantined(job, plan)
        num_sampled = _sample(job, plan, session)
        found = _found(job, plan, num_sampled)
        session.record.ended = "finished"
        manifest = sample_manifest(
            config=config,
            ask=ask,
            role=role,
            files=job.files,
            task=task,
            session=session.record,
            counts={**_counts(plan), **{name: getattr(found, name) for name in _TOTALS}},
        )
        write_json(task.store, f"{task.run}/{MANIFEST}", manifest)
    return found


def read_samples(dataset: Root) -> Iterator[pa.Table]:
    """Every sampled response of a folder, part by part: tables of the schema `storage.samples.SAMPLES`.

    Raises:
        ConfigError: if something else lies in the folder.
        StoreError: if a file cannot be read.
    """
    return read_parts(dataset)


_TOTALS = ("samples", "complete", "tokens", "errors")


def _open(config: CurateConfig, ask: SamplingConfig, role: Role, to: str) -> _Job:
    """List the prompts and pin the model."""
    model = model_of(config, role)
    engine = engine_of(model, ask, f"models.{role}")
    files = list_inputs(ask.prompts)
    check_columns(files, ask.prompts, prompts_only=True)
    identity = sampler_identity(model, engine)
    settings = sampling_settings(identity, ask)
    key = sampling_key(settings)
    folder = open_root(to)
    facts = {
        "kind": "sample",
        "prompts": ask.prompts.model_dump(mode="json", exclude={"path"}),
        "files": [[file.uri, file.fingerprint] for file in files],
        "key": key,
        "num_candidates": ask.num_candidates,
        "part_samples": ask.part_samples,
        "to": folder.uri,
        "rdpt_ray": __version__,
    }
    named = run_id(f"{config.name}-sample", facts)
    session = secrets.token_hex(8)
    task = SamplingTask(
        store=open_root(config.store),
        run=run_folder(named),
        to=folder,
        model=model,
        identity=identity,
        engine=engine,
        sampling=ask,
        settings=settings,
        key=key,
        teacher_name=_name(identity),
        session=f"{run_folder(named)}/sessions/{session}.json",
        role=role,
    )
    return _Job(config, ask, role, files, task, named, session)


def _name(identity: ModelIdentity) -> str:
    """A model's name for everybody: its Hub id, or its folder's own name."""
    return PurePath(identity.location).name if identity.is_local else identity.model


def _planned(job: _Job, session: AtWork) -> Plan:
    with session.stage("read prompts", len(job.files)) as advance:
        read = read_all(job.files, job.ask.prompts, advance)
    return make_plan(
        read,
        store=job.task.store,
        run=job.task.run,
        to=job.task.to,
        key=job.task.key,
        num_candidates=job.ask.num_candidates,
        part_samples=job.ask.part_samples,
    )


def _check_quarantined(job: _Job, plan: Plan) -> None:
    """Whether too many rows are no prompt.

    Raises:
        QuarantineError: saying how many.
    """
    allowed = job.config.fail_above
    if allowed is not None and plan.quarantined > allowed * plan.rows_read:
        where = job.task.store.show(f"{job.task.run}/quarantine")
        raise QuarantineError(
            f"{plan.quarantined:,} of {plan.rows_read:,} rows of the prompts are quarantined, more than"
            f" fail_above allows; all of them are in {where} (column reason). Mend the input, or raise"
            " fail_above: the same command then continues"
        )


def _left(plan: Plan, task: SamplingTask) -> list[str]:
    """Parts of the plan that are not there."""
    there = set(sample_parts(task.to))
    return [key for key in plan.parts if key not in there]


def _sample(job: _Job, plan: Plan, session: AtWork) -> int:
    """Sample what is left; how many responses that were."""
    left, role = _left(plan, job.task), job.role
    if not left:
        session.console.print(
            f"sample {role}: nothing to do, all responses are there", highlight=False, markup=False
        )
        return 0
    num_sampled = num_tokens = 0
    begun = time.monotonic()
    stage = sample_planned(left, job.task, stalled=session.stall)
    with (
        session.stage(f"sample {role}", sum(plan.parts[key] for key in left), role=role) as advance,
        session.finishing(),
        closing(stage) as results,
    ):
        for done in results:
            if done.is_left:
                continue
            session.count(role, job.task.identity.key, done)
            num_sampled += done.num_scored
            num_tokens += done.num_tokens
            rate = num_tokens / (time.monotonic() - begun)
            advance(plan.parts[done.key], f"{rate:,.0f} tokens/s")
    session.done_with(role)
    return num_sampled


def _found(job: _Job, plan: Plan, num_sampled: int) -> SampleRun:
    task = job.task
    total = sum(part_counts(task.to, plan.parts), plan.held)
    return SampleRun(
        run=task.store.show(task.run),
        dataset=task.to.uri,
        prompts=plan.prompts,
        quarantined=plan.quarantined,
        **asdict(total),
        sampled=num_sampled,
        reused=total.samples - num_sampled,
    )


def _counts(plan: Plan) -> dict[str, int]:
    return {
        name: getattr(plan, name) for name in ("rows_read", "prompts", "repeated", "quarantined")
    }
