"""Classes by position in the trace, for right and for wrong answers: counts that add up, and a sample.

As in the paper's figures of provenance against correctness: at sentence position j, the share of all j-th
sentences that have a class, among traces that end in a right answer and among those that end in a wrong one.
Such shares correlate with correctness; they do not say that the sentences cause it: a hard problem can have
both more of a class and more wrong answers. Few traces are long, so late positions rest on few of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import NAMES
from rdpt_ray.method.score_columns import CORRECT, WRONG, ScoreColumns

GROUPS = ("wrong", "correct")
"""Indexed by the values of `ScoreColumns.correct`."""

MAX_POSITIONS = 200

SAMPLE = 1000
"""Traces kept of each group, those with the smallest trace_id: ids are hashes, so the sample is uniform."""

LETTERS = "TSHBC-"
"""The class of a sentence in a sample by its code: Teacher, Student, sHared, Boosted, Common, none."""

NUM_CODES = len(NAMES)


def _no_counts() -> NDArray[np.int64]:
    return np.zeros((len(GROUPS), NUM_CODES, MAX_POSITIONS), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Correctness:
    """Sentences by correctness, class and position; add those of two buckets to merge them."""

    counts: NDArray[np.int64] = field(default_factory=_no_counts)
    """[groups, codes, positions]; the last code is the sentence without a class."""
    sample: tuple[dict[str, str], dict[str, str]] = ({}, {})
    """Per group: trace_id -> one of `LETTERS` for each of its first `MAX_POSITIONS` sentences."""
    ungraded: int = 0
    """Traces of which it is not known whether the answer is right; in no group."""
    teacher_missing: int = 0
    """Graded traces that the teacher has not read to the end; in no group."""

    def __add__(self, other: "Correctness") -> "Correctness":
        wrong, correct = (
            _smallest({**mine, **theirs})
            for mine, theirs in zip(self.sample, other.sample, strict=True)
        )
        return Correctness(
            self.counts + other.counts,
            (wrong, correct),
            self.ungraded + other.ungraded,
            self.teacher_missing + other.teacher_missing,
        )

    @property
    def reach(self) -> NDArray[np.int64]:
        """[groups, positions] traces that have a sentence there; never more than at the position before."""
        return self.counts.sum(axis=1)

    @property
    def traces(self) -> tuple[int, int]:
        """Traces with a sentence: wrong, correct."""
        wrong, correct = self.reach[:, 0].tolist()
        return wrong, correct

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; positions that no trace reaches are cut off."""
        end = int(np.count_nonzero(self.reach.sum(axis=0)))
        return {
            "counts": self.counts[:, :, :end].tolist(),
            "sample": [dict(sample) for sample in self.sample],
            "ungraded": self.ungraded,
            "teacher_missing": self.teacher_missing,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Correctness":
        """The inverse of `to_dict`."""
        counts = _no_counts()
        known = np.array(values["counts"], dtype=np.int64)
        counts[:, :, : known.shape[2]] = known
        wrong, correct = values["sample"]
        return cls(counts, (wrong, correct), values["ungraded"], values["teacher_missing"])


def count_correctness(
    columns: ScoreColumns,
    *,
    divergence: str = "prob_difference",
    alpha: float = 0.1,
    beta: float = 0.1,
) -> Correctness:
    """Count classes by position.

    All traces of known correctness count, eligible or not: a filter for right answers would leave nothing to
    compare.

    Args:
        columns: Traces and their scores.
        divergence: A key of `DIVERGENCES`.
        alpha: Of the classes.
        beta: Of the classes.
    """
    codes = columns.classes(DIVERGENCES[divergence], alpha=alpha, beta=beta)
    graded = (columns.correct == WRONG) | (columns.correct == CORRECT)
    counted = graded & columns.teacher_known
    starts = columns.per_sentence(columns.offsets[:-1])
    places = np.arange(len(codes)) - starts
    within = columns.per_sentence(counted) & (places < MAX_POSITIONS)
    group = columns.per_sentence(columns.correct)[within].astype(np.int64)
    cell = (group * NUM_CODES + codes[within] % NUM_CODES) * MAX_POSITIONS + places[within]
    shape = (len(GROUPS), NUM_CODES, MAX_POSITIONS)
    wrong, correct = (
        _sample(columns, codes, np.flatnonzero(counted & (columns.correct == group)))
        for group in (WRONG, CORRECT)
    )
    return Correctness(
        counts=np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape),
        sample=(wrong, correct),
        ungraded=int(np.count_nonzero(~graded)),
        teacher_missing=int(np.count_nonzero(graded & ~columns.teacher_known)),
    )


def _sample(
    columns: ScoreColumns, codes: NDArray[np.int8], rows: NDArray[np.int64]
) -> dict[str, str]:
    """The traces with the smallest ids among some, as letters; one without a sentence says nothing."""
    rows = rows[columns.num_sentences[rows] > 0]
    alphabet = np.array(list(LETTERS))
    return {
        str(columns.trace_ids[row]): "".join(
            alphabet[codes[columns.offsets[row] : columns.offsets[row + 1]][:MAX_POSITIONS]]
        )
        for row in rows[np.argsort(columns.trace_ids[rows])[:SAMPLE]].tolist()
    }


def _smallest(sample: Mapping[str, str]) -> dict[str, str]:
    return {trace_id: sample[trace_id] for trace_id in nsmallest(SAMPLE, sample)}
