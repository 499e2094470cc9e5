"""Again, for a while, when a file system may yet do what it was asked.

s3fs and botocore ask five times each and gcsfs six, which is over within ten seconds for most faults (a
minute for "slow down"). A busy bucket or a network that is gone takes longer, and a job of days must
outlast it; a fault that will not pass (no login, no such file) is told at once.
"""

import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from rdpt_ray.storage.remote import may_pass, remote_faults, said

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

PATIENCE_S = 120.0
"""How long to go on by default."""

_LONGEST_WAIT_S = 30.0
_random = random.SystemRandom()  # of its own: a job's seeded numbers stay as they are


def patiently(act: Callable[[], Result], patience_s: float, doing: str) -> Result:
    """Do something that does no harm when it is done twice, until it succeeds or time is up.

    Args:
        act: What to do.
        patience_s: No attempt begins later than so many seconds after the first.
        doing: What is tried, for the log.

    Raises:
        Exception: what the last attempt raised.
    """
    end = time.monotonic() + patience_s
    for attempt in itertools.count():
        try:
            return act()
        except remote_faults() as error:
            wait_s = _wait_s(attempt, patience_s)
            if not may_pass(error) or time.monotonic() + wait_s > end:
                raise
            logger.warning("%s: %s; trying again in %.1f s", doing, said(error), wait_s)
            time.sleep(wait_s)
    raise AssertionError("unreachable")


def _wait_s(attempt: int, patience_s: float) -> float:
    """Twice as long each time, and never in step with the others who wait for the same bucket."""
    longest = min(_LONGEST_WAIT_S, patience_s / 100 * 2**attempt)
    return _random.uniform(longest / 2, longest)
