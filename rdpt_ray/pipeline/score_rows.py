"""Between what a scorer gives, the rows that the store keeps, and what the method reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.alignment import Span
from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.scoring.traces import SentenceScores
from rdpt_ray.storage.scores import Scores


def scores_row(trace_id: str, scores: SentenceScores) -> Scores:
    """A row of the schema SCORES; a sentence without a token is null, not 0 or 1.

    Of a trace that was given up, the sentences that were not read have no number of tokens either.
    """
    row: Scores = {
        "trace_id": trace_id,
        "sum_logprob": None,
        "num_tokens": None,
        "first_logprob": None,
        "sum_rank": None,
        "sum_brier": None,
        "num_prompt_tokens": scores.num_prompt_tokens,
        "error": scores.error,
    }
    if scores.error is None or len(scores.num_tokens):
        measured = scores.num_tokens > 0
        row["sum_logprob"] = _nullable(scores.sum_logprob, measured)
        row["num_tokens"] = [None if count < 0 else count for count in scores.num_tokens.tolist()]
        row["first_logprob"] = _nullable(scores.first_logprob, measured)
        row["sum_rank"] = _nullable(scores.sum_rank, measured)
        row["sum_brier"] = _nullable(scores.sum_brier, measured)
    return row


def _nullable(
    values: NDArray[np.float32] | None, measured: NDArray[np.bool_]
) -> list[float | None] | None:
    if values is None:
        return None
    pairs = zip(values.tolist(), measured, strict=True)
    return [value if there else None for value, there in pairs]


def role_scores(row: Scores) -> RoleScores:
    """A row as the policies read it: NaN where there is no token, 0 tokens where nothing was read."""
    return RoleScores(
        sums=_floats(row["sum_logprob"]),
        tokens=np.array([count or 0 for count in row["num_tokens"]], dtype=np.int64),
        first=_maybe_floats(row["first_logprob"]),
        ranks=_maybe_floats(row["sum_rank"]),
        briers=_maybe_floats(row["sum_brier"]),
    )


def _floats(values: list[float | None]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _maybe_floats(values: list[float | None] | None) -> NDArray[np.float64] | None:
    return None if values is None else _floats(values)


def sentence_chars(sentences: Sequence[Span] | Sequence[dict[str, Any]]) -> NDArray[np.int64]:
    """[sentences] characters of each."""
    spans = [(span["start"], span["end"]) if isinstance(span, dict) else span for span in sentences]
    edges = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return edges[:, 1] - edges[:, 0]
