"""One model's scores of the store's parts.

    STORE/scores/<model-key>/<part-key>.parquet             of every trace of the part, in its order
    STORE/partial/<model-key>/<part-key>/<digest>.parquet   of some of its traces

A model need not read all of a part: with several teachers each reads the traces that it wrote, and with
pruning some candidates are never read. What is read then lies in partial files, named by what they hold,
so that two runs never write over each other; together with what a later run adds they become the file of
the whole part.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import StoreError
from rdpt_ray.method.pruning import PRUNED
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.schemas import SCORES

UNREAD = f"{PRUNED}: not read"
"""The error of a trace that has no row at all."""

Scores = dict[str, Any]
"""A row of the schema SCORES."""


def score_name(model_key: str, part_key: str) -> str:
    """Where one model's scores of a whole part lie."""
    return f"scores/{model_key}/{part_key}.parquet"


def partial_folder(model_key: str, part_key: str = "") -> str:
    """Where one model's scores of some of a part's traces lie."""
    return f"partial/{model_key}/{part_key}".rstrip("/")


def scored_parts(root: Root, model_key: str) -> set[str]:
    """Part-keys that a model has scored whole."""
    names = root.names(f"scores/{model_key}")
    return {name.rsplit("/", 1)[-1].removesuffix(".parquet") for name in names}


def partial_parts(root: Root, model_key: str) -> set[str]:
    """Part-keys of which a model has read some traces."""
    return {name.split("/")[2] for name in root.names(partial_folder(model_key))}


def is_pruned(row: Scores) -> bool:
    """Whether a trace is unscored on purpose; its lists may hold what was read before it was given up."""
    return row["error"] is not None and row["error"].startswith(f"{PRUNED}:")


def unread(trace_id: str) -> Scores:
    """The row of a trace that a model has not read."""
    return {**dict.fromkeys(SCORES.names), "trace_id": trace_id, "error": UNREAD}


def read_scores(root: Root, model_key: str, key: str, trace_ids: Sequence[str]) -> list[Scores]:
    """One model's scores of a part, checked against the part they belong to.

    Args:
        root: The store.
        model_key: Whose scores.
        key: The part.
        trace_ids: The part's traces, in order.

    Returns:
        A row per trace, in the same order; `unread` for one that has none.

    Raises:
        StoreError: if a file is unreadable or is about other traces.
    """
    held = read_held(root, model_key, key, trace_ids)
    return [held.get(trace_id) or unread(trace_id) for trace_id in trace_ids]


def read_whole(root: Root, model_key: str, key: str, trace_ids: Sequence[str]) -> pa.Table:
    """The scores of every trace of a part.

    Raises:
        StoreError: if the file is unreadable or is not about exactly these traces.
    """
    name = score_name(model_key, key)
    table = root.read_table(name)
    if table.schema.names != SCORES.names or table.column("trace_id").to_pylist() != list(
        trace_ids
    ):
        raise StoreError(
            f"{root.show(name)}: its {table.num_rows} rows are not the {len(trace_ids)} traces of part"
            f" {key}; delete it and rerun to score the part again"
        )
    return table


def read_partial(
    root: Root, model_key: str, key: str, trace_ids: Iterable[str]
) -> dict[str, Scores]:
    """trace_id -> the most that a model has read of it, of those traces of a part that it has begun.

    Raises:
        StoreError: if a file is unreadable or is about other traces.
    """
    known = set(trace_ids)
    held: dict[str, Scores] = {}
    for name in root.names(partial_folder(model_key, key)):
        table = root.read_table(name)
        if table.schema.names != SCORES.names or not known.issuperset(
            table.column("trace_id").to_pylist()
        ):
            raise StoreError(
                f"{root.show(name)}: it is not about traces of part {key}; delete it and rerun to score"
                " them again"
            )
        for row in table.to_pylist():
            earlier = held.get(row["trace_id"])
            if earlier is None or _progress(row) > _progress(earlier):
                held[row["trace_id"]] = row
    return held


def read_held(root: Root, model_key: str, key: str, trace_ids: Sequence[str]) -> dict[str, Scores]:
    """trace_id -> what a model has read of it, of all traces of a part that it has begun.

    Raises:
        StoreError: if a file is unreadable or is about other traces.
    """
    if root.exists(score_name(model_key, key)):
        rows = read_whole(root, model_key, key, trace_ids).to_pylist()
        return {row["trace_id"]: row for row in rows}
    return read_partial(root, model_key, key, trace_ids)


def _progress(row: Scores) -> tuple[bool, int]:
    """How much is known of a trace: all of it, or so many sentences."""
    sums = row["sum_logprob"] or []
    return (not is_pruned(row), sum(value is not None for value in sums))


def write_scores(
    root: Root, model_key: str, key: str, trace_ids: Sequence[str], rows: Sequence[Scores]
) -> None:
    """Commit what a model has read of a part: as the whole part's file if it has read all of it.

    Args:
        root: The store.
        model_key: Whose scores.
        key: The part.
        trace_ids: The part's traces, in order.
        rows: Scores of the traces that the model has read or begun now, in any order.
    """
    held = {row["trace_id"]: row for row in rows}
    facts = {"model": model_key}
    if len(held) == len(trace_ids) and not any(map(is_pruned, rows)):
        table = pa.Table.from_pylist([held[trace_id] for trace_id in trace_ids], schema=SCORES)
        root.write_table(score_name(model_key, key), table, facts)
    elif held:
        ordered = [held[trace_id] for trace_id in trace_ids if trace_id in held]
        table = pa.Table.from_pylist(ordered, schema=SCORES)
        name = f"{partial_folder(model_key, key)}/{_digest(ordered)}.parquet"
        root.write_table(name, table, facts)


def _digest(rows: Sequence[Scores]) -> str:
    """Names a partial file by the traces in it and how far each was read."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row['trace_id']}\0{_progress(row)}\n".encode())
    return digest.hexdigest()[:16]
