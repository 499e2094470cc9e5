"""A job as it begins: its input listed, its models pinned, its run named; nothing is read or scored yet."""

import json
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from rich.console import Console

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import InputError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.check_models import check_servers
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.ingest import Destination, IngestedBucket, ingest
from rdpt_ray.pipeline.lineage import Identities, Kind, what_decides
from rdpt_ray.pipeline.recorded import Recording, recordings
from rdpt_ray.pipeline.roles import UNPROMPTED, demand_of, models_of
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.session import AtWork, at_work
from rdpt_ray.scoring.identity import ModelIdentity, without_prompt
from rdpt_ray.scoring.loading import identity_of
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.hub import HubFacts, hub_facts
from rdpt_ray.storage.inputs import InputFile, check_columns, list_inputs
from rdpt_ray.storage.parts import PART_CHARS, num_buckets, part_chars
from rdpt_ray.storage.runs import INGESTED, MANIFEST, read_json, run_folder, run_id, write_json


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is made of."""

    config: CurateConfig
    kind: Kind
    files: list[InputFile]
    hub: dict[str, HubFacts]
    """File's uri -> what its dataset's card says of all its rows."""
    models: dict[Role, ModelConfig]
    """In the order they read."""
    identities: Identities
    recorded: dict[Role, Recording]
    store: Root
    run_id: str
    session: str
    """Names this start of it."""

    @property
    def folder(self) -> str:
        """The run's folder, relative to the store."""
        return run_folder(self.run_id)

    @property
    def is_finished(self) -> bool:
        """Whether its manifest is there."""
        return self.store.exists(f"{self.folder}/{MANIFEST}")

    @property
    def ledger(self) -> Ledger:
        """What the run says of its traces."""
        return Ledger(self.store, self.folder, self.config.verify)


def open_job(config: CurateConfig, kind: Kind) -> Job:
    """List the input and pin the models.

    Raises:
        RdptError: whatever is wrong with the config, the input, a model or the store.
    """
    files = list_inputs(config.input)
    check_columns(files, config.input)
    hub = hub_facts(files)
    models = models_of(config, kind)
    recorded = recordings(config, files, models)
    identities: Identities = {
        role: _identity(role, model, recorded.get(role)) for role, model in models.items()
    }
    check_servers(models, identities)
    return Job(
        config=config,
        kind=kind,
        files=files,
        hub=hub,
        models=models,
        identities=identities,
        recorded=recorded,
        store=open_root(config.store),
        run_id=run_id(config.name, what_decides(config, kind, files, identities, hub)),
        session=secrets.token_hex(8),
    )


def _identity(role: Role, model: ModelConfig, recording: Recording | None) -> ModelIdentity:
    identity = identity_of(model, recorded=recording.served if recording else None)
    return without_prompt(identity) if role == UNPROMPTED else identity


def working(job: Job, console: Console) -> AbstractContextManager[AtWork]:
    """The session of this start of the job."""
    models = {
        role: {
            "key": identity.key,
            "model": public_uri(identity.model),
            "all": demand_of(role, job.config, job.kind, job.ledger, job.identities) is None,
        }
        for role, identity in job.identities.items()
    }
    return at_work(
        job.store,
        job.run_id,
        job.session,
        console,
        drain_s=job.config.drain_s,
        models=models,
        plan=job.config.plan,
    )


def ingest_input(job: Job, session: AtWork) -> list[IngestedBucket]:
    """Ingest, or read back what an earlier attempt of this run ingested.

    Raises:
        InputError: if no row can be used, with how many there are and the first fault.
    """
    buckets = ingested(job)
    if buckets is None:
        buckets = _ingest(job, session)
    session.num_set_aside = sum(bucket.num_faults for bucket in buckets)
    return buckets


def _ingest(job: Job, session: AtWork) -> list[IngestedBucket]:
    to = _destination(job)
    with session.stage("ingest", len(job.files)) as advance:
        buckets = ingest(job.files, job.config.input, to, job.hub)
        advance(len(job.files), "files")
    if not any(bucket.parts for bucket in buckets):
        raise InputError(_nothing_left(buckets, job))
    write_json(job.store, f"{job.folder}/{INGESTED}", [asdict(bucket) for bucket in buckets])
    return buckets


def ingested(job: Job) -> list[IngestedBucket] | None:
    """What an earlier start of this run ingested; None if none did, or its record is damaged."""
    record = f"{job.folder}/{INGESTED}"
    if not job.store.exists(record):
        return None
    try:
        return [IngestedBucket(**bucket) for bucket in json.loads(job.store.read_bytes(record))]
    except (ValueError, TypeError):
        return None


def parts_of(buckets: Sequence[IngestedBucket]) -> list[Part]:
    """Every part of the run, bucket by bucket."""
    return [
        Part(bucket.bucket, key, count) for bucket in buckets for key, count in bucket.parts.items()
    ]


def _destination(job: Job) -> Destination:
    """Where traces go.

    The number of buckets and the size of parts are decided when a dataset is first ingested and then kept,
    so that all candidates of a prompt stay together.
    """
    record = f"traces/{job.config.name}/dataset.json"
    if not job.store.exists(record):
        size = sum(file.size for file in job.files)
        layout = {"num_buckets": num_buckets(size), "part_chars": part_chars(size)}
        write_json(job.store, record, layout)
    layout = read_json(job.store, record)
    return Destination(
        job.store,
        job.config.name,
        job.folder,
        num_buckets=int(layout["num_buckets"]),
        unit=job.config.split.unit,
        part_chars=int(layout.get("part_chars", PART_CHARS)),
    )


def _nothing_left(buckets: Sequence[IngestedBucket], job: Job) -> str:
    """The message when no row of the input is usable: how many, and the first fault."""
    num_rows = sum(bucket.num_rows for bucket in buckets)
    if num_rows == 0:
        return f"{shown(job.files)}: holds no rows"
    name = f"{job.folder}/rows/bucket={buckets[0].bucket:04d}.parquet"
    fault = job.store.read_table(name).slice(0, 1).to_pylist()[0]
    return (
        f"{shown(job.files)}: none of its {num_rows} rows can be used; for example {fault['file']} row"
        f" {fault['row']}, column {fault['column']}: {fault['reason']}: {fault['detail']}"
        " (`rdpt ingest --explain CONFIG` tells how the file is read, and why)"
    )


def shown(files: Sequence[InputFile]) -> str:
    """The input in a few words."""
    rest = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].uri}{rest}"
