"""The main job: teacher traces in, a curated dataset with its provenance report out.

Read top to bottom, this file is the service: list the input, pin the models, ingest, score by each model,
classify and select, report, and write the manifest last. Every step leaves its result in the store and
starts by looking for it there, so killing the job at any moment and running it again continues it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import ConfigError, InputError, StoreError
from rdpt_ray.method.sentences import splitter_id
from rdpt_ray.method.summary import Summary, merge
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.capacity import check_capacity
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.ingest import Destination, IngestedBucket, ingest
from rdpt_ray.pipeline.lineage import Identities, Kind, manifest, versions, what_decides
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.precision import Check, check_precision
from rdpt_ray.pipeline.progress import Advance, stage
from rdpt_ray.pipeline.recorded import recordings
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.score_role import score_role
from rdpt_ray.pipeline.select import Selection, select
from rdpt_ray.publish.facts import InputFacts, RunFacts
from rdpt_ray.publish.report import render_report
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.loading import encoder_of, identity_of
from rdpt_ray.scoring.recorded_text import load_recorded_tokenizer
from rdpt_ray.storage.files import Root, open_root
from rdpt_ray.storage.inputs import InputFile, check_columns, list_inputs
from rdpt_ray.storage.parts import num_buckets
from rdpt_ray.storage.runs import (
    INGESTED,
    MANIFEST,
    REPORT,
    read_json,
    run_folder,
    run_id,
    write_json,
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is complete."""

    uri: str
    report: str
    summary: Summary
    facts: RunFacts

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints (docs/data.md)."""
        return {
            "run": self.uri,
            "report": self.report,
            "rows_read": self.summary.rows_read,
            "selected": self.summary.selected,
            "rejected": self.summary.rejected,
            "quarantined": self.summary.quarantined,
            "pruned": 0,
            "scored": {model.role: model.scored for model in self.facts.models},
            "reused": {model.role: model.reused for model in self.facts.models},
        }


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
    """
    begun = time.monotonic()
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    files = list_inputs(config.input)
    check_columns(files, config.input)
    models = _models(config, kind)
    recorded = recordings(config, files, models)
    identities: Identities = {
        role: identity_of(model, recorded=recorded[role].served if role in recorded else None)
        for role, model in models.items()
    }
    _check_servers(models, identities)
    store = open_root(config.store)
    identity = run_id(config.name, what_decides(config, kind, files, identities))
    folder = run_folder(identity)
    if store.exists(f"{folder}/{MANIFEST}"):
        return _finished(store, folder)
    for role in models:
        if role in recorded:
            load_recorded_tokenizer(identities[role].location, identities[role].revision)
        else:
            _check_model(role, identities[role])
    console.print(f"run {identity}: {_shown(files)}, by {', '.join(models)}", highlight=False)
    with connected():
        for wait in check_capacity({r: m.pool for r, m in models.items()}, connected_cluster()):
            console.print(f"waiting for the autoscaler: {wait}", highlight=False)
        buckets = _ingest(files, config, store, folder, console)
        parts = [
            Part(bucket.bucket, key, count)
            for bucket in buckets
            for key, count in bucket.parts.items()
        ]
        model_facts = [
            score_role(
                role,
                model,
                identities[role],
                parts,
                store=store,
                dataset=config.name,
                run=folder,
                recording=recorded.get(role),
                console=console,
            )
            for role, model in models.items()
        ]
        precision = check_precision(
            parts,
            Check(
                store,
                config.name,
                models,
                identities,
                config.thresholds,
                splitter_id(config.split.unit),
                config.report.precision_traces,
            ),
            console,
        )
        job = Selection(
            store=store,
            dataset=config.name,
            run=folder,
            model_keys={role: identities[role].key for role in models},
            thresholds=config.thresholds,
            selection=config.selection if kind == "curate" else None,
            num_examples=config.report.num_traces,
        )
        summary = _select(buckets, job, console)
    facts = RunFacts(
        run_id=identity,
        name=config.name,
        kind=kind,
        created_at=created_at,
        policy=config.selection.policy if kind == "curate" else None,
        per_prompt=config.selection.per_prompt,
        alpha=config.thresholds.alpha,
        beta=config.thresholds.beta,
        models=tuple(model_facts),
        inputs=(InputFacts(_shown(files), summary.rows_read),),
        precision=precision,
        wall_s=time.monotonic() - begun,
        versions=versions(),
    )
    store.write_bytes(f"{folder}/{REPORT}", render_report(summary, facts).encode())
    write_json(store, f"{folder}/{MANIFEST}", manifest(config, files, identities, facts, summary))
    return Run(store.show(folder), store.show(f"{folder}/{REPORT}"), summary, facts)


