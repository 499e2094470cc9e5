"""A bound on what a decoder may allocate: damaged or hostile bytes can ask for any amount.

A Parquet page of a hundred bytes can say that it holds two thousand million values, whatever the footer
says. No header can be trusted to tell, so the operating system counts.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATM = Path("/proc/self/statm")


@contextmanager
def bounded_memory(num_bytes: int) -> Iterator[None]:
    """Let this process grow by so much at most; an allocation beyond it fails, as MemoryError in Python.

    Every thread of the process shares the bound, so it is set around one decoding call at a time. Where
    there is no /proc (macOS), nothing is bounded.
    """
    if not _STATM.exists():
        yield
        return
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
