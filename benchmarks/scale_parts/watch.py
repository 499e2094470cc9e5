"""What a stage takes: wall time, CPU time of the driver and of Ray's processes, the driver's own memory.

On a machine that others use as well, CPU time says what a stage costs; wall time says how busy they are.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MEMORY_EVERY_S = 0.05
CPU_EVERY_S = 1.0


@dataclass(slots=True)
class Taken:
    """Of one stage; complete when its block is left."""

    wall_s: float = 0.0
    driver_cpu_s: float = 0.0
    """Of all threads of the driver's process."""
    others_cpu_s: float = 0.0
    """Of Ray's daemons and workers, all of which the driver has started."""
    driver_mb: float = 0.0
    """Most anonymous memory of the driver's process. What it maps of Ray's shared object store is not its
    own."""
    worker_mb: float = 0.0
    """The same of the largest of the others."""


@dataclass(slots=True)
class _Watch:
    taken: Taken
    before: dict[int, float]
    after: dict[int, float] = field(default_factory=dict)
    """Process -> CPU seconds when last seen; of one that ended, up to a second may be missing."""

    def look(self) -> None:
        for process in _others():
            with suppress(psutil.Error, OSError):
                times = process.cpu_times()
                self.after[process.pid] = times.user + times.system
                self.taken.worker_mb = max(self.taken.worker_mb, own_mb(process.pid))

    def total(self) -> float:
        return sum(seconds - self.before.get(pid, 0.0) for pid, seconds in self.after.items())


@contextmanager
def watched() -> Iterator[Taken]:
    """Measure a block of the driver."""
    first = _Watch(Taken(), {})
    first.look()
    watch, stop = _Watch(Taken(), first.after), threading.Event()
    thread = threading.Thread(target=_sample, args=(watch, stop), daemon=True)
    thread.start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield watch.taken
    finally:
        watch.taken.wall_s = time.perf_counter() - wall
        watch.taken.driver_cpu_s = time.process_time() - cpu
        stop.set()
        thread.join()
        watch.look()
        watch.taken.others_cpu_s = watch.total()


def own_mb(process: int | str = "self") -> float:
    """Anonymous memory of a process, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    told = next((line for line in lines if line.startswith("RssAnon:")), "RssAnon: 0")
    return int(told.split()[1]) / 1024


def _others() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _sample(watch: _Watch, stop: threading.Event) -> None:
    looked = 0.0
    while not stop.wait(MEMORY_EVERY_S):
        watch.taken.driver_mb = max(watch.taken.driver_mb, own_mb())
        if time.monotonic() - looked >= CPU_EVERY_S:
            looked = time.monotonic()
            watch.look()
    watch.taken.driver_mb = max(watch.taken.driver_mb, own_mb())
