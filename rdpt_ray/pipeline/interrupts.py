"""What SIGTERM and Ctrl-C do where no session hears them: before a job has one, after it, beside it."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rdpt_ray.errors import Interrupted

AGAIN = "run the same command again to continue"


@contextmanager
def interruptible() -> Iterator[None]:
    """A block with nothing to finish before it is left: input is listed, a lease waited for, a run published.

    Sessions in the block hear for themselves. Only a process's main thread can hear; others go on.

    Raises:
        Interrupted: in the block, when the process is asked to end or a session of another thread stalls.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise Interrupted(f"stopped by {signal.Signals(number).name}; {AGAIN}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with heard(dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGALRM), stop)):
        yield


@contextmanager
def heard(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Handle signals for the length of a `with` block, in which no alarm outlives it.

    Args:
        handlers: Of each signal; of `signal.signal`.
    """
    before = {number: signal.signal(number, handle) for number, handle in handlers.items()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handle in before.items():
            signal.signal(number, handle)
