"""Random score columns with everything that can be awkward: no token, no sentence, no teacher, ties."""

import numpy as np
import pytest

from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.score_columns import ScoreColumns


@pytest.fixture(scope="session")
def random_columns():
    """A function from a seed to columns of a few prompts; scores lie on a coarse grid, so that many tie."""
    return _columns


def _columns(seed, *, prompts=6, roles=("teacher", "student", "unprompted"), signals=True):
    rng = np.random.default_rng(seed)
    prompt_of = rng.integers(0, prompts, int(rng.integers(0, 4 * prompts)))
    traces = len(prompt_of)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 9, traces))]).astype(np.int64)
    return ScoreColumns(
        trace_ids=np.array([f"t{number:04d}" for number in rng.permutation(traces)], dtype=np.str_),
        prompt_ids=np.array([f"p{number}" for number in prompt_of], dtype=np.str_),
        num_chars=rng.integers(1, 40, traces) * 10,
        correct=rng.integers(-1, 2, traces).astype(np.int8),
        eligible=rng.random(traces) < 0.9,
        teacher_known=rng.random(traces) < 0.9,
        offsets=offsets,
        sentence_chars=rng.integers(1, 60, int(offsets[-1])),
        roles={role: _scores(rng, int(offsets[-1]), signals) for role in roles},
    )


def _scores(rng, sentences, signals):
    tokens = rng.integers(0, 5, sentences)

    def column(low, high):
        values = rng.integers(low, high, sentences) / 16
        return np.where(tokens > 0, values, np.nan)

    return RoleScores(
        sums=column(-48, 1) * np.maximum(tokens, 1),
        tokens=tokens,
        first=column(-48, 1) if signals else None,
        ranks=column(16, 800) if signals else None,
        briers=column(0, 32) if signals else None,
    )
