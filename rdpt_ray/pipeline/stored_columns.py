"""A finished run's scores as flat columns, straight from the store: no model, no Ray, no row of Python.

What `rdpt compare` looks at. A bucket holds all candidates of its prompts, so its columns can be analysed
alone and the results added up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rdpt_ray.config import ThresholdsConfig
from rdpt_ray.errors import StoreError
from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.score_columns import ScoreColumns, concat
from rdpt_ray.pipeline.eligible import Ledger, drop_reason
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.roles import TEACHER, is_teacher, teacher_of
from rdpt_ray.pipeline.scored_bucket import graded
from rdpt_ray.selection_config import FiltersConfig, SelectionConfig, VerifyConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.runs import INGESTED, read_json
from rdpt_ray.storage.schemas import SCORES
from rdpt_ray.storage.scores import read_scores, read_whole, score_name


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A finished run, by its manifest."""

    store: Root
    dataset: str
    ledger: Ledger
    model_keys: dict[str, str]
    selection: SelectionConfig
    thresholds: ThresholdsConfig
    buckets: list[IngestedBucket]


def open_stored_run(store: Root, folder: str, manifest: Mapping[str, Any]) -> StoredRun:
    """What a manifest says of where the run's scores are.

    Args:
        store: The store that the run is in.
        folder: The run's, relative to the store.
        manifest: Its manifest.
    """
    config = manifest["config"]
    selection = SelectionConfig.model_validate(config["selection"])
    if manifest["facts"]["kind"] == "trace":  # it kept every trace
        selection = selection.model_copy(update={"filters": FiltersConfig()})
    thresholds = {**config["thresholds"], "beta": manifest["facts"]["beta"]}
    verify = config.get("verify")
    return StoredRun(
        store=store,
        dataset=config["name"],
        ledger=Ledger(store, folder, VerifyConfig.model_validate(verify) if verify else None),
        model_keys={role: model["key"] for role, model in manifest["models"].items()},
        selection=selection,
        thresholds=ThresholdsConfig.model_validate(thresholds),
        buckets=[IngestedBucket(**bucket) for bucket in read_json(store, f"{folder}/{INGESTED}")],
    )


def stored_columns(run: StoredRun) -> Iterator[ScoreColumns]:
    """The run's traces, a bucket at a time; those that some model could not read are left out.

    Raises:
        StoreError: naming the file, if one is missing or about other traces.
    """
    for bucket in run.buckets:
        parts = list(_parts(bucket, run))
        if parts:
            yield concat(parts)


def _parts(bucket: IngestedBucket, run: StoredRun) -> Iterator[ScoreColumns]:
    ledger = run.ledger.traces(bucket.bucket)
    left = set(ledger)
    drops = run.ledger.drops(bucket.bucket)
    for key in sorted(bucket.parts):
        name = f"{bucket_folder(run.dataset, bucket.bucket)}/{key}.parquet"
        traces = run.store.read_table(name, ["trace_id", "prompt_id", "response", "sentences"])
        trace_ids: list[str] = traces.column("trace_id").to_pylist()
        rows = run.ledger.with_verdicts(ledger, key, trace_ids)
        lengths = pc.call_function("list_value_length", [traces.column("sentences")]).to_pylist()
        tables = {
            role: _scores(run.store, model_key, key, trace_ids, lengths)
            for role, model_key in run.model_keys.items()
        }
        teacher = _teachers(tables, [rows.get(trace_id) for trace_id in trace_ids])
        others = {role: table for role, table in tables.items() if not is_teacher(role)}
        kept = [
            index
            for index, trace_id in enumerate(trace_ids)
            if trace_id in left and _usable(index, teacher, others)
        ]
        left.difference_update(trace_ids)
        if kept:
            yield _columns(
                traces.take(kept),
                {role: table.take(kept) for role, table in {TEACHER: teacher, **others}.items()},
                [rows[trace_ids[index]] for index in kept],
                run,
                drops,
            )


