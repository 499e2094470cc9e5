"""Sampled responses at rest: a folder of Parquet parts, which is a dataset of traces and a recording in one.

    TO/<part-key>.parquet       responses to some prompts; nothing else lies there

Each file says in its metadata by which model and settings it was sampled, and what it counts. A part is
written whole, once: what is there is never sampled again.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rdpt_ray.errors import ConfigError, StoreError
from rdpt_ray.storage.files import Root, parquet_bytes
from rdpt_ray.storage.runs import canonical_json
from rdpt_ray.storage.schemas import MESSAGES

SAMPLES = pa.schema(
    [
        pa.field("sample_uuid", pa.string()),
        pa.field("prompt_id", pa.string()),
        pa.field("candidate", pa.int32()),
        pa.field("messages", MESSAGES),
        pa.field("response", pa.string()),
        pa.field("complete", pa.bool_()),
        pa.field("finish_reason", pa.string()),
        pa.field("reference_answer", pa.string()),
        pa.field("teacher_name", pa.string()),
        pa.field("source", pa.string()),
        pa.field("license", pa.string()),
        pa.field(
            "metadata",
            pa.struct(
                [
                    pa.field("sample_uuid", pa.string()),
                    pa.field("finish_reason", pa.string()),
                    pa.field("prompt", pa.string()),
                ]
            ),
        ),
        pa.field("token_ids", pa.list_(pa.int32())),
        pa.field("logprobs", pa.list_(pa.float32())),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("response_tokens", pa.int32()),
        pa.field("error", pa.string()),
    ]
)
"""One sampled response (docs/sampling.md). Beside an error, `response` and what follows from it are null."""

NUM_THREADS = 16
"""Files looked at together; most of the time of a remote folder is waiting."""

_FACTS = b"rdpt_sample"


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """What some responses come to."""

    samples: int = 0
    complete: int = 0
    """Ended by the model itself."""
    tokens: int = 0
    """Sampled, end tokens included."""
    errors: int = 0

    def __add__(self, other: "SampleCounts") -> "SampleCounts":
        return SampleCounts(
            self.samples + other.samples,
            self.complete + other.complete,
            self.tokens + other.tokens,
            self.errors + other.errors,
        )


@dataclass(frozen=True, slots=True)
class Present:
    """Which of the wanted responses a folder has."""

    candidates: dict[str, set[int]]
    """prompt_id -> the numbers of its candidates."""
    counts: SampleCounts
    parts: list[str]
    """The keys of the parts that they lie in."""


def sample_name(key: str) -> str:
    """A part's file."""
    return f"{key}.parquet"


def write_samples(
    to: Root, key: str, rows: list[dict[str, Any]], settings: Mapping[str, Any]
) -> SampleCounts:
    """Make a part appear, whole, unless it is there: the same rows always give the same bytes.

    Args:
        to: The folder.
        key: The part's.
        rows: Of the schema SAMPLES.
        settings: By which model and how they were sampled.
    """
    table = pa.Table.from_pylist(rows, schema=SAMPLES)
    counts = count_samples(table)
    told = canonical_json({"settings": settings, "counts": asdict(counts)})
    to.create(sample_name(key), parquet_bytes(table, {_FACTS.decode(): told}))
    return counts


def count_samples(table: pa.Table) -> SampleCounts:
    """What the rows of a table come to."""
    complete = pc.call_function("sum", [table.column("complete")]).as_py()
    tokens = pc.call_function("sum", [table.column("response_tokens")]).as_py()
    errors = table.num_rows - table.column("error").null_count
    return SampleCounts(table.num_rows, complete or 0, tokens or 0, errors)


def sample_parts(to: Root) -> list[str]:
    """The keys of the parts in a folder, sorted.

    Raises:
        ConfigError: if anything else lies in it.
    """
    names = to.names("")
    others = [name for name in names if "/" in name or not name.endswith(".parquet")]
    if others:
        raise ConfigError(
            f"{to.show('')}: expected a folder of its own for sampled responses, found {others[0]!r}"
        )
    return [name.removesuffix(".parquet") for name in names]


def part_counts(to: Root, keys: Iterable[str]) -> list[SampleCounts]:
    """What parts count, by their footers."""
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        return list(pool.map(lambda key: SampleCounts(**_told(to, key)["counts"]), keys))


def check_settings(to: Root, keys: Iterable[str], settings: Mapping[str, Any]) -> None:
    """Whether all parts of a folder were sampled by the same settings.

    Raises:
        ConfigError: saying what differs.
    """
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        found = list(pool.map(lambda key: (key, _told(to, key)["settings"]), keys))
    for key, there in found:
        names = sorted(there.keys() | settings.keys())
        differ = [
            f"{name} {there.get(name)!r} there, {settings.get(name)!r} here"
            for name in names
            if there.get(name) != settings.get(name)
        ]
        if differ:
            raise ConfigError(
                f"{to.show(sample_name(key))} was sampled otherwise: {'; '.join(differ)}. Choose another"
                " folder, or the settings of this one"
            )


def held_samples(
    to: Root, keys: Iterable[str], prompts: Collection[str], num_candidates: int
) -> Present:
    """Look into a folder.

    Args:
        to: The folder.
        keys: Its parts.
        prompts: The prompt_ids that responses are wanted of.
        num_candidates: How many of each, from 0 on.
    """
    columns = ["prompt_id", "candidate", "complete", "response_tokens", "error"]
    found: dict[str, set[int]] = {}
    counts, parts = SampleCounts(), list[str]()
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for key, table in pool.map(lambda key: (key, _columns(to, key, columns)), keys):
            pairs = zip(
                table.column("prompt_id").to_pylist(),
                table.column("candidate").to_pylist(),
                strict=True,
            )
            wanted: list[bool] = []
            for prompt, candidate in pairs:
                there = found.setdefault(prompt, set())
                is_new = candidate not in there
                wanted.append(is_new and prompt in prompts and candidate < num_candidates)
                there.add(candidate)
            if any(wanted):
                parts.append(key)
                counts += count_samples(table.filter(pa.array(wanted, pa.bool_())))
    return Present(found, counts, parts)


def read_samples(to: Root) -> Iterator[pa.Table]:
    """Every part of a folder, by its key: tables of the schema SAMPLES."""
    for key in sample_parts(to):
        yield to.read_table(sample_name(key)).select(SAMPLES.names)


def _told(to: Root, key: str) -> dict[str, Any]:
    """What a part says of itself."""
    with _opened(to, key) as file:
        told = (file.metadata.metadata or {}).get(_FACTS)
    if told is None:
        raise ConfigError(
            f"{to.show(sample_name(key))}: `rdpt sample` did not write this file; choose a folder of its own"
            " for sampled responses"
        )
    return json.loads(told)


def _columns(to: Root, key: str, columns: list[str]) -> pa.Table:
    with _opened(to, key) as file:
        return file.read(columns=columns, use_threads=False)


@contextmanager
def _opened(to: Root, key: str) -> Iterator[pq.ParquetFile]:
    name = sample_name(key)
    with to.opened(name) as stream:
        try:
            yield pq.ParquetFile(stream, page_checksum_verification=True)
        except (pa.ArrowException, ValueError, KeyError) as error:
            raise StoreError(
                f"{to.show(name)}: not sampled responses ({error}); delete it and rerun"
            ) from error
