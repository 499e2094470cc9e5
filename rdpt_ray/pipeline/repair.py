"""What a job finds damaged in its store is set aside and made again, and the job goes on.

Everything derived is made again by the stages that make it anyway: traces from the input, scores by the
models. So one file that a disk spoilt costs its part, not the run.

A start looks only at the parts that models have yet to read, which costs them little and keeps damage out of
a pool. Whatever else a run relies on it reads anyway, and no reader takes what is not what its name says
(`DamagedError`); then every file of the run is looked at. So nothing is read twice where nothing is damaged,
and nobody keeps a record of what was sound once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from rdpt_ray.errors import DamagedError, StoreError
from rdpt_ray.method.verifiers import verifier_id
from rdpt_ray.pipeline.cluster import unwrapped
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.job import Job, ingest_input, ingested
from rdpt_ray.pipeline.part_tasks import over_tasks
from rdpt_ray.pipeline.session import AtWork
from rdpt_ray.storage.damage import Damage, set_aside
from rdpt_ray.storage.drops import forget_drops
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.part_checks import check_derived, check_scores, open_part
from rdpt_ray.storage.parts import bucket_slices
from rdpt_ray.storage.places import Place, place_of
from rdpt_ray.storage.runs import INGESTED
from rdpt_ray.storage.score_checks import shape_of
from rdpt_ray.storage.scores import scored_parts
from rdpt_ray.storage.token_scores import token_name

Result = TypeVar("Result")

HERE = 32
"""So few parts are looked at sooner than tasks are started."""

MAX_TOLD = 5
"""Damaged files named one by one; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Relied:
    """What a run relies on beside the traces; the same for every part."""

    store: Root
    dataset: str
    signals: Mapping[str, tuple[str, ...]]
    """Model-key -> what it measures beside log-probabilities."""
    verdicts: Mapping[str, list[str]]
    """Part-key -> files of verdicts on its answers."""


def soundly(
    job: Job, session: AtWork, work: Callable[[list[IngestedBucket], int], Result]
) -> Result:
    """Ingest, and do what goes by the run's files; again from there if one of them turns out damaged.

    Args:
        job: The job; nothing of it has begun.
        session: For whom this is done.
        work: Called with what the run consists of and how many files were set aside so far. What it has
            left in the store when it meets damage, it finds there the next time.

    Returns:
        What `work` returns.

    Raises:
        DamagedError: if `work` meets damage that is not in a file that is made again.
        InputError: if no row can be used.
        StoreError: if a file cannot be read at all.
    """
    damaged = repair(job, session, unread_only=True)
    if damaged:
        damaged += _repair_all(job, session)
    while True:
        try:
            with unwrapped():
                return work(ingest_input(job, session), damaged)
        except DamagedError as error:
            session.console.print(
                f"damage: {error}: every file of the dataset is looked at now",
                highlight=False,
                markup=False,
            )
            found = _repair_all(job, session)
            if not found:
                raise
            damaged += found


def _repair_all(job: Job, session: AtWork) -> int:
    damaged = repair(job, session)
    if damaged:  # scores of a damaged part could not be looked at without it
        ingest_input(job, session)
        damaged += repair(job, session)
    return damaged


def repair(job: Job, session: AtWork, *, unread_only: bool = False) -> int:
    """Set aside damaged files of the run's dataset, and have ingested again what that takes away.

    Args:
        job: The job; nobody works on it.
        session: For whom this is done.
        unread_only: Look only at the run's own parts that some model has not scored whole, and at what is
            made of them.

    Returns:
        How many files were damaged.

    Raises:
        StoreError: if a file cannot be read at all.
    """
    known = ingested(job)
    own = {key for bucket in known or [] for key in bucket.parts}
    places = _parts(job, len(own))
    lacking = own.difference(place.part for place in places)
    to_look_at = _unread(job, places, None if known is None else own) if unread_only else places
    kinds: Counter[str] = Counter()
    if to_look_at:
        relied = Relied(
            job.store,
            job.config.name,
            {identity.key: identity.signals for identity in job.identities.values()},
            _verdicts(job),
        )
        with session.stage("check store", len(to_look_at)) as advance:
            for found in _over(to_look_at, relied):
                advance(1, "parts")
                for damage in found:
                    _tell(damage, session, kinds)
    if known is not None and (kinds["part"] or lacking):
        job.store.delete(f"{job.folder}/{INGESTED}")
    if kinds["part"]:  # a search that reads a few columns cannot tell another part's file
        forget_drops(job.store, job.folder)
    return kinds.total()


