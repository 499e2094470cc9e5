"""What a file of the store is, by its name (docs/data.md has the layout)."""

import re
from dataclasses import dataclass

DAMAGED = "damaged"
"""Files that were found damaged lie below it, under the names they had."""

_PART = r"(?P<part>[0-9a-f]{32})"
_BUCKET = r"bucket=(?P<bucket>[0-9]{4,9})"
_OWNER = r"(?P<owner>[^/]+)"
_DATASET = r"(?P<dataset>[^/]+)"
_KINDS = {
    "part": rf"traces/{_DATASET}/{_BUCKET}/{_PART}\.parquet",
    "dataset": rf"traces/{_DATASET}/dataset\.json",
    "scores": rf"scores/{_OWNER}/{_PART}\.parquet",
    "partial": rf"partial/{_OWNER}/{_PART}/[^/]+\.parquet",
    "tokens": rf"tokens/{_OWNER}/{_DATASET}/{_BUCKET}/{_PART}\.parquet",
    "verified": rf"verified/{_OWNER}/{_PART}-[0-9a-f]+\.parquet",
    "records": rf"recorded/{_OWNER}/{_BUCKET}\.parquet",
    "index": rf"recorded/{_OWNER}/index\.json",
    "model": rf"models/{_OWNER}\.json",
    "attempt": rf"attempts/{_OWNER}/{_PART}([-/][0-9]+)?\.json",
    "lease": rf"leases/{_OWNER}/[0-9]+\.json",
    "session": rf"runs/{_OWNER}/sessions/[^/]+\.json",
    "run": rf"runs/{_OWNER}/.+",
    "damaged": rf"{DAMAGED}/.+",
}
_PATTERNS = [(kind, re.compile(pattern)) for kind, pattern in _KINDS.items()]

DERIVED = frozenset(["part", "scores", "partial", "tokens", "verified", "records", "index"])
"""Kinds of files that a job which needs them, and does not find them, makes again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file belongs."""

    kind: str
    """One of the store's kinds of files."""
    owner: str = ""
    """The model-key, verifier-id, key of a recording, schedule or run-id that it is under."""
    dataset: str = ""
    bucket: int = -1
    part: str = ""
    """The part-key that it is, or is about."""


def place_of(name: str) -> Place | None:
    """What a file is; None if the store has no such place.

    Args:
        name: Relative to the store.
    """
    for kind, pattern in _PATTERNS:
        found = pattern.fullmatch(name)
        if found:
            fields = found.groupdict()
            return Place(
                kind,
                owner=fields.get("owner") or "",
                dataset=fields.get("dataset") or "",
                bucket=int(fields.get("bucket") or -1),
                part=fields.get("part") or "",
            )
    return None
