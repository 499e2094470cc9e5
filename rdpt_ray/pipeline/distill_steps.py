"""Where workers say how far they are, and the driver looks it up: one small actor for all trainings.

It imports nothing but Ray, so its process is there at once.
"""

from typing import Any, NamedTuple

import ray

POLL_S = 0.5
"""How often a worker says it, and the driver asks."""


class Progress(NamedTuple):
    """How far a training is."""

    step: int
    num_steps: int
    loss: float | None
    """Of the last steps; None while there is none."""


@ray.remote(num_cpus=0)
class Steps:
    """The last that each training said."""

    def __init__(self) -> None:
        self._said: dict[str, Progress] = {}

    def say(self, training: str, progress: Progress) -> None:
        """A training's first worker says how far it is."""
        self._said[training] = progress

    def said(self) -> dict[str, Progress]:
        """Training -> how far it is."""
        return self._said


def new_steps() -> Any:
    """The actor, on any machine."""
    return Steps.remote()
