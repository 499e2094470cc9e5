"""What the store says of its runs: which are there, how far they came, and what they refer to."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.damage import Damage, Finding, damages, parsed_json
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.places import place_of
from rdpt_ray.storage.runs import INGESTED, MANIFEST, run_folder

DROPS_INDEX = "/index.json"

READ_AT_ONCE = 64
"""Files whose contents are held together; a manifest can have megabytes."""


@dataclass(slots=True)
class RunRecord:
    """One run, by its JSON files."""

    run: str
    """Its id."""
    manifest: dict[str, Any] | None = None
    """None: the run is not finished, or its manifest is damaged."""
    ingested: list[dict[str, Any]] | None = None
    """Of each bucket what ingestion left; None: it did not come to an end."""
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """File -> its record, for every start of the run."""
    drops: dict[str, dict[str, int]] = field(default_factory=dict)
    """Reason that is done -> bucket -> how many traces are dropped for it."""
    is_finished: bool = False
    damage: list[Damage] = field(default_factory=list)
    """Of these files."""

    @property
    def folder(self) -> str:
        """Where it lies in the store."""
        return run_folder(self.run)

    @property
    def dataset(self) -> str:
        """Whose traces it is about: a run-id is the dataset's name and a hash."""
        return self.run.rpartition("-")[0]

    @property
    def open_sessions(self) -> list[str]:
        """Files of sessions that may be at work: they have not ended, and the run is not finished."""
        if self.is_finished:
            return []
        return [name for name, each in self.sessions.items() if each.get("ended") is None]

    @property
    def parts(self) -> dict[tuple[int, str], int]:
        """(bucket, part-key) -> how many of the run's traces lie in it."""
        return {
            (bucket["bucket"], key): count
            for bucket in self.ingested or []
            for key, count in bucket["parts"].items()
        }

    @property
    def selects(self) -> bool:
        """Whether it ends in tables of traces and a report, as `curate` and `trace` do; True if unknown."""
        kind = (self.manifest or {}).get("facts", {}).get("kind", "curate")
        return kind in ("curate", "trace")

    @property
    def model_keys(self) -> dict[str, str] | None:
        """Role -> model-key; None where the run does not say."""
        if self.manifest is None:
            return None
        return {role: model["key"] for role, model in self.manifest["models"].items()}


def read_runs(root: Root, names: Iterable[str]) -> list[RunRecord]:
    """Every run of a store, by its id. What is damaged in one is told in it.

    Args:
        root: The store.
        names: All files of the store, or all of `runs/`.

    Raises:
        StoreError: if a file cannot be read.
    """
    runs: dict[str, RunRecord] = {}
    wanted: list[str] = []
    for name in names:
        place = place_of(name)
        if place is None or place.kind not in ("run", "session"):
            continue
        run = runs.setdefault(place.owner, RunRecord(place.owner))
        run.is_finished |= name == f"{run.folder}/{MANIFEST}"
        if place.kind == "session" or name.endswith((MANIFEST, INGESTED, DROPS_INDEX)):
            wanted.append(name)
    for start in range(0, len(wanted), READ_AT_ONCE):
        for name, content in root.read_many(wanted[start : start + READ_AT_ONCE]).items():
            _take(root, runs[name.split("/")[1]], name, content)
    return [runs[run] for run in sorted(runs)]


def _take(root: Root, run: RunRecord, name: str, content: bytes) -> None:
    """Put what a file says into the run's record."""
    inner = name.removeprefix(f"{run.folder}/")
    value, findings = parsed_json(root, name, content, list if inner == INGESTED else dict)
    if not findings:
        findings = _check(inner, value)
    if findings:
        run.damage += damages(name, findings)
    elif inner == MANIFEST:
        run.manifest = value
    elif inner == INGESTED:
        run.ingested = value
    elif inner.startswith("drops/"):
        run.drops[inner.split("/")[1]] = value["buckets"]
    else:
        run.sessions[name] = value


def _check(inner: str, value: Any) -> list[Finding]:
    """Whether all that others look up is there."""
    if inner == MANIFEST:
        return _check_manifest(value)
    if inner == INGESTED and not all(map(_is_bucket, value)):
        return [("bucket, num_rows, num_faults and parts of every bucket", "another record")]
    if inner.startswith("drops/") and not _are_counts(value.get("buckets")):
        return [("a number for every bucket", "another record")]
    return []


def _check_manifest(manifest: Mapping[str, Any]) -> list[Finding]:
    for key in ("config", "counts", "facts", "models", "summary"):
        if not isinstance(manifest.get(key), dict):
            return [(f"an object {key}", "none")]
    for role, model in manifest["models"].items():
        if not isinstance(model, dict) or not isinstance(model.get("key"), str):
            return [(f"the key of the model {role}", "none")]
    return []


def _is_bucket(value: Any) -> bool:
    names = ("bucket", "num_rows", "num_faults")
    return (
        isinstance(value, dict)
        and _are_counts(value.get("parts"))
        and all(isinstance(value.get(name), int) for name in names)
    )


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, int) for each in value.values())


def refuse_damaged(runs: Iterable[RunRecord]) -> None:
    """Go no further where it is not known what a run refers to.

    Raises:
        StoreError: naming the first file that is damaged.
    """
    for run in runs:
        for each in run.damage:
            raise StoreError(
                f"{each.file}: expected {each.expected}, found {each.found}; `rdpt store verify` tells"
                " what to do"
            )


def open_record(uri: str) -> RunRecord:
    """A run, finished or not, by its folder's URI.

    Raises:
        StoreError: if there is no run in it, or it is not inside a store.
    """
    store, _, run = uri.rstrip("/").rpartition("/runs/")
    expected = "expected the folder of a run in its store, STORE/runs/RUN"
    if not store or "/" in run:
        raise StoreError(f"{public_uri(uri)}: {expected}")
    root = open_root(store)
    found = read_runs(root, root.names(run_folder(run)))
    if not found:
        raise StoreError(f"{public_uri(uri)}: {expected}, found no file")
    return found[0]


def known_of(run: RunRecord) -> dict[str, Any]:
    """What is known of a run that has no manifest, as plain values."""
    return {
        "run": run.run,
        "finished": run.is_finished,
        "ingested": run.ingested,
        "sessions": list(run.sessions.values()),
        "damage": [asdict(each) for each in run.damage],
    }
