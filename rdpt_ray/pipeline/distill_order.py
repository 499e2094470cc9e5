"""In which order examples are learnt: fixed before training begins, by the seed alone.

The trainer then reads one long list from its beginning to its end. So the order is the same for any number
of workers, and a training that continues in the middle reads what an undisturbed one would have read.
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray

IGNORED = -100
"""The label of a token that is read and not learnt."""

SORTED_TOGETHER = 32
"""Steps whose examples are sorted by length, so that those of a step are alike and little is padded."""


def order_of(
    lengths: NDArray[np.int64], *, epochs: float, batch_size: int, seed: int
) -> NDArray[np.int64]:
    """Numbers of examples, in the order they are learnt; each step takes the next `batch_size`.

    Every epoch is a shuffle of its own. Inside a window of steps examples are sorted by length and cut into
    steps, and the steps are shuffled.

    Args:
        lengths: [N] tokens of each example.
        epochs: How often each is learnt; with a fraction, only some once more.
        batch_size: Examples of a step.
        seed: Decides the order.

    Returns:
        [max(1, round(epochs * N))].
    """
    rng = np.random.default_rng(seed)
    num_rows = len(lengths)
    num_learnt = max(1, round(epochs * num_rows))
    rounds = [rng.permutation(num_rows) for _ in range(ceil(num_learnt / num_rows))]
    learnt = np.concatenate(rounds)[:num_learnt]
    window = batch_size * SORTED_TOGETHER
    return np.concatenate(
        [
            _in_steps(learnt[start : start + window], lengths, batch_size, rng)
            for start in range(0, num_learnt, window)
        ]
    )


def _in_steps(
    window: NDArray[np.int64],
    lengths: NDArray[np.int64],
    batch_size: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    near = window[np.argsort(lengths[window], kind="stable")]
    whole = len(near) // batch_size
    steps = near[: whole * batch_size].reshape(whole, batch_size)
    return np.concatenate([steps[rng.permutation(whole)].ravel(), near[whole * batch_size :]])
