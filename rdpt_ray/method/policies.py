"""The policies: all candidates of one prompt in, one number for each out; the largest wins.

Plain functions. A NaN says that a candidate is not to be chosen: nothing of it was scored, or the policy's
own condition excludes it. Each docstring names the source; `docs/method.md` has the table.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.pruning import rank_key

Policy = Callable[[Sequence[Candidate]], Sequence[float]]

Measured = TypeVar("Measured")

SMALLEST_SURPRISAL = 1e-12
"""Nats; below it RSR divides by this (the authors' constant)."""


def teacher_count(candidates: Sequence[Candidate]) -> list[float]:
    """Absolute number of Teacher sentences: the paper's teacher-guided selection."""
    return [float(each.num_teacher) for each in candidates]


def teacher_ratio(candidates: Sequence[Candidate]) -> list[float]:
    """Share of Teacher sentences among all (the paper's ablation "ratio")."""
    return [each.num_teacher / max(each.num_sentences, 1) for each in candidates]


def fewest(candidates: Sequence[Candidate]) -> list[float]:
    """Fewest Teacher sentences (the paper's adverse control)."""
    return [float(-each.num_teacher) for each in candidates]


def longest(candidates: Sequence[Candidate]) -> list[float]:
    """Most characters; characters because they depend on no model's tokenizer."""
    return [float(each.num_chars) for each in candidates]


def shortest(candidates: Sequence[Candidate]) -> list[float]:
    """Fewest characters."""
    return [float(-each.num_chars) for each in candidates]


def length_matched(candidates: Sequence[Candidate]) -> list[float]:
    """The candidate nearest in characters to the one that teacher_count selects, and not that one.

    A control of ours: what it trains differs from teacher_count in Teacher sentences and hardly in length,
    with which they go together. Where two are as near, the tie is broken as everywhere.
    """
    if len(candidates) < 2:
        return [0.0] * len(candidates)
    chosen = min(
        candidates,
        key=lambda each: rank_key(float(each.num_teacher), each.num_sentences, each.trace_id),
    )
    return [
        math.nan if each is chosen else float(-abs(each.num_chars - chosen.num_chars))
        for each in candidates
    ]


def random(candidates: Sequence[Candidate], *, seed: int = 0) -> list[float]:
    """Numbers in [0, 1) that depend on the seed and the trace alone, so order and workers do not matter."""
    return [drawn(each.trace_id, seed) for each in candidates]


def drawn(identity: str, seed: int) -> float:
    """A number in [0, 1) that depends on the seed and a trace's or prompt's id alone."""
    digest = hashlib.sha256(f"{seed}:{identity}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def grape(candidates: Sequence[Candidate]) -> list[float]:
    """Highest mean log-probability under the student to be trained (GRAPE, arXiv 2502.04194)."""
    return [mean_logprob(each.student) for each in candidates]


def rsr(candidates: Sequence[Candidate]) -> list[float]:
    """Minus the rank-surprisal ratio: sum of ranks over sum of surprisals, the lowest wins.

    RSR, arXiv 2601.14249, equation 7 for one trace; ranks are capped at 100 where they are measured.

    Raises:
        ValueError: if the student's ranks were not measured.
    """
    scores: list[float] = []
    for each in candidates:
        ranks = _measured(each.student.ranks, "rsr", "rank")
        surprisal = -float(np.nansum(each.student.sums))
        ratio = float(np.nansum(ranks)) / max(surprisal, SMALLEST_SURPRISAL)
        scores.append(-ratio if each.num_tokens else math.nan)
    return scores


def ifd(candidates: Sequence[Candidate]) -> list[float]:
    """Largest instruction-following difficulty that is at most 1.

    IFD, arXiv 2308.12032: mean surprisal with the prompt over mean surprisal without it. Above 1 the prompt
    makes the response less likely, and the trace is not to be chosen. The authors keep the highest share of
    all data; choosing within a prompt is ours.

    Raises:
        ValueError: if the student did not read the responses without their prompts.
    """
    scores: list[float] = []
    for each in candidates:
        alone = mean_logprob(_measured(each.unprompted, "ifd", "unprompted"))
        difficulty = mean_logprob(each.student) / alone if alone < 0 else math.nan
        scores.append(difficulty if difficulty <= 1 else math.nan)
    return scores


def lark(candidates: Sequence[Candidate]) -> list[float]:
    """How much a trace's gradient would teach, weighed against the prompt's other candidates.

    LARK, arXiv 2605.30651: with L the mean surprisal, rho = Brier / L, and sums over the candidates,
    g_k = (L_k / sum L) (2 rho_k - (sum rho L) / (sum L)); here rho L is written as the Brier score it is,
    so that no candidate is divided by its own surprisal. A candidate without a token is left out of the
    sums. The weights that the authors give the chosen traces in training are not selection's matter.

    Raises:
        ValueError: if the student's Brier scores were not measured.
    """
    briers: list[float] = []
    for each in candidates:
        total = float(np.nansum(_measured(each.student.briers, "lark", "brier")))
        briers.append(total / each.num_tokens if each.num_tokens else math.nan)
    losses = [-mean_logprob(each.student) for each in candidates]
    # fsum is exact, so the sums do not depend on the candidates' order.
    all_losses = math.fsum(loss for loss in losses if not math.isnan(loss))
    all_briers = math.fsum(brier for brier in briers if not math.isnan(brier))
    if all_losses <= 0:
        return [math.nan] * len(losses)
    share = all_briers / all_losses
    return [
        (2 * brier - loss * share) / all_losses for brier, loss in zip(briers, losses, strict=True)
    ]


def aslec(candidates: Sequence[Candidate]) -> list[float]:
    """Mean log-probability under the student of all tokens but the first of each sentence.

    ASLEC's DROP with skip = 1, as in its paper. Its steps end at ". " and "? "; ours are the trace's
    sentences. A trace whose sentences are all single tokens has nothing left and is not to be chosen.

    Raises:
        ValueError: if the sentences' first log-probabilities are missing.
    """
    scores: list[float] = []
    for each in candidates:
        first = each.student.first
        if first is None:
            raise ValueError(
                f"the policy aslec needs the log-probability of each sentence's first token, which the "
                f"student's scores of trace {each.trace_id} lack: score the student again"
            )
        rest = np.maximum(each.student.tokens - 1, 0).sum()
        total = float(np.nansum(each.student.sums) - np.nansum(first))
        scores.append(total / int(rest) if rest else math.nan)
    return scores


def miniplm_difference(candidates: Sequence[Candidate]) -> list[float]:
    """Teacher minus student log-probability of a character.

    MiniPLM difference sampling (arXiv 2410.17215) takes the difference of mean token losses under one
    tokenizer and keeps the top share of all data; with two tokenizers the sums are divided by the same number
    of characters instead, and the choice is among one prompt's candidates (both ours).
    """
    return [
        float(np.nansum(each.teacher.sums) - np.nansum(each.student.sums)) / max(each.num_chars, 1)
        if each.teacher.num_tokens and each.num_tokens
        else math.nan
        for each in candidates
    ]


def mean_logprob(scores: RoleScores) -> float:
    """Mean log-probability of all response tokens, in nats; NaN when nothing was scored."""
    return float(np.nansum(scores.sums)) / scores.num_tokens if scores.num_tokens else math.nan


def _measured(signal: Measured | None, policy: str, name: str) -> Measured:
    if signal is None:
        raise ValueError(
            f"the policy {policy} needs the student's signal {name}, which was not measured: "
            f"add {name} to models.student.signals"
        )
    return signal
