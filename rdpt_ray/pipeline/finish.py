"""The end of a run: its facts gathered, its report and, last of all, its manifest written."""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console

from rdpt_ray.method.summary import Summary
from rdpt_ray.pipeline.account import account
from rdpt_ray.pipeline.job import Job, shown
from rdpt_ray.pipeline.lineage import manifest, versions
from rdpt_ray.pipeline.quarantined import check_outcome
from rdpt_ray.pipeline.roles import is_teacher
from rdpt_ray.pipeline.session import AtWork
from rdpt_ray.publish.facts import (
    BetaFacts,
    InputFacts,
    ModelFacts,
    PrecisionFacts,
    RunFacts,
    VerifyFacts,
)
from rdpt_ray.publish.findings_answers import answer_facts
from rdpt_ray.publish.publishing import publish_run
from rdpt_ray.publish.release import Published
from rdpt_ray.publish.report import render_report
from rdpt_ray.publish.viewer_traces import sample_traces
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.leases import Lease
from rdpt_ray.storage.runs import MANIFEST, REPORT, read_json, write_json
from rdpt_ray.storage.sessions import sessions_of


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is complete."""

    uri: str
    report: str
    summary: Summary
    facts: RunFacts
    published: Published | None = None
    """None: the config does not say where to."""
    round: int | None = None
    """Which round of a schedule has seen to it; None: it was none."""

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints (docs/data.md)."""
        sessions = self.facts.sessions
        return {
            "run": self.uri,
            "report": self.report,
            "rows_read": self.summary.rows_read,
            "selected": self.summary.selected,
            "rejected": self.summary.rejected,
            "quarantined": self.summary.quarantined,
            "pruned": self.summary.pruned,
            "classes": dict(self.summary.classes),
            "answers": None if self.facts.answers is None else asdict(self.facts.answers),
            "scored": {model.role: model.scored for model in self.facts.models},
            "reused": {model.role: model.reused for model in self.facts.models},
            "published": None if self.published is None else asdict(self.published),
            "round": self.round,
            "started": 1 if sessions is None else sessions.started,
            "read_again": 0 if sessions is None else sessions.read_again,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """What the stages of a run came to."""

    summary: Summary
    models: tuple[ModelFacts, ...]
    beta: float
    auto_beta: BetaFacts | None
    verification: VerifyFacts | None
    precision: PrecisionFacts | None
    damaged: int
    """Files of the store that were set aside."""


def finish(job: Job, session: AtWork, found: Findings) -> Run:
    """Write the report and the manifest, and with them complete the run.

    Args:
        job: The job.
        session: For whom this is done; its account is closed here.
        found: What the stages came to.
    """
    session.record.ended = "finished"
    others = [each for each in sessions_of(job.store, job.run_id) if each.session != job.session]
    sessions = [*others, session.record]
    config, kind, summary = job.config, job.kind, found.summary
    facts = RunFacts(
        run_id=job.run_id,
        name=config.name,
        kind=kind,
        created_at=session.record.started_at,
        policy=config.selection.policy if kind == "curate" else None,
        per_prompt=config.selection.per_prompt,
        alpha=config.thresholds.alpha,
        beta=found.beta,
        models=found.models,
        inputs=(InputFacts(shown(job.files), summary.rows_read),),
        precision=found.precision,
        divergence=config.thresholds.divergence,
        auto_beta=found.auto_beta,
        verification=found.verification,
        answers=answer_facts(summary.correctness, kind),
        min_score=config.selection.min_score,
        budget_rows=config.selection.budget.rows,
        budget_tokens=config.selection.budget.tokens,
        budget_order=config.selection.budget.order,
        prune=config.selection.prune and kind == "curate",
        prune_exact=_rounding(job),
        wall_s=time.monotonic() - session.begun,
        sessions=account(sessions, found.damaged),
        versions=versions(),
    )
    page = render_report(summary, facts, sample_traces(job.store.inside(job.folder)))
    job.store.write_bytes(f"{job.folder}/{REPORT}", page.encode())
    write_json(job.store, f"{job.folder}/{MANIFEST}", manifest(job, facts, summary, sessions))
    return _run(job.store, job.folder, summary, facts)


def _rounding(job: Job) -> str | None:
    """Why pruning keeps the selection only up to rounding; None where it keeps it to the bit.

    The bound is exact where a trace's scores do not depend on what shares its pass, which was seen for
    float32 on CPU only (docs/pruning.md).
    """
    inexact = [
        f"{role} scores by {model.engine} in {model.dtype}"
        + (" on GPUs" if model.pool.num_gpus else "")
        for role, model in job.models.items()
        if is_teacher(role)
        and model.engine != "precomputed"
        and (model.engine != "transformers" or model.dtype != "float32" or model.pool.num_gpus)
    ]
    return "; ".join(inexact) or None


def publish(run: Run, job: Job, console: Console, lease: Lease | None = None) -> Run:
    """Publish a complete run, if its config says where to; a release that is there already is left alone."""
    run = replace(run, round=lease.number if lease else None)
    if job.config.publish.to is None:
        return run
    published = publish_run(job.store.inside(job.folder), job.config.publish, console, lease)
    console.print(f"published: {published.url}: {published.why}", highlight=False, markup=False)
    return replace(run, published=published)


def found_finished(job: Job) -> Run:
    """A run whose manifest is there: its outcome, with nothing scored this time."""
    record = read_json(job.store, f"{job.folder}/{MANIFEST}")
    facts = RunFacts.from_dict(record["facts"])
    models = tuple(
        replace(model, scored=0, reused=model.scored + model.reused, tokens=0, tokens_per_s=None)
        for model in facts.models
    )
    summary = Summary.from_dict(record["summary"])
    check_outcome(job, summary)
    return _run(job.store, job.folder, summary, replace(facts, models=models))


def _run(store: Root, folder: str, summary: Summary, facts: RunFacts) -> Run:
    return Run(store.show(folder), store.show(f"{folder}/{REPORT}"), summary, facts)
