"""Exact pruning: which candidates the teacher need not read, because they cannot be selected any more.

The cheap student reads everything first. A probability is at most 1, so a sentence to which the student
gives p_S with (1 - p_S) <= beta can never be TEACHER, and a candidate's Teacher count is at most the number
of its other sentences: its *bound*. Candidates go to the teacher in descending order of bound; once
`per_prompt` of them rank before the best that another could still reach, that other is skipped, and a
candidate that is being read is given up when the same becomes true of it. Ours; docs/method.md has the
conditions under which the selection is the same as after reading everything.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PRUNED = "pruned"
"""Code of the error, and the drop_reason, of a trace that the teacher did not read to its end on purpose."""

Key = tuple[bool, float, int, str]
"""A place in the order of candidates: see `rank_key`; the smallest is the best."""


def rank_key(score: float, num_sentences: int, trace_id: str) -> Key:
    """The order of a prompt's candidates: largest score, then fewer sentences, then smaller trace_id.

    A score that is not a number comes last.
    """
    is_nan = bool(np.isnan(score))
    return (is_nan, 0.0 if is_nan else -score, num_sentences, trace_id)


@dataclass(frozen=True, slots=True)
class Half:
    """What is known of a candidate before the teacher has read all of it. Arrays: one entry per sentence."""

    student: NDArray[np.float64]
    """Values of the divergence under the student; NaN for a sentence without a token."""
    student_sums: NDArray[np.float64]
    """The student's sums of log-probabilities, in nats."""
    num_chars: int
    """Characters of the response."""
    teacher: NDArray[np.float64]
    """Values under the teacher, where `read`."""
    teacher_sums: NDArray[np.float64]
    """The teacher's sums, where `read`."""
    read: NDArray[np.bool_]
    """Sentences that the teacher has read to their end."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What makes a sentence TEACHER."""

    beta: float
    highest: float
    """The largest value that a model can give a sentence (`method.divergence`)."""


Bound = Callable[[Half, Threshold], float]
"""The largest score that a policy can still give a candidate."""


def highest_teacher_count(half: Half, threshold: Threshold) -> float:
    """Teacher sentences read, and all that can still become one.

    The same arithmetic as in `method.provenance`: rounding is monotone, so (p_T - p_S) > beta implies
    (1 - p_S) > beta also in floating point; `p_S < 1 - beta` would not be safe.
    """
    known = (half.teacher - half.student) > threshold.beta
    possible = (threshold.highest - half.student) > threshold.beta
    return float(np.count_nonzero(np.where(half.read, known, possible)))


def highest_teacher_ratio(half: Half, threshold: Threshold) -> float:
    """The same as a share of the sentences."""
    return highest_teacher_count(half, threshold) / max(len(half.student), 1)


def highest_fewest(half: Half, threshold: Threshold) -> float:
    """Minus the Teacher sentences read so far: there may be no more of them."""
    known = (half.teacher - half.student) > threshold.beta
    return float(-np.count_nonzero(half.read & known))


def highest_miniplm_difference(half: Half, threshold: Threshold) -> float:
    """As if the teacher gave every token that it has not read the probability 1; NaN as the policy has it."""
    silent = np.isnan(half.teacher_sums).all() and half.read.all()
    if silent or np.isnan(half.student_sums).all():
        return math.nan
    read = float(np.nansum(np.where(half.read, half.teacher_sums, 0.0)))
    return (read - float(np.nansum(half.student_sums))) / max(half.num_chars, 1)


BOUNDS: dict[str, Bound] = {
    "teacher_count": highest_teacher_count,
    "teacher_ratio": highest_teacher_ratio,
    "fewest": highest_fewest,
    "miniplm_difference": highest_miniplm_difference,
}
"""Policies that read the teacher and can be bounded without it."""

ALONE = frozenset({"longest", "shortest", "random", "grape", "rsr", "ifd", "aslec"})
"""Policies that need no teacher and look at one candidate alone: their score is its own bound. LARK weighs
a prompt's candidates against each other, so one that the teacher cannot read would change the others."""


def can_prune(policy: str) -> bool:
    """Whether a policy's selection can be known without reading everything."""
    return policy in BOUNDS or policy in ALONE


@dataclass(slots=True)
class Contest:
    """One prompt: what its candidates have reached, and what the others could still reach."""

    per_prompt: int
    min_score: float | None = None
    known: list[Key] = field(default_factory=list[Key])
    """Keys of the candidates that the teacher has read."""
    open: dict[str, Key] = field(default_factory=dict[str, Key])
    """trace_id -> the best key that a candidate can still reach."""

    def hopeless(self, best: Key) -> bool:
        """Whether a candidate that reaches at most this key cannot be selected."""
        is_nan, minus_score, _, _ = best
        if is_nan or (self.min_score is not None and -minus_score < self.min_score):
            return True
        ahead = sum(key < best for key in self.known)
        return ahead >= self.per_prompt

    def next(self) -> list[str]:
        """Whom the teacher reads next: the most promising, as many as places are not taken; maybe none."""
        hopeful = sorted(key for key in self.open.values() if not self.hopeless(key))
        free = max(1, self.per_prompt - len(self.known))
        return [key[3] for key in hopeful[:free]]

    def settle(self, trace_id: str, key: Key | None) -> None:
        """Take in what a candidate reached; None: it could not be scored, or was given up."""
        del self.open[trace_id]
        if key is not None:
            self.known.append(key)


def next_wave(contests: Iterable[Contest]) -> list[str]:
    """The candidates of many prompts that the teacher reads next, together; empty when all is decided."""
    return [trace_id for contest in contests for trace_id in contest.next()]
