"""Scores to provenance and selection, bucket by bucket; every input row ends in exactly one table.

A bucket holds all candidates of its prompts, so its outcome is a pure function of its ledger, its parts
and their scores: no shuffle, and the same bytes whatever the order and the number of workers.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from rdpt_ray.config import ThresholdsConfig
from rdpt_ray.method.provenance import NAMES, classify_codes, sentence_prob
from rdpt_ray.method.selection import Candidate, RoleScores, policy_named, rank_candidates
from rdpt_ray.method.summary import Example, Point, Summary
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.selection_config import FiltersConfig, SelectionConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.schemas import CONTENT, PROVENANCE, QUARANTINE, SELECTED
from rdpt_ray.storage.scores import read_scores


@dataclass(frozen=True, slots=True)
class Selection:
    """What the stage needs to know; the same for every bucket."""

    store: Root
    dataset: str
    run: str
    """The run's folder, relative to the store."""
    model_keys: dict[str, str]
    """Role -> model-key; with `distilled`, provenance is four-way."""
    thresholds: ThresholdsConfig
    selection: SelectionConfig | None
    """None: keep every trace (`rdpt trace`)."""
    num_examples: int


def select(buckets: list[IngestedBucket], job: Selection) -> Iterator[Summary]:
    """Run the stage.

    Args:
        buckets: What ingestion left.
        job: What to do with each.

    Yields:
        One summary per bucket, in any order; its tables are committed by then.
    """
    items = ray.data.from_items(
        [{"bucket": json.dumps(asdict(bucket))} for bucket in buckets],
        override_num_blocks=len(buckets),
    )
    body: Any = partial(select_buckets, job=job)
    summaries = items.map_batches(body, batch_size=1, num_cpus=1)
    for row in summaries.iter_rows():
        yield Summary.from_dict(json.loads(row["summary"]))


def select_buckets(batch: dict[str, Any], *, job: Selection) -> dict[str, list[str]]:
    """Body of the tasks: one bucket to its tables and its summary, both as JSON."""
    buckets = [IngestedBucket(**json.loads(text)) for text in batch["bucket"]]
    summaries = [select_bucket(bucket, job) for bucket in buckets]
    return {"summary": [json.dumps(summary.to_dict()) for summary in summaries]}


@dataclass(frozen=True, slots=True)
class _Scored:
    """One trace with its row's facts, its scores under each role and its classes."""

    row: dict[str, Any]
    scores: dict[str, RoleScores]
    probs: dict[str, NDArray[np.float64]]
    classes: NDArray[np.int8]

    def candidate(self) -> Candidate:
        return Candidate(
            trace_id=self.row["trace_id"],
            num_chars=len(self.row["response"]),
            classes=self.classes,
            teacher=self.scores["teacher"],
            student=self.scores["student"],
        )


def select_bucket(bucket: IngestedBucket, job: Selection) -> Summary:
    """Classify and select one bucket, write its tables, and summarise it.

    Args:
        bucket: Which one, and the parts its traces lie in.
        job: How.

    Returns:
        Counts that add up: rows_read = selected + rejected + quarantined.
    """
    ledger = job.store.read_table(f"{job.run}/rows/bucket={bucket.bucket:04d}.parquet").to_pylist()
    quarantine = [
        {**row, "trace_id": None, "stage": "ingest"} for row in ledger if row["reason"] is not None
    ]
    rows = {row["trace_id"]: row for row in ledger if row["reason"] is None}
    scored: list[_Scored] = []
    for trace, scores in _read_parts(bucket, rows, job):
        fault = _fault(scores)
        if fault is None:
            scored.append(_classified(trace, scores, job.thresholds))
        else:
            quarantine.append({**trace, **fault, "stage": "score"})
    outcome = _select_prompts(scored, job.selection)
    _write_tables(bucket.bucket, scored, outcome, quarantine, job)
    return _summarise(bucket, scored, outcome, quarantine, job.num_examples)


