"""How long parts take when actors share them: which is not their sum divided by the actors."""

import heapq
import random
from collections.abc import Sequence

TRIES = 64
"""Orders that are tried: every start of a job goes its own way through the parts (`pipeline.score`)."""

MANY = 4096
"""With so many parts to an actor the order does not matter."""


def makespan(works: Sequence[float], num_actors: int) -> float:
    """The expected time until the last actor is done, if parts are given out in random order.

    Args:
        works: Of each part, in any unit.
        num_actors: Each takes the next part as soon as it has none.

    Returns:
        In the works' unit; 0 without parts.
    """
    if len(works) <= 1 or num_actors == 1:
        return float(sum(works))
    if len(works) >= MANY * num_actors:
        return sum(works) / num_actors
    draw = random.Random(0)
    tries = [_in_order(draw.sample(works, len(works)), num_actors) for _ in range(TRIES)]
    return sum(tries) / len(tries)


def _in_order(works: Sequence[float], num_actors: int) -> float:
    free_at = [0.0] * num_actors
    for work in works:
        heapq.heapreplace(free_at, free_at[0] + work)
    return max(free_at)
