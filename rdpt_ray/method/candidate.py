"""One trace of a prompt as the policies see it: lengths, classes, and each model's sums per sentence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.provenance import CODES, Provenance


@dataclass(frozen=True, slots=True)
class RoleScores:
    """What one model said of a response. Arrays have one entry per sentence."""

    sums: NDArray[np.float64]
    """[sentences] sum of the tokens' log-probabilities in nats; NaN for a sentence without a token."""
    tokens: NDArray[np.int64]
    """[sentences] tokens under this model's tokenizer."""
    first: NDArray[np.float64] | None = None
    """[sentences] log-probability of the sentence's first token; NaN without a token."""
    ranks: NDArray[np.float64] | None = None
    """[sentences] sum of the tokens' ranks, each at most 100 (signal `rank`)."""
    briers: NDArray[np.float64] | None = None
    """[sentences] sum of the tokens' Brier scores (signal `brier`)."""

    @classmethod
    def unread(cls, num_sentences: int) -> "RoleScores":
        """Of a response that the model did not read: NaN and 0 tokens throughout."""
        return cls(np.full(num_sentences, np.nan), np.zeros(num_sentences, np.int64))

    @property
    def num_tokens(self) -> int:
        """Tokens of the response that the model scored."""
        return int(self.tokens.sum())


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trace of a prompt."""

    trace_id: str
    num_chars: int
    """Length of the canonical response in characters."""
    classes: NDArray[np.int8]
    """[sentences] codes of `method.provenance` (three-way); -1 where there is no class."""
    teacher: RoleScores
    """All NaN and 0 tokens where the teacher was not asked."""
    student: RoleScores
    """The original student, reading the prompt."""
    unprompted: RoleScores | None = None
    """The original student, reading the response without the prompt (signal `unprompted`)."""

    @property
    def num_sentences(self) -> int:
        """Sentences of the response, scored or not."""
        return len(self.classes)

    @property
    def num_teacher(self) -> int:
        """How many of the sentences are TEACHER."""
        return int(np.count_nonzero(self.classes == CODES[Provenance.TEACHER]))

    @property
    def num_tokens(self) -> int:
        """Tokens of the response under the student's tokenizer: what training on it will read."""
        return self.student.num_tokens