def _read_parts(
    bucket: IngestedBucket, rows: dict[str, dict[str, Any]], job: Selection
) -> Iterator[tuple[dict[str, Any], dict[str, dict[str, Any]]]]:
    """Every trace of the run in the bucket: its content and facts, and role -> its scores.

    Two runs that ingest at once can store a trace in two parts; it is taken from the first that holds it.
    """
    left = dict(rows)
    content = [field.name for field in CONTENT]
    for key in sorted(bucket.parts):
        name = f"{bucket_folder(job.dataset, bucket.bucket)}/{key}.parquet"
        traces = job.store.read_table(name, columns=content).to_pylist()
        trace_ids = [trace["trace_id"] for trace in traces]
        by_role = {
            role: read_scores(job.store, model_key, key, trace_ids)
            for role, model_key in job.model_keys.items()
        }
        for index, trace in enumerate(traces):
            row = left.pop(trace["trace_id"], None)
            if row is not None:
                yield {**row, **trace}, {role: table[index] for role, table in by_role.items()}


def _fault(scores: dict[str, dict[str, Any]]) -> dict[str, str] | None:
    """The first role that could not score the trace, as a quarantine reason."""
    for role, score in scores.items():
        if score["error"] is not None:
            reason, _, detail = score["error"].partition(": ")
            return {"reason": reason, "column": role, "detail": detail}
    return None


def _classified(
    trace: dict[str, Any], scores: dict[str, dict[str, Any]], thresholds: ThresholdsConfig
) -> _Scored:
    by_role = {role: _role_scores(score) for role, score in scores.items()}
    probs = {role: sentence_prob(each.sums, each.tokens) for role, each in by_role.items()}
    classes = classify_codes(
        probs["teacher"],
        probs["student"],
        probs.get("distilled"),
        alpha=thresholds.alpha,
        beta=thresholds.beta,
    )
    return _Scored(trace, by_role, probs, classes)


def _role_scores(score: dict[str, Any]) -> RoleScores:
    def values(column: str) -> NDArray[np.float64] | None:
        return None if score[column] is None else np.array(score[column], dtype=np.float64)

    return RoleScores(
        sums=np.array(score["sum_logprob"], dtype=np.float64),
        tokens=np.array(score["num_tokens"], dtype=np.int64),
        first=values("first_logprob"),
        ranks=values("sum_rank"),
        briers=values("sum_brier"),
    )


def failed_filter(row: dict[str, Any], filters: FiltersConfig) -> str | None:
    """The name of the first filter that a trace fails, as its drop_reason."""
    length = len(row["response"])
    checks = [
        ("complete", filters.complete is None or row["complete"] is filters.complete),
        ("correct", filters.correct is None or row["correct"] is filters.correct),
        ("min_chars", filters.min_chars is None or length >= filters.min_chars),
        ("max_chars", filters.max_chars is None or length <= filters.max_chars),
        ("licenses", filters.licenses is None or row["license"] in filters.licenses),
    ]
    return next((f"filter: {name}" for name, passes in checks if not passes), None)


def _select_prompts(
    scored: Sequence[_Scored], selection: SelectionConfig | None
) -> dict[str, dict[str, Any]]:
    """trace_id -> its columns of the schema's SELECTION part."""
    outcome: dict[str, dict[str, Any]] = {}
    if selection is None:
        for item in scored:
            outcome[item.row["trace_id"]] = _outcome(item, None, None, drop_reason=None)
        return outcome
    policy = policy_named(selection.policy, seed=selection.seed)
    by_id = {item.row["trace_id"]: item for item in scored}
    for _, group in groupby(sorted(scored, key=_prompt), key=_prompt):
        eligible: list[Candidate] = []
        for item in group:
            dropped = failed_filter(item.row, selection.filters)
            if dropped is None:
                eligible.append(item.candidate())
            else:
                outcome[item.row["trace_id"]] = _outcome(item, None, None, drop_reason=dropped)
        for ranked in rank_candidates(eligible, policy, per_prompt=selection.per_prompt):
            outcome[ranked.trace_id] = _outcome(
                by_id[ranked.trace_id],
                ranked.selection_score,
                ranked.rank,
                drop_reason=ranked.drop_reason,
            )
    return outcome