def _scores(
    store: Root, model_key: str, key: str, trace_ids: Sequence[str], num_sentences: Sequence[int]
) -> pa.Table:
    """One model's scores of a part as a table; pruned traces have empty rows."""
    if store.exists(score_name(model_key, key)):
        return read_whole(store, model_key, key, trace_ids, num_sentences)
    rows = read_scores(store, model_key, key, trace_ids, num_sentences)
    return pa.Table.from_pylist(rows, schema=SCORES)


def _teachers(tables: Mapping[str, pa.Table], rows: Sequence[Mapping[str, Any] | None]) -> pa.Table:
    """Each trace's scores by the teacher that reads it; of one that none reads, an error."""
    teachers = {role: table for role, table in tables.items() if is_teacher(role)}
    if list(teachers) == [TEACHER]:
        return teachers[TEACHER]
    places = {role: number for number, role in enumerate(teachers)}
    height = len(rows)
    nobody = {**dict.fromkeys(SCORES.names), "error": "no_teacher: "}
    stacked = pa.concat_tables([*teachers.values(), pa.Table.from_pylist([nobody], schema=SCORES)])
    chosen: list[int] = []
    for index, row in enumerate(rows):
        role = None if row is None else teacher_of(row["teacher_name"], teachers)
        chosen.append(len(teachers) * height if role is None else places[role] * height + index)
    return stacked.take(chosen)


def _usable(index: int, teacher: pa.Table, others: Mapping[str, pa.Table]) -> bool:
    """Whether no model failed on a trace; pruning is no failure."""
    error = teacher.column("error")[index].as_py()
    return (error is None or error.startswith("pruned")) and all(
        table.column("error")[index].as_py() is None for table in others.values()
    )


def _columns(
    traces: pa.Table,
    tables: Mapping[str, pa.Table],
    rows: Sequence[Mapping[str, Any]],
    run: StoredRun,
    drops: Mapping[str, tuple[str, str]],
) -> ScoreColumns:
    num_chars = pc.call_function("utf8_length", [traces.column("response")]).to_numpy()
    spans = traces.column("sentences").combine_chunks()
    offsets = _offsets(spans)
    flat = spans.flatten()
    chars = flat.field("end").to_numpy() - flat.field("start").to_numpy()
    known = (
        tables[TEACHER].column("error").combine_chunks().is_null().to_numpy(zero_copy_only=False)
    )
    reasons = [
        drop_reason(dict(row), int(length), run.selection.filters, dict(drops))
        for row, length in zip(rows, num_chars, strict=True)
    ]
    return ScoreColumns(
        trace_ids=np.array(traces.column("trace_id").to_pylist()),
        prompt_ids=np.array(traces.column("prompt_id").to_pylist()),
        num_chars=num_chars.astype(np.int64),
        correct=np.array([graded(row["correct"]) for row in rows], np.int8),
        eligible=np.array([reason is None for reason in reasons], np.bool_),
        teacher_known=known,
        offsets=offsets,
        sentence_chars=chars.astype(np.int64),
        roles={role: _role(table, offsets) for role, table in tables.items()},
    )


def _offsets(lists: pa.ListArray) -> NDArray[np.int64]:
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _role(table: pa.Table, offsets: NDArray[np.int64]) -> RoleScores:
    sums = _flat(table, "sum_logprob", offsets)
    if sums is None:
        raise StoreError("scores without sum_logprob: delete the run's folder in scores/ and rerun")
    tokens = _flat(table, "num_tokens", offsets)
    return RoleScores(
        sums=sums,
        tokens=np.nan_to_num(sums * 0 if tokens is None else tokens).astype(np.int64),
        first=_flat(table, "first_logprob", offsets),
        ranks=_flat(table, "sum_rank", offsets),
        briers=_flat(table, "sum_brier", offsets),
    )


def _flat(table: pa.Table, name: str, offsets: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """A list column's values, NaN for null; traces without a list (pruned) are NaN throughout.

    None if no trace has a list: the signal was not measured.
    """
    column = table.column(name).combine_chunks()
    if column.null_count == len(column) and name not in ("sum_logprob", "num_tokens"):
        return None
    values = column.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    if column.null_count == 0:
        return values
    filled = np.full(int(offsets[-1]), np.nan)
    there = np.repeat(column.is_valid().to_numpy(zero_copy_only=False), np.diff(offsets))
    filled[there] = values
    return filled