def _unread(job: Job, places: list[Place], own: set[str] | None) -> list[Place]:
    """The run's own parts, or before it is ingested all, that some model has not scored whole."""
    scored = [scored_parts(job.store, each.key, len(places)) for each in job.identities.values()]
    whole = set[str]().union(*scored).intersection(*scored)
    return [
        place for place in places if place.part not in whole and (own is None or place.part in own)
    ]


def _parts(job: Job, num_parts: int) -> list[Place]:
    """The parts of the dataset that are there: another run's tokens may serve this one."""
    names = job.store.names(f"traces/{job.config.name}", bucket_slices(num_parts))
    found = [place_of(name) for name in names]
    return [place for place in found if place is not None and place.kind == "part"]


def _verdicts(job: Job) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if job.config.verify is not None:
        for name in job.store.names(f"verified/{verifier_id(job.config.verify.method)}"):
            place = place_of(name)
            if place is not None:
                found.setdefault(place.part, []).append(name)
    return found


def _tell(damage: Mapping[str, str], session: AtWork, kinds: Counter[str]) -> None:
    kinds[damage["kind"]] += 1
    if kinds.total() <= MAX_TOLD:
        session.console.print(
            f"damaged: {damage['file']}: expected {damage['expected']}, found {damage['found']};"
            " set aside, and made again",
            highlight=False,
            markup=False,
        )


def _over(places: list[Place], relied: Relied) -> Iterator[list[dict[str, str]]]:
    """The damage of every part, part by part: of a few at once, of many in tasks."""
    rows = [{"bucket": place.bucket, "key": place.part} for place in places]
    if len(rows) <= HERE:
        for row in rows:
            yield [_set_aside(damage, relied.store) for damage in check(row, relied)]
        return
    for row in over_tasks(rows, partial(check_parts, relied=relied)):
        yield row["damage"]


_DAMAGE = pa.list_(
    pa.struct([(name, pa.string()) for name in ("kind", "file", "expected", "found")])
)


def check_parts(batch: pa.Table, *, relied: Relied) -> pa.Table:
    """Body of the tasks: look at the parts of a batch, and set aside what is damaged."""
    told = [
        [_set_aside(damage, relied.store) for damage in check(row, relied)]
        for row in batch.to_pylist()
    ]
    return pa.table({"damage": pa.array(told, _DAMAGE)})


def check(row: Mapping[str, Any], relied: Relied) -> list[Damage]:
    """What is damaged of a part and of what was made of it: the first finding of each file."""
    bucket, key = row["bucket"], row["key"]
    table, found = open_part(relied.store, relied.dataset, bucket, key)
    if table is None:
        return found
    shape = shape_of(table)
    for model_key, signals in relied.signals.items():
        found += check_scores(relied.store, model_key, key, table, signals)
        name = token_name(model_key, relied.dataset, bucket, key)
        if relied.store.exists(name):
            place = Place("tokens", model_key, relied.dataset, bucket, key)
            found += check_derived(relied.store, name, place, shape, signals)
    for name in relied.verdicts.get(key, []):
        place = Place("verified", name.split("/")[1], part=key)
        found += check_derived(relied.store, name, place, shape)
    return list({damage.file: damage for damage in reversed(found)}.values())


def _set_aside(damage: Damage, store: Root) -> dict[str, str]:
    place = place_of(damage.file)
    if not damage.is_derived or place is None:
        raise StoreError(
            f"{store.show(damage.file)}: expected {damage.expected}, found {damage.found};"
            f" {damage.remedy}"
        )
    set_aside(store, damage.file)
    return {
        "kind": place.kind,
        "file": store.show(damage.file),
        "expected": damage.expected,
        "found": damage.found,
    }
