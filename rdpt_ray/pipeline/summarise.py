"""What a bucket's traces came to, in counts that add up over buckets (`method.summary`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.config import ThresholdsConfig
from rdpt_ray.method.comparison import compare
from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.method.provenance import NAMES
from rdpt_ray.method.sensitivity import sweep
from rdpt_ray.method.summary import Example, Point, Summary
from rdpt_ray.pipeline.roles import TEACHER
from rdpt_ray.pipeline.scored_bucket import ScoredTrace, columns_of


def summarise(
    scored: Sequence[ScoredTrace],
    outcome: Mapping[str, Mapping[str, Any]],
    thresholds: ThresholdsConfig,
    *,
    num_examples: int,
    seed: int,
    selects: bool,
) -> Summary:
    """Count a bucket's traces.

    Args:
        scored: All of them; no prompt's candidates may lie in two buckets.
        outcome: trace_id -> what became of it.
        thresholds: With a number for beta.
        num_examples: How many to show at either end.
        seed: Of the policy `random`, in the comparison of policies.
        selects: Whether the run selects; else policies are not compared.
    """
    summary = Summary(num_examples=num_examples)
    summary.num_prompts = len({item.row["prompt_id"] for item in scored})
    for item in scored:
        result = outcome[item.row["trace_id"]]
        summary.chars_to_read += len(item.row["response"])
        summary.chars_unread += item.unread_chars
        if result["selected"]:
            summary.selected += 1
        else:
            summary.rejected += 1
            summary.drop_reasons[result["drop_reason"]] += 1
        if item.is_pruned:
            summary.pruned += 1
            continue
        summary.add_trace(item.classes, _point(item, result), _example(item, result))
    if scored:
        columns = columns_of(scored)
        beta = float(thresholds.beta)
        settings: dict[str, Any] = {
            "divergence": thresholds.divergence,
            "alpha": thresholds.alpha,
            "beta": beta,
        }
        summary.sensitivity = sweep(columns, **settings)
        if selects:
            summary.comparison = compare(columns, **settings, seed=seed)
        summary.correctness = count_correctness(columns, **settings)
    return summary


def _point(item: ScoredTrace, result: Mapping[str, Any]) -> Point:
    return Point(
        trace_id=item.row["trace_id"],
        num_chars=len(item.row["response"]),
        num_sentences=result["num_sentences"],
        num_teacher=result["num_teacher"],
        selected=result["selected"],
    )


def _example(item: ScoredTrace, result: Mapping[str, Any]) -> Example:
    users = [message["content"] for message in item.row["messages"] if message["role"] == "user"]
    return Example(
        trace_id=item.row["trace_id"],
        prompt=users[-1] if users else item.row["messages"][-1]["content"],
        response=item.row["response"],
        sentences=[(span["start"], span["end"]) for span in item.row["sentences"]],
        classes=[None if name is None else str(name) for name in NAMES[item.classes]],
        teacher_prob=nullable(item.probs[TEACHER]),
        student_prob=nullable(item.probs["student"]),
        distilled_prob=nullable(item.probs["distilled"]) if "distilled" in item.probs else None,
        num_teacher=result["num_teacher"],
        selected=result["selected"],
        reference_answer=item.row["reference_answer"],
    )


def nullable(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers for a table: null in the place of NaN."""
    return [None if np.isnan(value) else float(value) for value in values]
