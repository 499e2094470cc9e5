"""The figures of a comparison as they are shown, from its sums alone; None: nothing to divide."""

from dataclasses import dataclass

from rdpt_ray.method.comparison import Comparison
from rdpt_ray.method.picks import SCALE, Picks


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """One policy: means over its picks, and against candidates that are about as long."""

    name: str
    picks: int
    chars: float | None
    sentences: float | None
    tokens: float | None
    teacher: float | None
    """Teacher sentences of a pick, over those that the teacher has read."""
    teacher_per_sentence: float | None
    """The same over sentences; None unless the teacher has read every pick."""
    correct: float | None
    """Share of right ones among the picks of which it is known."""
    graded: int
    """Picks of which it is known."""
    relative_length: float | None
    """Mean of a pick's characters over the mean of its prompt's candidates; 1: no longer than those."""
    matched_pairs: int
    matched_teacher: float | None
    """Teacher sentences of a pick less those of another candidate whose length is within 10 %, mean over the
    pairs that the teacher has read."""
    matched_correct: float | None
    """Share of right picks less that of those others, over pairs of which it is known."""


@dataclass(frozen=True, slots=True)
class LengthFigures:
    """How the Teacher count goes with length: Pearson's r, and over how many candidates."""

    candidates: int
    chars: float | None
    sentences: float | None
    chars_within: float | None
    """Within prompts: both numbers less their prompt's mean."""
    sentences_within: float | None


def policy_figures(comparison: Comparison) -> list[PolicyFigures]:
    """The policies that were asked everywhere, by name, and last "(all candidates)" to compare them with."""
    rows = [(name, comparison.policies[name]) for name in comparison.measured]
    return [_figures(name, picks) for name, picks in [*rows, ("(all candidates)", comparison.pool)]]


def overlap_share(comparison: Comparison, first: str, second: str) -> float | None:
    """Share of the prompts where both policies pick in which they pick the same trace."""
    if first == second:
        return 1.0 if comparison.policies[first].picks else None
    low, high = sorted((first, second))
    both, same = comparison.overlaps[low][high]
    return _ratio(same, both)


def overlap_matrix(comparison: Comparison) -> tuple[list[str], list[list[float | None]]]:
    """The names of the policies and the shares of equal picks, one row per policy; symmetric."""
    names = comparison.measured
    return names, [[overlap_share(comparison, a, b) for b in names] for a in names]


def length_figures(comparison: Comparison) -> LengthFigures:
    """The correlations of the Teacher count with length; always to be shown beside a selection by it."""
    return LengthFigures(
        candidates=comparison.chars.count,
        chars=comparison.chars.r(),
        sentences=comparison.sentences.r(),
        chars_within=comparison.chars.r_within(),
        sentences_within=comparison.sentences.r_within(),
    )


def _figures(name: str, picks: Picks) -> PolicyFigures:
    graded = picks.correct + picks.wrong
    all_read = picks.with_teacher == picks.picks
    return PolicyFigures(
        name=name,
        picks=picks.picks,
        chars=_ratio(picks.chars, picks.picks),
        sentences=_ratio(picks.sentences, picks.picks),
        tokens=_ratio(picks.tokens, picks.picks),
        teacher=_ratio(picks.teacher, picks.with_teacher),
        teacher_per_sentence=_ratio(picks.teacher, picks.sentences) if all_read else None,
        correct=_ratio(picks.correct, graded),
        graded=graded,
        relative_length=_ratio(picks.relative_chars, picks.picks * SCALE),
        matched_pairs=picks.pairs,
        matched_teacher=_ratio(picks.teacher_difference, picks.teacher_pairs),
        matched_correct=_ratio(picks.correct_difference, picks.correct_pairs),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
