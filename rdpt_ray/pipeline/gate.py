"""Threads of one actor: side by side as a rule, one alone where it must not share its process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Lets `width` threads of a process work side by side, or one alone."""

    def __init__(self, width: int) -> None:
        self._turn = threading.Lock()
        self._slots = threading.Semaphore(width)
        self._width = width

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """One of the threads; waits while another is alone, or waits to be."""
        with self._turn:
            self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The only thread; waits until the others are done."""
        with self._turn:
            for _ in range(self._width):
                self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release(self._width)
