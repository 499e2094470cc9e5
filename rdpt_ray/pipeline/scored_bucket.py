"""One bucket of a run, read back: its traces with what every model said of them, and its faults."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.config import Role, ThresholdsConfig
from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import classify_codes, sentence_prob
from rdpt_ray.method.score_columns import CORRECT, UNKNOWN, WRONG, ScoreColumns, joined
from rdpt_ray.pipeline.eligible import Ledger, Row, drop_reason
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.roles import TEACHER, is_teacher, teacher_of
from rdpt_ray.pipeline.score_rows import role_scores, sentence_chars
from rdpt_ray.selection_config import FiltersConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.part_checks import read_content
from rdpt_ray.storage.scores import Scores, is_pruned, read_scores

NO_TEACHER = "no_teacher"


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """Where a run's traces and their scores lie; the same for every bucket."""

    store: Root
    dataset: str
    ledger: Ledger
    model_keys: dict[Role, str]
    """Role -> model-key; with `distilled`, provenance is four-way."""
    thresholds: ThresholdsConfig
    filters: FiltersConfig


@dataclass(frozen=True, slots=True)
class ScoredTrace:
    """One trace with its row's facts, its scores under each role and its classes."""

    row: Row
    """Columns of ROWS and CONTENT; `correct` as verified."""
    drop_reason: str | None
    """Why it may not be selected, before any policy."""
    scores: dict[Role, RoleScores]
    """By student, teacher, unprompted, distilled; without teacher where that did not read all of it."""
    probs: dict[Role, NDArray[np.float64]]
    """[sentences] probability under each of them."""
    classes: NDArray[np.int8]
    """[sentences] codes of `method.provenance`; all -1 without a teacher."""
    unread_chars: int = 0
    """Characters that the teacher did not read on purpose."""

    @property
    def is_pruned(self) -> bool:
        """Whether the teacher did not read it to its end on purpose."""
        return TEACHER not in self.scores

    def candidate(self) -> Candidate:
        """As the policies see it."""
        num_sentences = len(self.classes)
        return Candidate(
            trace_id=self.row["trace_id"],
            num_chars=len(self.row["response"]),
            classes=self.classes,
            teacher=self.scores.get(TEACHER) or RoleScores.unread(num_sentences),
            student=self.scores["student"],
            unprompted=self.scores.get("unprompted"),
        )


def read_bucket(
    bucket: IngestedBucket, run: ScoredRun
) -> tuple[list[ScoredTrace], list[dict[str, Any]]]:
    """Every trace of a bucket, and every row that is quarantined, of the schema QUARANTINE.

    Args:
        bucket: Which one, and the parts its traces lie in.
        run: Where everything lies.

    Raises:
        DamagedError: naming the file, if one is not what its name says. Nobody has looked before: a start
            looks only at what models have yet to read.
        StoreError: naming the file, if one is missing.
    """
    ledger = run.ledger.rows(bucket.bucket)
    quarantine = [
        {**row, "trace_id": None, "stage": "ingest"} for row in ledger if row["reason"] is not None
    ]
    drops = run.ledger.drops(bucket.bucket)
    rows = {row["trace_id"]: row for row in ledger if row["reason"] is None}
    scored: list[ScoredTrace] = []
    for trace, scores in _read_parts(bucket, rows, run):
        fault = _fault(trace, scores, run)
        if fault is None:
            dropped = drop_reason(trace, len(trace["response"]), run.filters, drops)
            scored.append(_classified(trace, scores, dropped, run))
        else:
            quarantine.append({**trace, **fault, "stage": "score"})
    return scored, quarantine


