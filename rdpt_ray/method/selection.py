"""Which candidates of a prompt to keep. A policy gives each candidate one number; the largest wins.

Policies are plain functions `(Candidate) -> float`, listed by name in `POLICIES`; ties are always broken
the same way: fewer sentences first, then the smaller trace_id. Formulas: the paper (teacher_count and its
ablations teacher_ratio, fewest, longest, random), GRAPE (arXiv 2502.04194), MiniPLM difference sampling
(arXiv 2410.17215) adapted to one prompt's candidates.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.provenance import CODES, Provenance


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trace of a prompt, as the policies see it. Arrays have one entry per sentence."""

    trace_id: str
    num_chars: int
    """Length of the canonical response in characters."""
    classes: NDArray[np.int8]
    """Codes of `method.provenance` (three-way); -1 where there is no class."""
    teacher_sums: NDArray[np.float64]
    teacher_tokens: NDArray[np.int64]
    student_sums: NDArray[np.float64]
    student_tokens: NDArray[np.int64]

    @property
    def num_sentences(self) -> int:
        """Sentences of the response, scored or not."""
        return len(self.classes)


Policy = Callable[[Candidate], float]


def num_teacher(candidate: Candidate) -> int:
    """How many of the candidate's sentences are TEACHER."""
    return int(np.count_nonzero(candidate.classes == CODES[Provenance.TEACHER]))


def teacher_count(candidate: Candidate) -> float:
    """Absolute number of Teacher sentences: the paper's teacher-guided selection."""
    return float(num_teacher(candidate))


def teacher_ratio(candidate: Candidate) -> float:
    """Share of Teacher sentences (the paper's ablation "ratio")."""
    return num_teacher(candidate) / max(candidate.num_sentences, 1)


def fewest(candidate: Candidate) -> float:
    """Fewest Teacher sentences (the paper's adverse control)."""
    return float(-num_teacher(candidate))


def longest(candidate: Candidate) -> float:
    """Most characters; characters because they depend on no model's tokenizer."""
    return float(candidate.num_chars)


def shortest(candidate: Candidate) -> float:
    """Fewest characters."""
    return float(-candidate.num_chars)


def random(candidate: Candidate, *, seed: int = 0) -> float:
    """A number in [0, 1) that depends on the seed and the trace alone, so order and workers do not matter."""
    digest = hashlib.sha256(f"{seed}:{candidate.trace_id}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def mean_logprob(sums: NDArray[np.float64], tokens: NDArray[np.int64]) -> float:
    """Mean log-probability of all response tokens; -inf when nothing was scored."""
    num_tokens = int(tokens.sum())
    return float(np.nansum(sums)) / num_tokens if num_tokens else -np.inf


def grape(candidate: Candidate) -> float:
    """Highest mean log-probability under the student to be trained (GRAPE)."""
    return mean_logprob(candidate.student_sums, candidate.student_tokens)


def miniplm_difference(candidate: Candidate) -> float:
    """Mean teacher minus mean student log-ratio, per character so that two tokenizers compare.

    MiniPLM takes the difference of mean token losses under one tokenizer; with two tokenizers the sums are
    divided by the same number of characters instead.
    """
    difference = np.nansum(candidate.teacher_sums) - np.nansum(candidate.student_sums)
    return float(difference) / max(candidate.num_chars, 1)


POLICIES: dict[str, Policy] = {
    policy.__name__: policy
    for policy in (
        teacher_count,
        teacher_ratio,
        fewest,
        longest,
        shortest,
        random,
        grape,
        miniplm_difference,
    )
}


def policy_named(name: str, *, seed: int = 0) -> Policy:
    """The policy called `name`, with the seed bound where it needs one.

    Raises:
        KeyError: if there is no such policy.
    """
    policy = POLICIES[name]
    return partial(random, seed=seed) if policy is random else policy


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate's place among those of its prompt."""

    trace_id: str
    selection_score: float
    rank: int
    """1 is best."""
    selected: bool


def rank_candidates(
    candidates: Iterable[Candidate], policy: Policy, *, per_prompt: int = 1
) -> list[Ranked]:
    """Rank one prompt's candidates by a policy and keep the first `per_prompt`.

    Ties: fewer sentences, then the smaller trace_id. A score that is not a number ranks last.

    Args:
        candidates: All candidates of one prompt; their order does not matter.
        policy: Gives each candidate its score; the largest wins.
        per_prompt: How many to select.

    Returns:
        One `Ranked` per candidate, best first.
    """
    scored = [(policy(candidate), candidate) for candidate in candidates]
    scored.sort(key=lambda pair: _order(*pair))
    return [
        Ranked(candidate.trace_id, score, place, place <= per_prompt)
        for place, (score, candidate) in enumerate(scored, start=1)
    ]


def _order(score: float, candidate: Candidate) -> tuple[bool, float, int, str]:
    is_nan = bool(np.isnan(score))
    return (is_nan, 0.0 if is_nan else -score, candidate.num_sentences, candidate.trace_id)