def _prompt(item: _Scored) -> str:
    return item.row["prompt_id"]


def _outcome(
    item: _Scored, score: float | None, rank: int | None, *, drop_reason: str | None
) -> dict[str, Any]:
    return {
        "num_sentences": len(item.classes),
        "num_teacher": item.candidate().num_teacher,
        "selection_score": score,
        "rank": rank,
        "selected": drop_reason is None,
        "drop_reason": drop_reason,
    }


def _write_tables(
    bucket: int,
    scored: list[_Scored],
    outcome: dict[str, dict[str, Any]],
    quarantine: list[dict[str, Any]],
    job: Selection,
) -> None:
    """The bucket's share of the run's four tables, each in a fixed order; empty ones are written too."""
    by_candidate = sorted(scored, key=lambda item: (item.row["prompt_id"], item.row["candidate"]))
    rows = [{**item.row, **outcome[item.row["trace_id"]]} for item in by_candidate]
    tables = {
        "provenance": _table([_provenance_row(item) for item in by_candidate], PROVENANCE),
        "selected": _table([row for row in rows if row["selected"]], SELECTED),
        "rejected": _table([row for row in rows if not row["selected"]], SELECTED),
        "quarantine": _table(
            sorted(quarantine, key=lambda row: (row["file"], row["row"] is None, row["row"])),
            QUARANTINE,
        ),
    }
    for folder, table in tables.items():
        job.store.write_table(f"{job.run}/{folder}/bucket={bucket:04d}.parquet", table)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def _provenance_row(item: _Scored) -> dict[str, Any]:
    row = {name: item.row[name] for name in ("trace_id", "prompt_id", "candidate", "sentences")}
    row["provenance"] = _names(item)
    for role, probs in item.probs.items():
        row[f"{role}_prob"] = _values(probs)
    return row


def _names(item: _Scored) -> list[str | None]:
    return [None if name is None else str(name) for name in NAMES[item.classes]]


def _values(probs: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(prob) else float(prob) for prob in probs]


def _summarise(
    bucket: IngestedBucket,
    scored: list[_Scored],
    outcome: dict[str, dict[str, Any]],
    quarantine: list[dict[str, Any]],
    num_examples: int,
) -> Summary:
    summary = Summary(num_examples=num_examples)
    summary.rows_read = bucket.num_rows
    summary.quarantined = len(quarantine)
    summary.num_prompts = len({item.row["prompt_id"] for item in scored})
    for row in quarantine:
        summary.quarantine_reasons[f"{row['stage']}: {row['reason']}"] += 1
    for item in scored:
        result = outcome[item.row["trace_id"]]
        if result["selected"]:
            summary.selected += 1
        else:
            summary.rejected += 1
            summary.drop_reasons[result["drop_reason"]] += 1
        summary.add_trace(item.classes, _point(item, result), _example(item, result))
    return summary.finished()


def _point(item: _Scored, result: dict[str, Any]) -> Point:
    return Point(
        trace_id=item.row["trace_id"],
        num_chars=len(item.row["response"]),
        num_sentences=result["num_sentences"],
        num_teacher=result["num_teacher"],
        selected=result["selected"],
    )


def _example(item: _Scored, result: dict[str, Any]) -> Example:
    users = [message["content"] for message in item.row["messages"] if message["role"] == "user"]
    return Example(
        trace_id=item.row["trace_id"],
        prompt=users[-1] if users else item.row["messages"][-1]["content"],
        response=item.row["response"],
        sentences=[(span["start"], span["end"]) for span in item.row["sentences"]],
        classes=_names(item),
        teacher_prob=_values(item.probs["teacher"]),
        student_prob=_values(item.probs["student"]),
        distilled_prob=_values(item.probs["distilled"]) if "distilled" in item.probs else None,
        num_teacher=result["num_teacher"],
        selected=result["selected"],
        reference_answer=item.row["reference_answer"],
    )
