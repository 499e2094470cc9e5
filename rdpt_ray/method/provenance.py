"""Which model a sentence comes from: probabilities compared, four-way and three-way.

Source: the paper, section on provenance tracing, as fixed in docs/method.md. The rules are ordered and the
first that holds wins, so every sentence has exactly one class. A sentence that a model could not score
(no token of its own) has no class: ``None``, never a guess.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Provenance(StrEnum):
    """The class of a sentence. The values are what the tables hold."""

    TEACHER = "TEACHER"
    """The teacher gives it clearly more probability than the student: learnt from the teacher."""
    STUDENT = "STUDENT"
    """The original student gives it clearly more: the student's own."""
    SHARED = "SHARED"
    """Four-way: all three models agree within alpha."""
    BOOSTED = "BOOSTED"
    """Four-way: teacher and student agree, the distilled model differs: distillation moved it."""
    COMMON = "COMMON"
    """Three-way (before distillation): teacher and student agree within beta."""


NAMES = np.array([*Provenance, None], dtype=object)
"""Class by code; the last entry (code -1) is the sentence without a class."""

CODES = {name: code for code, name in enumerate(Provenance)}


def sentence_prob(sum_logprob: ArrayLike, num_tokens: ArrayLike) -> NDArray[np.float64]:
    """Geometric mean of the token probabilities of each sentence: exp(sum_logprob / num_tokens).

    Comparable between models with different tokenizers (the paper's sentence probability).

    Args:
        sum_logprob: [sentences] natural-log sums, any float dtype; NaN where null.
        num_tokens: [sentences] token counts; 0 where the sentence has no token under this model.

    Returns:
        [sentences] float64 in [0, 1]; NaN where there is no token.
    """
    sums = np.asarray(sum_logprob, dtype=np.float64)
    counts = np.asarray(num_tokens, dtype=np.float64)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return np.exp(np.minimum(means, 0.0))


def classify_codes(
    teacher: ArrayLike,
    student: ArrayLike,
    distilled: ArrayLike | None = None,
    *,
    alpha: float = 0.1,
    beta: float = 0.1,
) -> NDArray[np.int8]:
    """As `classify`, but as int8 indices into `NAMES` (-1: no class)."""
    teacher_prob = np.asarray(teacher, dtype=np.float64)
    student_prob = np.asarray(student, dtype=np.float64)
    _same_shape(teacher_prob, student_prob)
    teacher_student = teacher_prob - student_prob
    known = ~np.isnan(teacher_student)
    rules = [
        (teacher_student > beta, Provenance.TEACHER),
        (-teacher_student > beta, Provenance.STUDENT),
    ]
    rest = Provenance.COMMON
    if distilled is not None:
        distilled_prob = np.asarray(distilled, dtype=np.float64)
        _same_shape(teacher_prob, distilled_prob)
        known &= ~np.isnan(distilled_prob)
        shared = (
            (np.abs(student_prob - distilled_prob) <= alpha)
            & (np.abs(teacher_prob - distilled_prob) <= alpha)
            & (np.abs(teacher_student) <= alpha)
        )
        rules.insert(0, (shared, Provenance.SHARED))
        rest = Provenance.BOOSTED
    codes = np.select(
        [holds for holds, _ in rules], [CODES[name] for _, name in rules], default=CODES[rest]
    )
    return np.where(known, codes, -1).astype(np.int8)


def classify(
    teacher: ArrayLike,
    student: ArrayLike,
    distilled: ArrayLike | None = None,
    *,
    alpha: float = 0.1,
    beta: float = 0.1,
) -> NDArray[np.object_]:
    """Name the source of each sentence from its probability under two or three models.

    Four-way, with `distilled`, first rule that holds (D_xy = p_x - p_y):
      SHARED   if |D_SD| <= alpha and |D_TD| <= alpha and |D_TS| <= alpha
      TEACHER  if D_TS > beta
      STUDENT  if -D_TS > beta
      BOOSTED  otherwise
    Three-way, without it: TEACHER and STUDENT as above, COMMON if |D_TS| <= beta.

    Args:
        teacher: [sentences] probabilities in [0, 1] under the teacher, or the values of another
            divergence (`method.divergence`); NaN where not scored.
        student: [sentences] the same under the original student.
        distilled: [sentences] the same under the distilled model, or None.
        alpha: Agreement threshold of SHARED (the paper: 0.1).
        beta: Difference threshold of TEACHER and STUDENT (the paper's best: 0.1).

    Returns:
        [sentences] object array of `Provenance` values, None where any probability is NaN.

    Raises:
        ValueError: if the arrays differ in shape.
    """
    return NAMES[classify_codes(teacher, student, distilled, alpha=alpha, beta=beta)]


def _same_shape(left: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    """Alone, numpy would stretch a single sentence over all of them."""
    if left.shape != right.shape:
        raise ValueError(f"probabilities of {left.shape} sentences against {right.shape}")