def _read_parts(
    bucket: IngestedBucket, rows: dict[str, Row], run: ScoredRun
) -> Iterator[tuple[Row, dict[Role, Scores]]]:
    """Every trace of the run in the bucket: its content and facts, and role -> its scores.

    Two runs that ingest at once can store a trace in two parts; it is taken from the first that holds it.
    """
    left = dict(rows)
    for key in sorted(bucket.parts):
        traces = read_content(run.store, run.dataset, bucket.bucket, key).to_pylist()
        trace_ids = [trace["trace_id"] for trace in traces]
        num_sentences = [len(trace["sentences"]) for trace in traces]
        told = run.ledger.with_verdicts(rows, key, trace_ids)
        by_role = {
            role: read_scores(run.store, model_key, key, trace_ids, num_sentences)
            for role, model_key in run.model_keys.items()
        }
        for index, trace in enumerate(traces):
            if left.pop(trace["trace_id"], None) is None:
                continue
            row = {**told[trace["trace_id"]], **trace}
            teacher = teacher_of(row["teacher_name"], run.model_keys)
            yield (
                row,
                {
                    TEACHER if role == teacher else role: table[index]
                    for role, table in by_role.items()
                    if role == teacher or not is_teacher(role)
                },
            )


def _fault(row: Row, scores: dict[Role, Scores], run: ScoredRun) -> dict[str, str] | None:
    """Why a trace could not be scored, as a quarantine reason."""
    if TEACHER not in scores:
        named = ", ".join(sorted(role for role in run.model_keys if is_teacher(role)))
        name = row["teacher_name"]
        detail = (
            f"teacher_name is {name!a}, the models are {named}; models.teacher would read the rest"
        )
        return {"reason": NO_TEACHER, "column": "teacher_name", "detail": detail[:300]}
    for role, score in scores.items():
        if score["error"] is not None and not is_pruned(score):
            reason, _, detail = score["error"].partition(": ")
            return {"reason": reason, "column": role, "detail": detail}
    return None


def _classified(
    row: Row, scores: dict[Role, Scores], dropped: str | None, run: ScoredRun
) -> ScoredTrace:
    chars = sentence_chars(row["sentences"])
    read = {role: role_scores(score) for role, score in scores.items() if not is_pruned(score)}
    probs = {role: sentence_prob(each.sums, each.tokens) for role, each in read.items()}
    if TEACHER not in read:
        nothing = np.full(len(chars), -1, np.int8)
        return ScoredTrace(
            row, dropped, read, probs, nothing, _unread_chars(scores[TEACHER], chars)
        )
    divergence = DIVERGENCES[run.thresholds.divergence]
    values = {role: divergence.values(each.sums, each.tokens, chars) for role, each in read.items()}
    classes = classify_codes(
        values[TEACHER],
        values["student"],
        values.get("distilled"),
        alpha=run.thresholds.alpha,
        beta=float(run.thresholds.beta),
    )
    return ScoredTrace(row, dropped, read, probs, classes)


def _unread_chars(score: Scores, chars: NDArray[np.int64]) -> int:
    if score["num_tokens"] is None:
        return int(chars.sum())
    return int(
        sum(
            length
            for length, count in zip(chars.tolist(), score["num_tokens"], strict=True)
            if count is None
        )
    )


def columns_of(scored: Sequence[ScoredTrace]) -> ScoreColumns:
    """The same traces as flat columns, for the analyses. At least one trace is needed."""
    candidates = [item.candidate() for item in scored]
    roles = {
        TEACHER: joined([candidate.teacher for candidate in candidates]),
        "student": joined([candidate.student for candidate in candidates]),
    }
    for role in ("distilled", "unprompted"):
        if all(role in item.scores for item in scored):
            roles[role] = joined([item.scores[role] for item in scored])
    return ScoreColumns(
        trace_ids=np.array([item.row["trace_id"] for item in scored]),
        prompt_ids=np.array([item.row["prompt_id"] for item in scored]),
        num_chars=np.array([len(item.row["response"]) for item in scored], np.int64),
        correct=np.array([graded(item.row["correct"]) for item in scored], np.int8),
        eligible=np.array([item.drop_reason is None for item in scored], np.bool_),
        teacher_known=np.array([not item.is_pruned for item in scored], np.bool_),
        offsets=np.cumsum([0, *(len(item.classes) for item in scored)]).astype(np.int64),
        sentence_chars=np.concatenate([sentence_chars(item.row["sentences"]) for item in scored]),
        roles=roles,
    )


def graded(correct: bool | None) -> int:
    """Whether an answer is right, as the columns have it."""
    return UNKNOWN if correct is None else CORRECT if correct else WRONG
