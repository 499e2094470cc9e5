"""Files that are not what they should be: how one is read, described, and set aside."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import Root, table_in
from rdpt_ray.storage.places import DAMAGED, DERIVED, place_of
from rdpt_ray.storage.remote import said
from rdpt_ray.storage.runs import parsed

MAX_CHARS = 200

Finding = tuple[str, str]
"""What was expected of a file, and what came."""

ABSENT = "no file"
"""What came of a file that should be there."""

_REMEDIES = {
    "part": "set it aside (--set-aside) and run its job again: ingestion writes its traces again",
    "scores": "set it aside (--set-aside): the next job that needs it scores its traces again",
    "partial": "set it aside (--set-aside): the next job that needs it scores its traces again",
    "tokens": "set it aside (--set-aside): the next job that needs it scores its traces again",
    "verified": "set it aside (--set-aside): the next job that needs it verifies its answers again",
    "records": "set it aside (--set-aside): the next job that needs it reads the recording again",
    "index": "set it aside (--set-aside): the next job that needs it reads the recording again",
    "run": "delete the run's folder and run its command again: nothing is scored again",
    "session": "delete it: the cost of one start of the run is forgotten with it",
    "attempt": "delete it once no job is at work: it only says that a process died",
    "model": "delete it: the next job that uses the model writes it again",
    "dataset": "write it again by hand: its parts say which buckets there are",
}


@dataclass(frozen=True, slots=True)
class Damage:
    """One file that is not what it should be."""

    file: str
    """Relative to the store."""
    expected: str
    found: str
    remedy: str
    is_derived: bool = True
    """Whether a job makes the file again once it is gone, so that it can be set aside."""


def damages(name: str, findings: list[Finding]) -> list[Damage]:
    """Findings about a file, with what to do about each."""
    place = place_of(name)
    kind = "" if place is None else place.kind
    remedy = _REMEDIES.get(kind, "look at it, and delete it if nothing needs it")
    return [
        Damage(name, expected, _short(found), remedy, kind in DERIVED)
        for expected, found in findings
    ]


def unreadable(name: str, error: StoreError) -> Damage:
    """A file that cannot be looked at at all; whether it is damaged, nobody knows."""
    cause = error.__cause__
    told = said(cause if isinstance(cause, Exception) else error)
    return Damage(
        name,
        "a file that can be read",
        _short(told),
        "look at the file system, then verify again",
        is_derived=False,
    )


def parsed_table(content: bytes, schema: pa.Schema) -> tuple[pa.Table | None, list[Finding]]:
    """A Parquet file's rows, if it holds every byte that was written, and if they are of this schema.

    Args:
        content: The whole file.
        schema: Exactly its columns, in order.
    """
    try:
        table = table_in(content)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        return None, [("valid Parquet whose page checksums hold", said(error))]
    if not table.schema.equals(schema):
        return None, [(f"the columns {_columns(schema)}", _columns(table.schema))]
    return table, []


def read_checked(root: Root, name: str, schema: pa.Schema) -> tuple[pa.Table | None, list[Finding]]:
    """The same of a file in the store.

    Raises:
        StoreError: if it cannot be read, which says nothing about what is in it.
    """
    return parsed_table(root.read_bytes(name), schema)


def parsed_json(root: Root, name: str, content: bytes, kind: type) -> tuple[Any, list[Finding]]:
    """A JSON file's value, if it is one of this type."""
    expected = f"a JSON {'list' if kind is list else 'object'}"
    try:
        value = parsed(root, name, content)
    except StoreError as error:
        return None, [(expected, str(error.__cause__))]
    if not isinstance(value, kind):
        return None, [(expected, f"a {type(value).__name__}")]
    return value, []


def set_aside(root: Root, name: str) -> str:
    """Move a file out of the way, to `damaged/`, so that a job which needs it makes it again.

    Killed in between, it leaves a copy and the file, and can be done again.

    Returns:
        Where it is now.

    Raises:
        StoreError: if it cannot be moved.
    """
    kept = f"{DAMAGED}/{name}"
    root.write_bytes(kept, root.read_bytes(name))
    root.delete(name)
    return kept


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 3]}..."
