"""A bound on what a decoder may allocate: damaged or hostile bytes can ask for any amount.

A Parquet page of a hundred bytes can say that it holds two thousand million values, whatever the footer
says. No header can be trusted to tell, so the operating system counts.
"""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATM = Path("/proc/self/statm")

_ONE_AT_A_TIME = threading.RLock()
"""The limit is the process's own. Of two threads that set and restore it in turns, the second would
restore the bound of the first for good; threads and child processes then cannot be started (seen in a
loop, which tests students in threads)."""


@contextmanager
def bounded_memory(num_bytes: int) -> Iterator[None]:
    """Let this process grow by so much at most; an allocation beyond it fails, as MemoryError in Python.

    Every thread of the process shares the bound, so it is set around one decoding call at a time; other
    threads that decode wait. Where there is no /proc (macOS), nothing is bounded.
    """
    if not _STATM.exists():
        yield
        return
    with _ONE_AT_A_TIME, _limited(num_bytes):
        yield


@contextmanager
def _limited(num_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    bound = held + num_bytes
    if soft != resource.RLIM_INFINITY:
        bound = min(bound, soft)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
