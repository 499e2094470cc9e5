"""What the runs of a store refer to: files that a run, finished or not, would miss."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from rdpt_ray.storage.places import Place, place_of
from rdpt_ray.storage.run_records import RunRecord
from rdpt_ray.storage.scores import score_name

EVERY = "*"
"""In place of a model-key: the run does not say yet which models read its parts."""

PRECISION = ".precision"
"""Ends the name of the dataset in which a run has a sample scored once more (`pipeline.precision`)."""


@dataclass(slots=True)
class References:
    """Parts that runs refer to, and by which models."""

    parts: set[tuple[str, int, str]] = field(default_factory=set)
    """(dataset, bucket, part-key)"""
    models: dict[str, set[str]] = field(default_factory=dict)
    """Part-key -> the models of its runs, or `EVERY`."""
    bucket_models: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    """(dataset, bucket) -> the same: token scores of one part serve the others of its bucket."""
    kept: set[str] = field(default_factory=set)
    """Datasets of which everything counts as in use."""

    def uses(self, place: Place) -> bool:
        """Whether a run refers to a part, or to what is derived from one; True of everything else."""
        if place.kind == "part":
            here = (place.dataset, place.bucket, place.part)
            return here in self.parts or place.dataset in self.kept
        if place.kind in ("scores", "partial"):
            return bool(self.models.get(place.part, set()) & {EVERY, place.owner})
        if place.kind == "tokens":
            models = self.bucket_models.get((place.dataset, place.bucket), set())
            return place.dataset in self.kept or bool(models & {EVERY, place.owner})
        return place.part in self.models if place.kind == "verified" else True


def references(runs: Iterable[RunRecord], places: Iterable[Place]) -> References:
    """What runs refer to.

    A run that has not come to the end of its ingestion may refer to any part of its dataset.

    Args:
        runs: All runs, none of them damaged.
        places: Of all files of the store.
    """
    found = References()
    datasets: set[str] = set()
    for run in runs:
        datasets.add(run.dataset)
        if run.ingested is None:
            found.kept.add(run.dataset)
        keys = run.model_keys
        models = {EVERY} if keys is None else set(keys.values())
        for bucket, part in run.parts:
            found.parts.add((run.dataset, bucket, part))
            found.models.setdefault(part, set()).update(models)
            found.bucket_models.setdefault((run.dataset, bucket), set()).update(models)
    found.kept |= {f"{dataset}{PRECISION}" for dataset in datasets}
    for place in places:
        if place.kind == "part" and place.dataset in found.kept:
            found.models.setdefault(place.part, set()).add(EVERY)
    return found


def needs(run: RunRecord) -> set[str]:
    """Files that a finished run refers to: its parts, and scores of models that read all of every part."""
    if run.manifest is None:
        return set()
    keys = run.model_keys or {}
    whole = [key for role, key in keys.items() if role in ("student", "distilled")]
    if not run.manifest["facts"].get("prune") and not any(":" in role for role in keys):
        whole = list(keys.values())
    return {_part(run.dataset, *each) for each in run.parts} | {
        score_name(model, part) for model in whole for _, part in run.parts
    }


def _part(dataset: str, bucket: int, key: str) -> str:
    return f"traces/{dataset}/bucket={bucket:04d}/{key}.parquet"


def missing(runs: Iterable[RunRecord], names: Collection[str]) -> dict[str, str]:
    """File that a finished run refers to and that is not there -> one such run.

    Args:
        runs: The store's.
        names: All its files.
    """
    begun = {
        (place.owner, place.part)
        for name in names
        if (place := place_of(name)) is not None and place.kind == "partial"
    }
    found: dict[str, str] = {}
    for run in runs:
        for name in needs(run).difference(names):
            place = place_of(name)
            # A model whose server failed on some traces has only begun the part.
            if place is not None and (place.owner, place.part) not in begun:
                found[name] = run.run
    return found
