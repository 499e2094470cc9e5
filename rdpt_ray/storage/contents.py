"""What is in a store, and what it cost: `rdpt store ls`. Of tables, only their footers are read."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.damage import parsed_json
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.footers import Footer, read_footer
from rdpt_ray.storage.inventory import StoredFile, inventory
from rdpt_ray.storage.places import Place, place_of
from rdpt_ray.storage.run_contents import RunContents, costs_of_models, list_runs
from rdpt_ray.storage.run_records import read_runs

NUM_THREADS = 16
"""Footers read at a time; most of the time of a remote store is waiting."""

MODEL_FACTS = ("model", "weights", "dtype", "engine", "signals", "chat_template_kwargs")
"""What is shown of what a model-key stands for."""

_COUNTED = ("part", "scores", "partial")
"""Kinds of files whose rows are counted."""


@dataclass(slots=True)
class DatasetContents:
    """One dataset's traces."""

    name: str
    num_buckets: int | None = None
    """As decided when it was first ingested; None: it does not say."""
    buckets_used: int = 0
    parts: int = 0
    traces: int = 0
    bytes: int = 0
    splitters: dict[str, int] = field(default_factory=dict)
    """Splitter -> parts that it cut; the same traces lie in parts of every splitter."""


@dataclass(slots=True)
class ModelContents:
    """One model's scores."""

    key: str
    facts: dict[str, Any] = field(default_factory=dict)
    """What the key stands for, as far as the store says."""
    parts: int = 0
    """Scored whole."""
    traces: int = 0
    """In them."""
    parts_begun: int = 0
    """With partial files, and not scored whole."""
    traces_begun: int = 0
    """Rows of partial files."""
    errors: dict[str, int] = field(default_factory=dict)
    """Code -> traces that the model could not score, or did not read to their end."""
    bytes: int = 0
    cost: dict[str, float] = field(default_factory=dict)
    """Over all starts of runs that say so: parts, traces, tokens, seconds of actors, read_again."""


@dataclass(slots=True)
class Contents:
    """A whole store."""

    store: str
    files: int
    bytes: int
    datasets: list[DatasetContents]
    models: list[ModelContents]
    rooms: dict[str, dict[str, int]]
    """Any other room -> its files and bytes."""
    runs: list[RunContents]
    unreadable: list[str]
    """Tables without a footer that can be read; `rdpt store verify` tells more."""


class Listing:
    """A store's files, listed; their footers are yet to be read."""

    def __init__(self, root: Root) -> None:
        """List them.

        Raises:
            StoreError: if the store cannot be listed.
        """
        self._root = root
        names = [*root.names(""), *root.temporaries()]
        self.files = inventory(root, names)
        self._places = {name: place_of(name) for name in self.files}
        self.tables = [
            name for name, place in self._places.items() if place and place.kind in _COUNTED
        ]
        """Files whose footers are read."""

    def contents(self, advance: Callable[[int, str], None] = lambda *_: None) -> Contents:
        """Read footers and the records of runs, and add up.

        Waits up to `sessions.LEASE_S`, if a run is neither finished nor ended, to see whether it lives.

        Args:
            advance: Called with how many more footers are read, and a remark.

        Raises:
            StoreError: if a file cannot be read.
        """
        footers, unreadable = self._footers(advance)
        runs = read_runs(self._root, self.files)
        return Contents(
            store=self._root.show("").rstrip("/"),
            files=len(self.files),
            bytes=sum(file.size for file in self.files.values()),
            datasets=self._datasets(footers),
            models=self._models(footers, costs_of_models(runs)),
            rooms=self._rooms(),
            runs=list_runs(self._root, runs),
            unreadable=unreadable,
        )

    def _footers(self, advance: Callable[[int, str], None]) -> tuple[dict[str, Footer], list[str]]:
        def read(name: str) -> Footer | None:
            try:
                return read_footer(self._root, name)
            except (StoreError, pa.ArrowException, OSError, ValueError):
                return None

        found: dict[str, Footer] = {}
        unreadable: list[str] = []
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for name, footer in zip(self.tables, pool.map(read, self.tables), strict=True):
                if footer is None:
                    unreadable.append(name)
                else:
                    found[name] = footer
                advance(1, "footers")
        return found, unreadable

    def _of(self, *kinds: str) -> Iterable[tuple[str, Place, StoredFile]]:
        for name, place in self._places.items():
            if place is not None and place.kind in kinds:
                yield name, place, self.files[name]

    def _small(self, kind: str) -> dict[str, dict[str, Any]]:
        """The JSON objects of one kind, by file; what is damaged counts as not there."""
        names = [name for name, _, _ in self._of(kind)]
        found: dict[str, dict[str, Any]] = {}
        for name, content in self._root.read_many(names).items():
            value, findings = parsed_json(self._root, name, content, dict)
            if not findings:
                found[name] = value
        return found

    def _datasets(self, footers: Mapping[str, Footer]) -> list[DatasetContents]:
        found: dict[str, DatasetContents] = {}
        buckets: set[tuple[str, int]] = set()
        for name, value in self._small("dataset").items():
            dataset = name.split("/")[1]
            found[dataset] = DatasetContents(dataset, value.get("num_buckets"))
        for name, place, file in self._of("part"):
            one = found.setdefault(place.dataset, DatasetContents(place.dataset))
            one.buckets_used += (place.dataset, place.bucket) not in buckets
            buckets.add((place.dataset, place.bucket))
            one.parts += 1
            one.bytes += file.size
            footer = footers.get(name)
            if footer is not None:
                one.traces += footer.rows
                splitter = footer.splitter or "?"
                one.splitters[splitter] = one.splitters.get(splitter, 0) + 1
        return [found[name] for name in sorted(found)]

    def _models(
        self, footers: Mapping[str, Footer], costs: Mapping[str, dict[str, float]]
    ) -> list[ModelContents]:
        found: dict[str, ModelContents] = {}
        for value in self._small("model").values():
            key = str(value.get("key"))
            facts = {name: value[name] for name in MODEL_FACTS if value.get(name)}
            found[key] = ModelContents(key, facts)
        whole = {(place.owner, place.part) for _, place, _ in self._of("scores")}
        begun: set[tuple[str, str]] = set()
        errors: dict[str, Counter[str]] = {}
        for name, place, file in self._of("scores", "partial"):
            one = found.setdefault(place.owner, ModelContents(place.owner))
            one.bytes += file.size
            footer = footers.get(name, Footer())
            errors[one.key] = errors.get(one.key, Counter()) + footer.errors
            if place.kind == "scores":
                one.parts += 1
                one.traces += footer.rows
                continue
            one.traces_begun += footer.rows
            if (place.owner, place.part) not in whole | begun:
                one.parts_begun += 1
                begun.add((place.owner, place.part))
        for key, one in found.items():
            one.errors = dict(sorted(errors.get(key, Counter()).items()))
            one.cost = costs.get(key, {})
        return [found[key] for key in sorted(found)]

    def _rooms(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for name, file in self.files.items():
            room = name.split("/")[0] if "/" in name else "(no folder)"
            if name.rsplit("/", 1)[-1].startswith("."):
                room = "temporaries"
            elif room in ("traces", "scores", "partial"):
                continue
            one = found.setdefault(room, {"files": 0, "bytes": 0})
            one["files"] += 1
            one["bytes"] += file.size
        return dict(sorted(found.items()))
