"""One model's scores of the store's parts.

    STORE/scores/<model-key>/<part-key>.parquet             of every trace of the part, in its order
    STORE/partial/<model-key>/<part-key>/<digest>.parquet   of some of its traces

A model need not read all of a part: with several teachers each reads the traces that it wrote, and with
pruning some candidates are never read. What is read then lies in partial files, named by what they hold,
so that two runs never write over each other; together with what a later run adds they become the file of
the whole part.

An error is a result: another attempt would end the same way. Unless it is one of `PASSING`: that of a server
or a memory at that moment. Such a row lies in a partial file, for the run that met it, and never makes a
part whole; so the next job to come along reads that trace again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rdpt_ray.errors import DamagedError
from rdpt_ray.method.pruning import PRUNED
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import key_slices
from rdpt_ray.storage.schemas import SCORES

UNREAD = f"{PRUNED}: not read"
"""The error of a trace that has no row at all."""

PASSING = ("engine_error", "endpoint_error", "out_of_memory")
"""Codes of errors that another attempt may mend."""

NEEDED = ("sum_logprob", "num_tokens")
"""Lists that every row without an error has."""

LISTS = (*NEEDED, "first_logprob", "sum_rank", "sum_brier")
"""Lists with an entry per sentence."""

Scores = dict[str, Any]
"""A row of the schema SCORES."""


def score_name(model_key: str, part_key: str) -> str:
    """Where one model's scores of a whole part lie."""
    return f"scores/{model_key}/{part_key}.parquet"


def partial_folder(model_key: str, part_key: str = "") -> str:
    """Where one model's scores of some of a part's traces lie."""
    return f"partial/{model_key}/{part_key}".rstrip("/")


def scored_parts(root: Root, model_key: str, num_parts: int = 0) -> set[str]:
    """Part-keys that a model has scored whole.

    Args:
        root: The store.
        model_key: Which model.
        num_parts: About how many parts there may be; of many, files are listed faster.
    """
    names = root.names(f"scores/{model_key}", key_slices(num_parts))
    return {name.rsplit("/", 1)[-1].removesuffix(".parquet") for name in names}


def partial_parts(root: Root, model_key: str, num_parts: int = 0) -> set[str]:
    """Part-keys of which a model has read some traces; arguments as of `scored_parts`."""
    names = root.names(partial_folder(model_key), key_slices(num_parts))
    return {name.split("/")[2] for name in names}


def is_pruned(row: Scores) -> bool:
    """Whether a trace is unscored on purpose; its lists may hold what was read before it was given up."""
    return row["error"] is not None and row["error"].startswith(f"{PRUNED}:")


def is_passing(error: str | None) -> bool:
    """Whether an error is one that another attempt may mend."""
    return error is not None and error.partition(":")[0] in PASSING


def without_passing(rows: Mapping[str, Scores]) -> dict[str, Scores]:
    """trace_id -> row, without the errors that another attempt may mend: what an attempt begins with."""
    return {trace_id: row for trace_id, row in rows.items() if not is_passing(row["error"])}


def unread(trace_id: str) -> Scores:
    """The row of a trace that a model has not read."""
    return {**dict.fromkeys(SCORES.names), "trace_id": trace_id, "error": UNREAD}


def read_scores(
    root: Root,
    model_key: str,
    key: str,
    trace_ids: Sequence[str],
    num_sentences: Sequence[int] | None = None,
) -> list[Scores]:
    """One model's scores of a part, checked against the part they belong to.

    Args:
        root: The store.
        model_key: Whose scores.
        key: The part.
        trace_ids: The part's traces, in order.
        num_sentences: How many sentences each of them has, where that is known.

    Returns:
        A row per trace, in the same order; `unread` for one that has none.

    Raises:
        DamagedError: naming the file, if it is unreadable, or about other traces or sentences,
            or of another model.
    """
    held = read_held(root, model_key, key, trace_ids, num_sentences)
    return [held.get(trace_id) or unread(trace_id) for trace_id in trace_ids]


def read_whole(
    root: Root,
    model_key: str,
    key: str,
    trace_ids: Sequence[str],
    num_sentences: Sequence[int] | None = None,
) -> pa.Table:
    """The scores of every trace of a part; arguments as of `read_scores`.

    Raises:
        DamagedError: naming the file, if it is unreadable, or about other traces or sentences,
            or of another model.
    """
    name = score_name(model_key, key)
    table = _read(root, name, model_key)
    if table.schema.names != SCORES.names or table.column("trace_id").to_pylist() != list(
        trace_ids
    ):
        raise DamagedError(
            f"{root.show(name)}: its {table.num_rows} rows are not the {len(trace_ids)} traces of part"
            f" {key}; delete it and rerun to score the part again"
        )
    _check_lists(root, name, table, _by_trace(trace_ids, num_sentences))
    return table


