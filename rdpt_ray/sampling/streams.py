"""Random numbers that belong to a row: the same ones wherever, whenever and beside whomever it is sampled."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 256
"""Numbers that are drawn ahead."""


def stream_seed(seed: int, prompt_id: str, candidate: int) -> int:
    """The seed of one candidate's stream: 63 bits, which every engine takes.

    Args:
        seed: Of the config.
        prompt_id: Whose candidate.
        candidate: Its number.
    """
    digest = hashlib.sha256(f"{seed}\0{prompt_id}\0{candidate}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Streams:
    """Uniform numbers for the rows of a batch, one each per step."""

    def __init__(self, seeds: Sequence[int]) -> None:
        """Open one stream per row."""
        self._rows = [np.random.default_rng(seed) for seed in seeds]
        self._block = np.empty((len(seeds), 0))
        self._used = 0

    def step(self) -> NDArray[np.float64]:
        """[B] the next number of every row, in [0, 1)."""
        if self._used == self._block.shape[1]:
            self._block = np.stack([row.random(BLOCK) for row in self._rows])
            self._used = 0
        self._used += 1
        return self._block[:, self._used - 1]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._rows = [self._rows[row] for row in rows]
        self._block = self._block[list(rows)]