def _models(config: CurateConfig, kind: Kind) -> dict[Role, ModelConfig]:
    """The models this kind of run needs, in the order they score: the cheap student first."""
    models = config.models.by_role()
    if kind == "trace" and "distilled" not in models:
        raise ConfigError("models.distilled: needed to trace provenance after distillation")
    if kind == "curate":
        models.pop("distilled", None)
    return models


def _check_servers(models: dict[Role, ModelConfig], identities: Identities) -> None:
    """Two servers must not pass for one model: the second would be given the first one's scores."""
    urls: dict[str, tuple[Role, str]] = {}
    for role, model in models.items():
        if model.endpoint is None:
            continue
        first, url = urls.setdefault(identities[role].key, (role, model.endpoint.url))
        if url != model.endpoint.url:
            raise ConfigError(
                f"models.{first} and models.{role} have the same tokenizer, served name and revision, but"
                f" different urls ({url}, {model.endpoint.url}): if they are different models, tell"
                " them apart by `revision`; if not, give both one url"
            )


def _check_model(role: Role, identity: ModelIdentity) -> None:
    """Load the tokenizer here and now: a model that cannot score must not cost a GPU first."""
    encoder = encoder_of(identity)
    try:
        encoder.encode([{"role": "user", "content": "1 + 1 = ?"}], "2.")
    except TEMPLATE_FAULTS as error:
        raise ConfigError(
            f"models.{role}: its chat template cannot render a user message with"
            f" {identity.chat_template_kwargs}: {type(error).__name__}: {error}"
        ) from error


def _ingest(
    files: list[InputFile], config: CurateConfig, store: Root, folder: str, console: Console
) -> list[IngestedBucket]:
    """Ingest, or read back what an earlier attempt of this run ingested."""
    record = f"{folder}/{INGESTED}"
    if store.exists(record):
        return [IngestedBucket(**bucket) for bucket in read_json(store, record)]
    to = Destination(
        store,
        config.name,
        folder,
        _dataset_buckets(store, config.name, files),
        config.split.unit,
    )
    with stage(console, "ingest", len(files)) as advance:
        buckets = ingest(files, config.input, to)
        advance(len(files), "files")
    if not any(bucket.parts for bucket in buckets):
        raise InputError(_nothing_left(buckets, files, store, folder))
    write_json(store, record, [asdict(bucket) for bucket in buckets])
    return buckets


def _dataset_buckets(store: Root, dataset: str, files: Sequence[InputFile]) -> int:
    """Buckets of a dataset: decided when it is first ingested, then kept, so that parts stay together."""
    record = f"traces/{dataset}/dataset.json"
    if not store.exists(record):
        write_json(store, record, {"num_buckets": num_buckets(sum(file.size for file in files))})
    return int(read_json(store, record)["num_buckets"])


def _nothing_left(
    buckets: list[IngestedBucket], files: Sequence[InputFile], store: Root, folder: str
) -> str:
    """The message when no row of the input is usable: how many, and the first fault."""
    num_rows = sum(bucket.num_rows for bucket in buckets)
    if num_rows == 0:
        return f"{_shown(files)}: holds no rows"
    name = f"{folder}/rows/bucket={buckets[0].bucket:04d}.parquet"
    fault = store.read_table(name).slice(0, 1).to_pylist()[0]
    return (
        f"{_shown(files)}: none of its {num_rows} rows can be used; for example {fault['file']} row"
        f" {fault['row']}, column {fault['column']}: {fault['reason']}: {fault['detail']}"
    )


def _select(buckets: list[IngestedBucket], job: Selection, console: Console) -> Summary:
    with stage(console, "select", len(buckets)) as advance:
        summary = merge(_counted(select(buckets, job), advance), num_examples=job.num_examples)
    total = summary.selected + summary.rejected + summary.quarantined
    if summary.rows_read != total:
        raise StoreError(
            f"{job.store.show(job.run)}: {summary.rows_read} rows were read, but {total} are selected,"
            " rejected or quarantined; delete this run's folder and rerun, and please report it"
        )
    return summary


def _counted(summaries: Iterator[Summary], advance: Advance) -> Iterator[Summary]:
    """The same summaries, one by one, each counted off: the driver holds two at a time."""
    for summary in summaries:
        yield summary
        advance(1, "buckets")


def _finished(store: Root, folder: str) -> Run:
    """A run whose manifest is there: its outcome, with nothing scored this time."""
    record = read_json(store, f"{folder}/{MANIFEST}")
    facts = RunFacts.from_dict(record["facts"])
    models = tuple(
        replace(model, scored=0, reused=model.scored + model.reused, tokens=0, tokens_per_s=None)
        for model in facts.models
    )
    return Run(
        store.show(folder),
        store.show(f"{folder}/{REPORT}"),
        Summary.from_dict(record["summary"]),
        replace(facts, models=models),
    )


def _shown(files: Sequence[InputFile]) -> str:
    rest = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].uri}{rest}"
