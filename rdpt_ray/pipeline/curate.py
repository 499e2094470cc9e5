"""The main job: teacher traces in, a curated dataset with its provenance report out.

Read top to bottom, this file is the service: ingest, verify answers, find duplicates, score by each model,
classify and select, report, and write the manifest last. Every step leaves its result in the store and
starts by looking for it there, so killing the job at any moment and running it again continues it.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from rich.console import Console

from rdpt_ray.config import CurateConfig, ThresholdsConfig
from rdpt_ray.errors import ConfigError, StoreError
from rdpt_ray.method.auto_beta import choose_beta
from rdpt_ray.method.sentences import splitter_id
from rdpt_ray.method.summary import Summary, merge
from rdpt_ray.pipeline.capacity import check_capacity
from rdpt_ray.pipeline.check_models import check_tokenizers
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.contamination import find_contaminated, load_evaluation_sets
from rdpt_ray.pipeline.duplicates import find_duplicates
from rdpt_ray.pipeline.eligible import passes_filters
from rdpt_ray.pipeline.finish import Findings, Run, finish, found_finished, publish
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.interrupts import interruptible
from rdpt_ray.pipeline.job import Job, open_job, parts_of, shown, working
from rdpt_ray.pipeline.lineage import Kind, what_decides
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.outlook import leave_word, outlook
from rdpt_ray.pipeline.precision import Check, check_precision
from rdpt_ray.pipeline.progress import Advance
from rdpt_ray.pipeline.quarantined import Quarantined, check_outcome
from rdpt_ray.pipeline.repair import soundly
from rdpt_ray.pipeline.roles import demand_of
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.score_role import score_role
from rdpt_ray.pipeline.screening import Screening
from rdpt_ray.pipeline.select import Selection, differences, select, within_budget
from rdpt_ray.pipeline.session import AtWork
from rdpt_ray.pipeline.unchanged import Rounds
from rdpt_ray.pipeline.verify import Verification, verify_answers
from rdpt_ray.publish.facts import BetaFacts, ModelFacts, VerifyFacts
from rdpt_ray.publish.rounds import schedule_round
from rdpt_ray.selection_config import FiltersConfig
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.leases import Lease
from rdpt_ray.storage.runs import run_folder


def curate(config: CurateConfig, console: Console, *, kind: Kind = "curate") -> Run:
    """Run the job, or continue it, or find it done.

    Args:
        config: What to do.
        console: Where progress is shown.
        kind: "curate" selects by three-way provenance; "trace" keeps every trace and classifies it
            four-way with the distilled model.

    Returns:
        The complete run.

    Raises:
        RdptError: whatever is wrong with the config, the input, a model, the store or the cluster, before
            anything is scored wherever it can be known by then.
        LeaseError: if another round of the config's schedule is at work, or has taken over.
        Interrupted: if the process is asked to end; again continues.
    """
    # Before the input is listed: a round that took the lease later has seen no older input.
    with interruptible(), schedule_round(config, open_root(config.store), console) as lease:
        job = open_job(config, kind)
        run = found_finished(job) if job.is_finished else _run(job, console, lease)
        if lease is not None:
            lease.leave(job.run_id)
        with interruptible():  # a Ray that started has taken SIGTERM for itself
            return publish(run, job, console, lease)


def _run(job: Job, console: Console, lease: Lease | None) -> Run:
    """Do what is left of a job, up to its manifest."""
    check_job(job)
    console.print(
        f"run {job.run_id}: {shown(job.files)}, by {', '.join(job.models)}",
        highlight=False,
        markup=False,
    )
    with connected(), working(job, console) as session:
        check_cluster(job, console)
        return soundly(job, session, partial(_stages, job, session, _rounds(job, lease)))


def _rounds(job: Job, lease: Lease | None) -> Rounds | None:
    """What this round may take over from the one before."""
    if lease is None:
        return None
    decides = what_decides(job.config, job.kind, job.files, job.identities, job.hub)
    settings = {name: told for name, told in decides.items() if name not in ("files", "cards")}
    left = lease.record.left
    return Rounds(settings, run_folder(left) if left and left != job.run_id else None)


def _stages(
    job: Job,
    session: AtWork,
    rounds: Rounds | None,
    buckets: list[IngestedBucket],
    damaged: int,
) -> Run:
    """Everything after ingestion; it can be done again, and finds what it has done."""
    config, kind = job.config, job.kind
    quarantined = Quarantined(job, buckets)
    quarantined.check()
    parts = parts_of(buckets)
    leave_word(job)
    for each in outlook(job, parts):
        session.console.print(each.text, highlight=False, markup=False)
    verification = verify_and_screen(job, parts, session)
    models = score_all(job, parts, session, quarantined)
    selection = Selection(
        store=job.store,
        dataset=config.name,
        run=job.folder,
        model_keys={role: identity.key for role, identity in job.identities.items()},
        thresholds=config.thresholds,
        selection=config.selection if kind == "curate" else None,
        num_examples=config.report.num_traces,
        verify=config.verify,
        rounds=rounds,
    )
    selection, auto_beta = _with_beta(selection, buckets, session)
    precision = check_precision(
        parts, _precision(job, selection.thresholds, session), session.console
    )
    summary = _select(buckets, within_budget(buckets, selection), session)
    check_outcome(job, summary)
    return finish(
        job,
        session,
        Findings(
            summary=summary,
            models=tuple(models),
            beta=float(selection.thresholds.beta),
            auto_beta=auto_beta,
            verification=verification,
            precision=precision,
            damaged=damaged,
        ),
    )


def check_cluster(job: Job, console: Console) -> None:
    """Whether the cluster can hold the pools, before anything is begun.

    Raises:
        CapacityError: if it never can.
    """
    for wait in check_capacity({r: m.pool for r, m in job.models.items()}, connected_cluster()):
        console.print(f"waiting for the autoscaler: {wait}", highlight=False, markup=False)


def check_job(job: Job) -> None:
    """What can be known before anything is read: tokenizers, templates, evaluation sets."""
    check_tokenizers(job.identities, job.recorded)
    contamination = job.config.selection.filters.contamination
    if contamination is not None and job.kind == "curate":
        load_evaluation_sets(contamination)


def verify_and_screen(job: Job, parts: list[Part], session: AtWork) -> VerifyFacts | None:
    """Verify answers, then find the traces to drop because of other texts; what is there stays."""
    config, facts, console = job.config, None, session.console
    if config.verify is not None:
        verification = Verification(job.store, config.name, job.folder, config.verify)
        with session.timed("verify"):
            told = verify_answers(parts, verification, console)
        facts = VerifyFacts(
            config.verify.method, told.given, told.correct, told.wrong, dict(told.unknown)
        )
    filters = config.selection.filters if job.kind == "curate" else FiltersConfig()
    screening = Screening(
        store=job.store,
        dataset=config.name,
        run=job.folder,
        filters=filters,
        passes=partial(passes_filters, filters=filters),
        verify=config.verify,
    )
    for find in (find_contaminated, find_duplicates):
        with session.timed("screen"):
            found = find(parts, screening)
        for reason, count in found.items():
            console.print(f"{reason}: {count:,} traces", highlight=False)
    return facts


def score_all(
    job: Job, parts: list[Part], session: AtWork, quarantined: Quarantined
) -> list[ModelFacts]:
    """Score by each model in turn what the store lacks of what it is asked to read.

    Raises:
        QuarantineError: as soon as it is certain that too much is quarantined.
    """
    quarantined.recall(parts)
    return [
        score_role(
            role,
            model,
            job.identities[role],
            parts,
            store=job.store,
            dataset=job.config.name,
            recording=job.recorded.get(role),
            demand=demand_of(role, job.config, job.kind, job.ledger, job.identities),
            session=session,
            failed=quarantined.see,
        )
        for role, model in job.models.items()
    ]


def _with_beta(
    selection: Selection, buckets: list[IngestedBucket], session: AtWork
) -> tuple[Selection, BetaFacts | None]:
    """The selection with a number for beta, and how `auto` came to it."""
    if selection.thresholds.beta != "auto":
        return selection, None
    try:
        found = choose_beta(differences(buckets, selection))
    except ValueError as error:
        raise ConfigError(f"thresholds.beta: auto: {error}; set a number") from error
    session.console.print(
        f"beta: {found.beta:g} by Otsu's rule, {found.confidence}", highlight=False
    )
    thresholds = selection.thresholds.model_copy(update={"beta": found.beta})
    facts = BetaFacts(
        separability=found.separability,
        interval=found.interval,
        near_share=found.near_share,
        valley=found.valley,
        confidence=found.confidence,
        num_sentences=found.num_sentences,
    )
    return replace(selection, thresholds=thresholds), facts


def _precision(job: Job, thresholds: ThresholdsConfig, session: AtWork) -> Check:
    return Check(
        job.store,
        job.config.name,
        job.models,
        job.identities,
        thresholds,
        splitter_id(job.config.split.unit),
        job.config.report.precision_traces,
        session.file,
    )


def _select(buckets: list[IngestedBucket], job: Selection, session: AtWork) -> Summary:
    taken_over: list[bool] = []
    with session.stage("select", len(buckets)) as advance:
        summary = merge(
            _counted(select(buckets, job), advance, taken_over), num_examples=job.num_examples
        )
    if any(taken_over):
        session.console.print(
            f"selected: {sum(taken_over):,} of {len(buckets):,} buckets are as the round before left them",
            highlight=False,
        )
    total = summary.selected + summary.rejected + summary.quarantined
    if summary.rows_read != total:
        raise StoreError(
            f"{job.store.show(job.run)}: {summary.rows_read} rows were read, but {total} are selected,"
            " rejected or quarantined; delete this run's folder and rerun, and please report it"
        )
    return summary


def _counted(
    outcomes: Iterator[tuple[Summary, bool]], advance: Advance, taken_over: list[bool]
) -> Iterator[Summary]:
    """The summaries, one by one, each counted off: the driver holds two at a time."""
    for summary, is_taken_over in outcomes:
        taken_over.append(is_taken_over)
        yield summary
        advance(1, "buckets")
