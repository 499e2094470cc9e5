"""Parts: immutable, content-addressed files of traces, the unit of work, retry and commit.

    STORE/traces/<dataset>/bucket=0007/<part-key>.parquet      traces with their sentences

A part-key hashes what models read (texts, spans, splitter), so the same traces always give the same part,
whatever order they came in, and scores are found again by any later run (`storage.scores`). All candidates
of a prompt share a bucket, so everything after ingestion is local to one bucket.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.schemas import TRACES

PART_CHARS = 1_000_000
"""Response text of a part: about 250k tokens, seconds to minutes of one actor's work."""

MAX_PART_CHARS = 32_000_000
MANY_PARTS = 2**18
"""An input that would be cut into more parts than this is cut into larger ones (docs/scale.md)."""

MANY_NAMES = 20_000
"""Files that are listed in slices: an object store gives a thousand names at a time."""

MIN_BUCKETS = 8
MAX_BUCKETS = 4096
BUCKET_BYTES = 64_000_000
"""Input bytes per bucket: what one worker holds when it selects."""


def num_buckets(input_bytes: int) -> int:
    """Buckets for an input of this size: the power of two that keeps one near `BUCKET_BYTES`."""
    buckets = MIN_BUCKETS
    while buckets < MAX_BUCKETS and buckets * BUCKET_BYTES < input_bytes:
        buckets *= 2
    return buckets


def part_chars(input_bytes: int) -> int:
    """Characters of response per part, for an input of this size: `PART_CHARS` unless that is many parts."""
    chars = PART_CHARS
    while chars < MAX_PART_CHARS and chars * MANY_PARTS < input_bytes:
        chars *= 2
    return chars


def bucket_of(identity: str, buckets: int) -> int:
    """The bucket of a hex id (a prompt_id): equal ids share one."""
    return int(identity[:8], 16) % buckets


def bucket_folder(dataset: str, bucket: int) -> str:
    """Where a bucket's parts lie."""
    return f"traces/{dataset}/bucket={bucket:04d}"


def key_slices(num_parts: int) -> list[str]:
    """How the names of so many parts' files may begin, to list them in slices; few are listed in one go."""
    return [f"{byte:02x}" for byte in range(256)] if num_parts > MANY_NAMES else []


def bucket_slices(num_parts: int) -> list[str]:
    """The same where they lie in folders of buckets."""
    return [f"bucket={pair:02d}" for pair in range(100)] if num_parts > MANY_NAMES else []


def part_key(traces: pa.Table, splitter: str) -> str:
    """Hash of what decides every score of the part: texts (through trace_id), spans and splitter.

    Args:
        traces: Rows of the schema TRACES.
        splitter: Name and version of what cut the sentences.

    Returns:
        32 hex digits.
    """
    digest = hashlib.sha256(f"part/1\0{splitter}\0".encode())
    spans = traces.column("sentences").combine_chunks()
    flat = spans.flatten()
    edges = np.stack([flat.field(name).to_numpy() for name in ("start", "end")], axis=1)
    counts = spans.value_lengths().to_numpy()
    rows = zip(traces.column("trace_id").to_pylist(), np.cumsum(counts), counts, strict=True)
    for trace_id, end, count in rows:
        own = edges[end - count : end].astype("<i4")
        digest.update(f"{trace_id}\0{own.size}\0".encode())
        digest.update(own.tobytes())
    return digest.hexdigest()[:32]


def cut_into_parts(traces: pa.Table, part_chars: int = PART_CHARS) -> Iterator[pa.Table]:
    """Cut a bucket's new traces into parts of about `part_chars` characters of response.

    Rows are ordered by prompt_id and trace_id first, so the cut does not depend on the input's order.
    """
    ordered = traces.sort_by([("prompt_id", "ascending"), ("trace_id", "ascending")])
    sizes = [len(response) for response in ordered.column("response").to_pylist()]
    start, held = 0, 0
    for index, size in enumerate(sizes):
        if index > start and held + size > part_chars:
            yield ordered.slice(start, index - start)
            start, held = index, 0
        held += size
    if start < ordered.num_rows:
        yield ordered.slice(start)


def write_part(root: Root, folder: str, traces: pa.Table, splitter: str) -> str:
    """Write one part and return its key."""
    key = part_key(traces, splitter)
    root.write_table(f"{folder}/{key}.parquet", traces.cast(TRACES), {"splitter": splitter})
    return key


def stored_traces(root: Root, folder: str, splitter: str) -> dict[str, str]:
    """trace_id -> part-key of every trace a bucket already holds under this splitter."""
    found: dict[str, str] = {}
    for name in root.names(folder):
        table = root.read_table(name, columns=["trace_id"])
        if (table.schema.metadata or {}).get(b"splitter") == splitter.encode():
            key = name.rsplit("/", 1)[-1].removesuffix(".parquet")
            found.update(dict.fromkeys(table.column("trace_id").to_pylist(), key))
    return found
