"""What the candidates that a policy picked are like, in whole numbers that add up in any order."""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.prompt_groups import PromptGroups
from rdpt_ray.method.score_columns import CORRECT, UNKNOWN, WRONG, ScoreColumns

MATCHED = 10
"""Lengths match when they differ by at most one in this many characters of the pick: 10 %."""

SCALE = 1_000_000_000
"""Ratios are kept as whole billionths: sums of floats would depend on the order of the buckets."""


@dataclass(frozen=True, slots=True)
class Picks:
    """Sums over the picks of prompts with a choice; add those of two buckets to merge them."""

    picks: int = 0
    chars: int = 0
    sentences: int = 0
    tokens: int = 0
    """Under the student's tokenizer: what training on the picks reads."""
    with_teacher: int = 0
    """Picks that the teacher has read; only they have a Teacher count."""
    teacher: int = 0
    """Teacher sentences of those."""
    correct: int = 0
    wrong: int = 0
    unknown: int = 0
    relative_chars: int = 0
    """Length over the mean length of the prompt's candidates, in billionths."""
    pairs: int = 0
    """Pairs of a pick and another candidate of its prompt that is about as long (`MATCHED`)."""
    teacher_pairs: int = 0
    """Those where the teacher has read both."""
    teacher_difference: int = 0
    """Teacher sentences of the pick less those of the other, over `teacher_pairs`."""
    correct_pairs: int = 0
    """Those where it is known of both whether they are right."""
    correct_difference: int = 0
    """Picks that are right less others that are right, over `correct_pairs`."""

    def __add__(self, other: "Picks") -> "Picks":
        return Picks(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is counted of each candidate. Arrays are [candidates], in the order of the groups."""

    groups: PromptGroups
    chars: NDArray[np.int64]
    sentences: NDArray[np.int64]
    tokens: NDArray[np.int64]
    teacher: NDArray[np.int64]
    """Teacher sentences; 0 where `known` is False."""
    known: NDArray[np.bool_]
    """Whether the teacher has read it."""
    correct: NDArray[np.int8]


def facts(columns: ScoreColumns, teacher: NDArray[np.int64], groups: PromptGroups) -> Facts:
    """Take the grouped candidates out of the columns.

    Args:
        columns: All traces.
        teacher: [traces] Teacher sentences.
        groups: Of whom.
    """
    rows = groups.rows
    return Facts(
        groups=groups,
        chars=columns.num_chars[rows].astype(np.int64),
        sentences=columns.num_sentences[rows],
        tokens=columns.per_trace(columns.roles["student"].tokens)[rows],
        teacher=teacher[rows],
        known=columns.teacher_known[rows],
        correct=columns.correct[rows],
    )


def count_picks(those: Facts, best: NDArray[np.int64]) -> Picks:
    """Sums over picks.

    Args:
        those: All candidates with a choice.
        best: [prompts] position of the pick among the candidates, -1 for a prompt without one.
    """
    chosen = best[best >= 0]
    return Picks(**_plain(those, chosen), **_matched(those, best))


def count_all(those: Facts) -> Picks:
    """The same sums with every candidate counted as a pick: what choosing blindly gives; no pairs."""
    return Picks(**_plain(those, np.arange(len(those.chars))))


def _plain(those: Facts, chosen: NDArray[np.int64]) -> dict[str, int]:
    sizes = those.groups.sizes
    totals = np.repeat(those.groups.sums(those.chars), sizes)[chosen]
    relative = those.chars[chosen] * np.repeat(sizes, sizes)[chosen] / np.maximum(totals, 1)
    correct = those.correct[chosen]
    return {
        "picks": len(chosen),
        "chars": int(those.chars[chosen].sum()),
        "sentences": int(those.sentences[chosen].sum()),
        "tokens": int(those.tokens[chosen].sum()),
        "with_teacher": int(np.count_nonzero(those.known[chosen])),
        "teacher": int(those.teacher[chosen][those.known[chosen]].sum()),
        "correct": int(np.count_nonzero(correct == CORRECT)),
        "wrong": int(np.count_nonzero(correct == WRONG)),
        "unknown": int(np.count_nonzero(correct == UNKNOWN)),
        "relative_chars": int(np.rint(relative * SCALE).astype(np.int64).sum()),
    }


def _matched(those: Facts, best: NDArray[np.int64]) -> dict[str, int]:
    """The pairs: each candidate against the pick of its prompt."""
    pick = best[those.groups.prompt_of]
    other = np.arange(len(pick))
    apart = np.abs(those.chars - those.chars[pick])
    paired = (pick >= 0) & (pick != other) & (MATCHED * apart <= those.chars[pick])
    pick, other = pick[paired], other[paired]
    read = those.known[pick] & those.known[other]
    graded = (those.correct[pick] != UNKNOWN) & (those.correct[other] != UNKNOWN)
    better = those.correct[pick][graded].astype(np.int64) - those.correct[other][graded]
    return {
        "pairs": len(pick),
        "teacher_pairs": int(np.count_nonzero(read)),
        "teacher_difference": int((those.teacher[pick] - those.teacher[other])[read].sum()),
        "correct_pairs": int(np.count_nonzero(graded)),
        "correct_difference": int(better.sum()),
    }