def read_partial(
    root: Root,
    model_key: str,
    key: str,
    trace_ids: Sequence[str],
    num_sentences: Sequence[int] | None = None,
) -> dict[str, Scores]:
    """trace_id -> the most that a model has read of it, of those traces of a part that it has begun.

    Raises:
        DamagedError: naming the file, if it is unreadable, or about other traces or sentences,
            or of another model.
    """
    known, expected = set(trace_ids), _by_trace(trace_ids, num_sentences)
    held: dict[str, Scores] = {}
    for name in root.names(partial_folder(model_key, key)):
        table = _read(root, name, model_key)
        if table.schema.names != SCORES.names or not known.issuperset(
            table.column("trace_id").to_pylist()
        ):
            raise DamagedError(
                f"{root.show(name)}: it is not about traces of part {key}; delete it and rerun to score"
                " them again"
            )
        _check_lists(root, name, table, expected)
        for row in table.to_pylist():
            earlier = held.get(row["trace_id"])
            if earlier is None or progress_of(row) > progress_of(earlier):
                held[row["trace_id"]] = row
    return held


def deciding_files(root: Root, model_key: str, key: str) -> set[str]:
    """The partial files that `read_partial` takes a row from: without the others it reads the same.

    Raises:
        DamagedError: if a file is unreadable.
    """
    best: dict[str, tuple[tuple[int, int], str]] = {}
    for name in root.names(partial_folder(model_key, key)):
        for row in root.read_table(name, ["trace_id", "sum_logprob", "error"]).to_pylist():
            earlier = best.get(row["trace_id"])
            if earlier is None or progress_of(row) > earlier[0]:
                best[row["trace_id"]] = (progress_of(row), name)
    return {name for _, name in best.values()}


def read_held(
    root: Root,
    model_key: str,
    key: str,
    trace_ids: Sequence[str],
    num_sentences: Sequence[int] | None = None,
) -> dict[str, Scores]:
    """trace_id -> what a model has read of it, of all traces of a part that it has begun.

    Raises:
        DamagedError: naming the file, if it is unreadable, or about other traces or sentences,
            or of another model.
    """
    if root.exists(score_name(model_key, key)):
        rows = read_whole(root, model_key, key, trace_ids, num_sentences).to_pylist()
        return {row["trace_id"]: row for row in rows}
    return read_partial(root, model_key, key, trace_ids, num_sentences)


def _read(root: Root, name: str, model_key: str) -> pa.Table:
    """A file's rows; one of an earlier version does not say whose they are."""
    table = root.read_table(name)
    told = (table.schema.metadata or {}).get(b"model", model_key.encode())
    if told != model_key.encode():
        raise DamagedError(
            f"{root.show(name)}: expected scores of {model_key}, found those of"
            f" {told.decode('utf-8', 'replace')}; delete it and rerun to score its traces again"
        )
    return table


def _by_trace(
    trace_ids: Sequence[str], num_sentences: Sequence[int] | None
) -> dict[str, int] | None:
    return None if num_sentences is None else dict(zip(trace_ids, num_sentences, strict=True))


def _check_lists(
    root: Root, name: str, table: pa.Table, num_sentences: Mapping[str, int] | None
) -> None:
    """Refuse lists that are not one entry per sentence: of another splitter, or damaged.

    Raises:
        DamagedError: naming file, trace, what was expected and what was found.
    """
    ids, errors = table.column("trace_id").to_pylist(), table.column("error").to_pylist()
    lengths = {
        column: pc.call_function("list_value_length", [table.column(column)]).to_pylist()
        for column in LISTS
    }
    for row, (trace_id, error) in enumerate(zip(ids, errors, strict=True)):
        found = {column: of_column[row] for column, of_column in lengths.items()}
        some = next((count for count in found.values() if count is not None), None)
        expected = some if num_sentences is None else num_sentences[trace_id]
        for column, count in found.items():
            is_there = count == expected if count is not None else error or column not in NEEDED
            if not is_there:
                raise DamagedError(
                    f"{root.show(name)}: trace {trace_id}: expected"
                    f" {'a list' if expected is None else f'{expected} entries'} in {column}, one entry"
                    f" per sentence, found {'none' if count is None else count}; delete the file and"
                    " rerun to score its traces again"
                )


def progress_of(row: Scores) -> tuple[int, int]:
    """How much is known of a trace.

    First its scores, then that it has none, then that it had none at the time, then so many sentences.
    """
    sums = row["sum_logprob"] or []
    known = 0 if is_pruned(row) else 1 if is_passing(row["error"]) else 2 if row["error"] else 3
    return known, sum(value is not None for value in sums)


def write_scores(
    root: Root, model_key: str, key: str, trace_ids: Sequence[str], rows: Sequence[Scores]
) -> None:
    """Commit what a model has read of a part: as the whole part's file if nothing of it is left to read.

    Args:
        root: The store.
        model_key: Whose scores.
        key: The part.
        trace_ids: The part's traces, in order.
        rows: Scores of the traces that the model has read or begun now, in any order.
    """
    held = {row["trace_id"]: row for row in rows}
    facts = {"model": model_key}
    is_open = any(is_pruned(row) or is_passing(row["error"]) for row in held.values())
    if len(held) == len(trace_ids) and not is_open:
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
        digest.update(f"{row['trace_id']}\0{progress_of(row)}\n".encode())
    return digest.hexdigest()[:16]
