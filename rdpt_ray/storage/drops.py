"""Which traces of a run are not to be selected because of other texts, and why.

    STORE/runs/<run-id>/drops/<reason>/bucket=0007.parquet     the buckets that have some
    STORE/runs/<run-id>/drops/<reason>/index.json              written last: this reason is done

Each reason is found once per run; what is there is not looked for again.
"""

from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import read_json, write_json

Reason = Literal["contaminated", "near_duplicate_prompt", "near_duplicate"]

REASONS: tuple[Reason, ...] = ("contaminated", "near_duplicate_prompt", "near_duplicate")
"""In the order they are looked for; a trace has the first that it has."""

DROPS = pa.schema(
    [
        pa.field("trace_id", pa.string()),
        pa.field("drop_reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""One row per dropped trace. `detail` says because of what: another id, an item of an evaluation set."""


def write_drops(
    root: Root, run: str, reason: Reason, bucket: int, found: Mapping[str, str]
) -> None:
    """Write the traces of one bucket that are dropped for one reason.

    Args:
        root: The store.
        run: The run's folder, relative to the store.
        reason: Why.
        bucket: Which one.
        found: trace_id -> detail.
    """
    rows = [
        {"trace_id": trace_id, "drop_reason": reason, "detail": found[trace_id]}
        for trace_id in sorted(found)
    ]
    root.write_table(_name(run, reason, bucket), pa.Table.from_pylist(rows, schema=DROPS))


def finish_drops(root: Root, run: str, reason: Reason, by_bucket: Mapping[int, int]) -> None:
    """Say that all buckets of a reason are written.

    Args:
        root: The store.
        run: The run's folder, relative to the store.
        reason: Which one.
        by_bucket: Bucket -> how many of its traces are dropped, for buckets that have some.
    """
    buckets = {str(bucket): by_bucket[bucket] for bucket in sorted(by_bucket)}
    write_json(root, _index(run, reason), {"buckets": buckets})


def forget_drops(root: Root, run: str) -> None:
    """Have every reason looked for again."""
    for reason in REASONS:
        root.delete(_index(run, reason))


def count_drops(root: Root, run: str, reason: Reason) -> int | None:
    """How many traces are dropped for a reason; None where that has not been found out.

    Raises:
        StoreError: naming the file, if it is damaged.
    """
    index = _index(run, reason)
    if not root.exists(index):
        return None
    return sum(read_json(root, index)["buckets"].values())


def read_drops(root: Root, run: str, bucket: int) -> dict[str, tuple[str, str]]:
    """The dropped traces of a bucket: trace_id -> drop_reason and detail.

    Reasons that are not done count as none, so a stage sees exactly what earlier stages found.

    Args:
        root: The store.
        run: The run's folder, relative to the store.
        bucket: Which one.

    Raises:
        StoreError: naming the file, if one is missing or damaged.
    """
    dropped: dict[str, tuple[str, str]] = {}
    for reason in REASONS:
        index = _index(run, reason)
        if root.exists(index) and str(bucket) in read_json(root, index)["buckets"]:
            for row in root.read_table(_name(run, reason, bucket)).to_pylist():
                dropped.setdefault(row["trace_id"], (row["drop_reason"], row["detail"]))
    return dropped


def _name(run: str, reason: Reason, bucket: int) -> str:
    return f"{run}/drops/{reason}/bucket={bucket:04d}.parquet"


def _index(run: str, reason: Reason) -> str:
    return f"{run}/drops/{reason}/index.json"
