"""Delete what `sweep` found, as long as nobody begins to work on the store meanwhile.

A job writes its session's record before it looks at anything else. So before every batch it is looked
whether there is a session that was not there, or beats again though it was taken for dead; then the rest
stays. Killed at any moment, it has deleted files that nothing refers to, and can be started again.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rdpt_ray.storage.beats import is_quiet
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.places import place_of
from rdpt_ray.storage.runs import INGESTED
from rdpt_ray.storage.sweep import Removal, Sweep

BATCH = 200
"""Files deleted between two looks at the sessions."""

NUM_THREADS = 16


def apply_sweep(
    root: Root, sweep: Sweep, advance: Callable[[int, str], None] = lambda *_: None
) -> list[Removal]:
    """Delete what was found, in its order.

    Args:
        root: The store.
        sweep: From `plan_sweep`.
        advance: Called with how many more files are gone, and a remark.

    Returns:
        What is gone; less than all if a job has begun to work meanwhile.

    Raises:
        StoreError: if a file cannot be deleted.
    """
    gone: list[Removal] = []
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for batch in _batches(sweep.removals):
            if not is_quiet(root, sweep.beats, sweep.live):
                break
            list(pool.map(lambda each: root.delete(each.name), batch))
            gone += batch
            advance(len(batch), "deleted")
    return gone


def _batches(removals: list[Removal]) -> list[list[Removal]]:
    """In order; what must be gone before something else goes is in an earlier batch."""
    found: list[list[Removal]] = []
    step: str | None = None
    for each in removals:
        here = _step(each)
        if here != step or len(found[-1]) == BATCH:
            found.append([])
            step = here
        found[-1].append(each)
    return found


def _step(removal: Removal) -> str:
    """Files of one step may go in any order."""
    place = place_of(removal.name)
    is_index = removal.name.endswith((f"/{INGESTED}", "/index.json"))
    return f"{removal.why} {'' if place is None else place.kind} {is_index}"
