"""Classes by position in the trace, for right and for wrong answers: counts that add up, and a sample.

As in the paper's figures of provenance against correctness: at sentence position j, the share of all j-th
sentences that have a class, among traces that end in a right answer and among those that end in a wrong one.
Such shares correlate with correctness; they do not say that the sentences cause it: a hard problem can have
both more of a class and more wrong answers. Few traces are long, so late positions rest on few of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.prompt_groups import PromptGroups, by_prompt
from rdpt_ray.method.provenance import NAMES
from rdpt_ray.method.score_columns import CORRECT, WRONG, ScoreColumns

GROUPS = ("wrong", "correct")
"""Indexed by the values of `ScoreColumns.correct`."""

MAX_POSITIONS = 200

SAMPLE = 2000
"""Traces kept to draw from, of whole prompts: those with the smallest prompt_id, which is a hash, so they are
a uniform sample; the last prompt kept is the one that completes this number, and of none are more kept."""

LETTERS = "TSHBC-"
"""The class of a sentence in a sample by its code: Teacher, Student, sHared, Boosted, Common, none."""

NUM_CODES = len(NAMES)

Sample = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""prompt_id -> its wrong and its right traces, each as one of `LETTERS` for each of its first
`MAX_POSITIONS` sentences."""


def _no_counts() -> NDArray[np.int64]:
    return np.zeros((len(GROUPS), NUM_CODES, MAX_POSITIONS), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Correctness:
    """Sentences by correctness, class and position; add those of two buckets to merge them."""

    counts: NDArray[np.int64] = field(default_factory=_no_counts)
    """[groups, codes, positions]; the last code is the sentence without a class."""
    sample: Sample = field(default_factory=Sample)
    prompts: int = 0
    """Prompts that the counted traces answer; the sample holds some of them, or all."""
    ungraded: int = 0
    """Traces of which it is not known whether the answer is right; in no group."""
    teacher_missing: int = 0
    """Graded traces that the teacher has not read to the end; in no group."""

    def __add__(self, other: "Correctness") -> "Correctness":
        return Correctness(
            self.counts + other.counts,
            _first({**self.sample, **other.sample}),
            self.prompts + other.prompts,
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
            "sample": {
                prompt: [list(texts) for texts in groups] for prompt, groups in self.sample.items()
            },
            "prompts": self.prompts,
            "ungraded": self.ungraded,
            "teacher_missing": self.teacher_missing,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Correctness":
        """The inverse of `to_dict`."""
        counts = _no_counts()
        known = np.array(values["counts"], dtype=np.int64)
        counts[:, :, : known.shape[2]] = known
        kept: dict[str, Any] | list[dict[str, str]] = values["sample"]
        if isinstance(kept, list):
            return cls(
                counts, *_without_prompts(kept), values["ungraded"], values["teacher_missing"]
            )
        sample = {prompt: (tuple(wrong), tuple(right)) for prompt, (wrong, right) in kept.items()}
        return cls(counts, sample, values["prompts"], values["ungraded"], values["teacher_missing"])


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
        columns: Traces and their scores; no prompt may be cut in two.
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
    groups = by_prompt(columns, counted & (columns.num_sentences > 0))
    return Correctness(
        counts=np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape),
        sample=_sample(columns, codes, groups),
        prompts=len(groups.sizes),
        ungraded=int(np.count_nonzero(~graded)),
        teacher_missing=int(np.count_nonzero(graded & ~columns.teacher_known)),
    )


def _sample(columns: ScoreColumns, codes: NDArray[np.int8], groups: PromptGroups) -> Sample:
    """The prompts with the smallest ids, with all their traces as letters."""
    alphabet = np.array(list(LETTERS))
    sample: Sample = {}
    for start, stop in pairwise(groups.starts.tolist()):
        if start >= SAMPLE:
            break
        texts: tuple[list[str], list[str]] = ([], [])
        for row in groups.rows[start : min(stop, start + SAMPLE)].tolist():
            own = codes[columns.offsets[row] : columns.offsets[row + 1]][:MAX_POSITIONS]
            texts[columns.correct[row]].append("".join(alphabet[own]))
        wrong, right = texts
        sample[str(columns.prompt_ids[groups.rows[start]])] = (tuple(wrong), tuple(right))
    return sample


def _first(sample: Sample) -> Sample:
    """The prompts with the smallest ids, until their traces are enough.

    Adding up does not depend on the order: what one of the parts dropped comes after enough traces of its
    own, and so does everything behind it.
    """
    kept: Sample = {}
    traces = 0
    for prompt in sorted(sample):
        if traces >= SAMPLE:
            break
        kept[prompt] = sample[prompt]
        traces += sum(map(len, sample[prompt]))
    return kept


def _without_prompts(groups: Sequence[Mapping[str, str]]) -> tuple[Sample, int]:
    """The sample of a version that kept traces without their prompts: each stands for one of its own."""
    wrong, right = groups
    sample: Sample = {trace_id: ((text,), ()) for trace_id, text in wrong.items()}
    sample |= {trace_id: ((), (text,)) for trace_id, text in right.items()}
    return sample, len(sample)
