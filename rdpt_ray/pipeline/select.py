"""Scores to provenance and selection, bucket by bucket; every input row ends in exactly one table.

A bucket holds all candidates of its prompts, so its outcome is a pure function of its ledger, its parts
and their scores: no shuffle, and the same bytes whatever the order and the number of workers. Only a budget
over the whole dataset looks further: buckets say what they would select, the driver finds where the budget
ends, and that key is part of every bucket's job.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from rdpt_ray.config import ThresholdsConfig
from rdpt_ray.method.auto_beta import DifferenceHistogram, prompt_folds
from rdpt_ray.method.budget import Cut, Entry
from rdpt_ray.method.budget_search import Look, Seen, find_cut, see
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.policies import drawn
from rdpt_ray.method.provenance import NAMES
from rdpt_ray.method.pruning import PRUNED
from rdpt_ray.method.selection import policy_named, rank_candidates
from rdpt_ray.method.summary import Summary
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.roles import TEACHER
from rdpt_ray.pipeline.scored_bucket import ScoredRun, ScoredTrace, columns_of, read_bucket
from rdpt_ray.pipeline.summarise import nullable, summarise
from rdpt_ray.pipeline.unchanged import Rounds, made_of, remember, taken_over
from rdpt_ray.selection_config import FiltersConfig, SelectionConfig, VerifyConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.schemas import PROVENANCE, QUARANTINE, SELECTED

OVER_BUDGET = "over_budget"

Outcome = dict[str, Any]
"""A trace's columns of the schema's SELECTION part."""


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
    verify: VerifyConfig | None = None
    """How answers were verified, if they were."""
    cut: Cut | None = None
    """Where the budget ends; None without one."""
    rounds: Rounds | None = None
    """For a round of a schedule; None: every bucket is made."""

    @property
    def scored(self) -> ScoredRun:
        """Where its traces and scores lie."""
        return ScoredRun(
            store=self.store,
            dataset=self.dataset,
            ledger=Ledger(self.store, self.run, self.verify),
            model_keys=self.model_keys,
            thresholds=self.thresholds,
            filters=FiltersConfig() if self.selection is None else self.selection.filters,
        )


def select(buckets: list[IngestedBucket], job: Selection) -> Iterator[tuple[Summary, bool]]:
    """Run the stage.

    Args:
        buckets: What ingestion left.
        job: What to do with each.

    Yields:
        One summary per bucket, in any order, and whether it is as the round before left it; its tables are
        committed by then.
    """
    for text in _over(buckets, partial(_selected, job=job)):
        told = json.loads(text)
        yield Summary.from_dict(told["summary"]), told["is_taken_over"]


def _selected(bucket: IngestedBucket, *, job: Selection) -> str:
    rounds, digest = job.rounds, None
    if rounds is not None:
        # Where the budget ends, not how many tokens it came to.
        told = [rounds.settings, job.cut is not None, job.cut and job.cut.last, job.thresholds.beta]
        digest = made_of(bucket, job.scored.ledger, job.model_keys, told)
        if digest is not None and rounds.earlier is not None:
            taken = taken_over(bucket.bucket, job.store, rounds.earlier, job.run, digest)
            if taken is not None:
                return json.dumps({"summary": taken.to_dict(), "is_taken_over": True})
    summary = select_bucket(bucket, job)
    if rounds is not None:
        remember(bucket.bucket, job.store, job.run, digest, summary)
    return json.dumps({"summary": summary.to_dict(), "is_taken_over": False})


def within_budget(buckets: list[IngestedBucket], job: Selection) -> Selection:
    """The job with the key at which its budget ends; the same job where it has none.

    The driver holds a bounded number of traces that would be selected, each with score, lengths and id.
    """
    budget = job.selection.budget if job.selection else None
    if budget is None or (budget.rows is None and budget.tokens is None):
        return job

    def ask(look: Look) -> Seen:
        total = Seen()
        for text in _over(buckets, partial(_seen, job=job, look=look)):
            values = json.loads(text)
            entries = [Entry(**entry) for entry in values.pop("entries")]
            total.add(Seen(**values, entries=entries))
        return total

    num_rows = sum(bucket.num_rows for bucket in buckets)
    cut = find_cut(ask, num_rows, rows=budget.rows, tokens=budget.tokens)
    return replace(job, cut=replace(cut, kept=()))  # workers look at its last key only


def _seen(bucket: IngestedBucket, *, job: Selection, look: Look) -> str:
    """What a look sees of what a bucket would select without a budget, as JSON."""
    scored, _ = read_bucket(bucket, job.scored)
    outcome = choose(scored, job)
    entries = [
        _entry_of(item, outcome[item.row["trace_id"]], job)
        for item in scored
        if _chosen(item, outcome)
    ]
    return json.dumps(asdict(see(entries, look)))


def differences(buckets: list[IngestedBucket], job: Selection) -> DifferenceHistogram:
    """How far apart teacher and student are, over all sentences: what `beta: auto` looks at."""
    total = DifferenceHistogram.empty(DIVERGENCES[job.thresholds.divergence])
    for text in _over(buckets, partial(_differences, job=job)):
        total += DifferenceHistogram.from_dict(json.loads(text))
    return total


def _differences(bucket: IngestedBucket, *, job: Selection) -> str:
    divergence = DIVERGENCES[job.thresholds.divergence]
    # Classes are not looked at, but reading a bucket makes them.
    thresholds = job.thresholds.model_copy(update={"beta": divergence.beta})
    scored, _ = read_bucket(bucket, replace(job.scored, thresholds=thresholds))
    found = DifferenceHistogram.empty(divergence)
    if scored:
        columns = columns_of(scored)
        teacher, student = (columns.values(role, divergence) for role in (TEACHER, "student"))
        folds = columns.per_sentence(prompt_folds(columns.prompt_ids))
        found += DifferenceHistogram.of(teacher, student, divergence, folds)
    return json.dumps(found.to_dict())


def _over(buckets: list[IngestedBucket], body: Callable[[IngestedBucket], str]) -> Iterator[str]:
    """What a function makes of every bucket, in tasks, in any order."""
    items = ray.data.from_items(
        [{"bucket": json.dumps(asdict(bucket))} for bucket in buckets],
        override_num_blocks=len(buckets),
    )
    each: Any = partial(_each, body=body)
    for row in items.map_batches(each, batch_size=1, num_cpus=1).iter_rows():
        yield row["text"]


def _each(batch: dict[str, Any], *, body: Callable[[IngestedBucket], str]) -> dict[str, list[str]]:
    return {"text": [body(IngestedBucket(**json.loads(text))) for text in batch["bucket"]]}


def select_bucket(bucket: IngestedBucket, job: Selection) -> Summary:
    """Classify and select one bucket, write its tables, and summarise it.

    Args:
        bucket: Which one, and the parts its traces lie in.
        job: How.

    Returns:
        Counts that add up: rows_read = selected + rejected + quarantined.
    """
    scored, quarantine = read_bucket(bucket, job.scored)
    outcome = choose(scored, job)
    _write_tables(bucket.bucket, scored, outcome, quarantine, job)
    summary = summarise(
        scored,
        outcome,
        job.thresholds,
        num_examples=job.num_examples,
        seed=job.selection.seed if job.selection else 0,
        selects=job.selection is not None,
    )
    summary.rows_read = bucket.num_rows
    summary.quarantined = len(quarantine)
    for row in quarantine:
        summary.quarantine_reasons[f"{row['stage']}: {row['reason']}"] += 1
    return summary.finished()


def choose(scored: Sequence[ScoredTrace], job: Selection) -> dict[str, Outcome]:
    """trace_id -> what became of the trace."""
    selection = job.selection
    if selection is None:
        return {item.row["trace_id"]: _outcome(item, None) for item in scored}
    policy = policy_named(selection.policy, seed=selection.seed)
    by_id = {item.row["trace_id"]: item for item in scored}
    outcome: dict[str, Outcome] = {}
    for _, group in groupby(sorted(scored, key=_prompt), key=_prompt):
        eligible: list[ScoredTrace] = []
        for item in group:
            reason = item.drop_reason or (PRUNED if item.is_pruned else None)
            if reason is None:
                eligible.append(item)
            else:
                outcome[item.row["trace_id"]] = _outcome(item, reason)
        ranking = rank_candidates(
            [item.candidate() for item in eligible],
            policy,
            per_prompt=selection.per_prompt,
            min_score=selection.min_score,
        )
        for ranked in ranking:
            outcome[ranked.trace_id] = _outcome(
                by_id[ranked.trace_id], ranked.drop_reason, ranked.selection_score, ranked.rank
            )
    for item in scored if job.cut else ():
        result = outcome[item.row["trace_id"]]
        if result["selected"] and job.cut and not job.cut.keeps(_entry_of(item, result, job).key):
            result.update(selected=False, drop_reason=OVER_BUDGET)
    return outcome


def _prompt(item: ScoredTrace) -> str:
    return item.row["prompt_id"]


def _outcome(
    item: ScoredTrace, reason: str | None, score: float | None = None, rank: int | None = None
) -> Outcome:
    return {
        "num_sentences": len(item.classes),
        "num_teacher": None if item.is_pruned else item.candidate().num_teacher,
        "selection_score": None if score is None or np.isnan(score) else score,
        "rank": rank,
        "selected": reason is None,
        "drop_reason": reason,
    }


def _chosen(item: ScoredTrace, outcome: dict[str, Outcome]) -> bool:
    return outcome[item.row["trace_id"]]["selected"]


def _entry_of(item: ScoredTrace, result: Outcome, job: Selection) -> Entry:
    selection = job.selection
    number = result["selection_score"]
    if selection is not None and selection.budget.order == "prompts":
        number = drawn(_prompt(item), selection.seed)
    return Entry(
        number,
        result["num_sentences"],
        item.row["trace_id"],
        item.candidate().num_tokens,
    )


def _write_tables(
    bucket: int,
    scored: list[ScoredTrace],
    outcome: dict[str, Outcome],
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
        "quarantine": _table(sorted(quarantine, key=_place), QUARANTINE),
    }
    for folder, table in tables.items():
        job.store.write_table(f"{job.run}/{folder}/bucket={bucket:04d}.parquet", table)


def _place(row: dict[str, Any]) -> tuple[str, bool, int, int]:
    """Where a row came from, as it sorts; of a whole file's fault there is no row."""
    return (row["file"], row["row"] is None, row["row"] or 0, row["item"] or 0)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def _provenance_row(item: ScoredTrace) -> dict[str, Any]:
    row = {name: item.row[name] for name in ("trace_id", "prompt_id", "candidate", "sentences")}
    if not item.is_pruned:
        row["provenance"] = [None if name is None else str(name) for name in NAMES[item.classes]]
    for role in (TEACHER, "student", "distilled"):
        if role in item.probs:
            row[f"{role}_prob"] = nullable(item.probs[role])
    return row
