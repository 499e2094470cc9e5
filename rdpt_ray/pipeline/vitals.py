"""Actors that hang rather than die: they tell what they do, and the driver ends those that stopped telling.

Ray notices a process that ended and, within a minute, a node that does not answer. It does not notice a
forward pass that never returns, nor a process that is stopped. A part may take long and a model may load
for an hour, so neither is measured: what counts is the time since the last pass of an actor that has
traces in hand, and while it loads its model, a limit of its own. Where nobody says anything for longer than
any of them may be silent, it is Ray that hangs; the job ends then, to be started again.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ASK_EVERY_S = 5.0
TELL_EVERY_S = 1.0
ALL_SILENT_S = 600.0
"""How much longer than one actor all of them may be silent: nodes may have to come first."""


@dataclass(frozen=True, slots=True)
class Sign:
    """The last that was heard of an actor."""

    actor: Any
    doing: str
    limit_s: float
    at: float
    """When, by this process's monotonic clock."""


class Vitals:
    """Holds the last sign of every actor of a pool; itself an actor, beside the driver."""

    def __init__(self) -> None:
        self._signs: dict[str, Sign] = {}
        self._last = time.monotonic()

    def tell(self, actor_id: str, actor: Any, doing: str, limit_s: float) -> None:
        """An actor does something, and may be silent for so many seconds."""
        self._last = time.monotonic()
        self._signs[actor_id] = Sign(actor, doing, limit_s, time.monotonic())

    def forget(self, actor_id: str) -> None:
        """An actor has nothing in hand."""
        self._signs.pop(actor_id, None)

    def silence_s(self) -> float:
        """Seconds since anything was heard of anybody."""
        return time.monotonic() - self._last

    def silent(self) -> list[tuple[Any, str]]:
        """Actors that were silent for too long, each told once, and what they were doing."""
        now = time.monotonic()
        over = {name: each for name, each in self._signs.items() if now - each.at > each.limit_s}
        for name in over:
            del self._signs[name]
        return [
            (each.actor, f"{each.doing}, silent for {now - each.at:.0f} s")
            for each in over.values()
        ]


class Pulse:
    """What one actor tells of itself; without `vitals`, nothing."""

    def __init__(self, vitals: Any, *, pass_s: float, load_s: float) -> None:
        """Know whom to tell.

        Args:
            vitals: The actor that listens, or None.
            pass_s: How long one forward pass may take, in seconds.
            load_s: How long the model may take to load.
        """
        self._vitals, self._pass_s, self._load_s = vitals, pass_s, load_s
        self._in_hand, self._told = 0, 0.0
        self._lock = threading.Lock()
        context = ray.get_runtime_context() if vitals is not None else None
        self._id = "" if context is None else context.get_actor_id()
        self._self = None if context is None else context.current_actor

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While the model is loaded."""
        self._tell("loading its model", self._load_s)
        yield
        self._forget()

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """While a part is in hand."""
        with self._lock:
            self._in_hand += 1
        self._tell("scoring", self._pass_s)
        try:
            yield
        finally:
            with self._lock:
                self._in_hand -= 1
                nothing_left = not self._in_hand
            if nothing_left:
                self._forget()

    def waiting(self) -> None:
        """The next part is in the hands of another session."""
        if not self._in_hand:
            self._tell("waiting for another session", math.inf)

    def passed(self) -> None:
        """One forward pass has ended."""
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self._tell("scoring", self._pass_s)

    def _tell(self, doing: str, limit_s: float) -> None:
        self._told = time.monotonic()
        if self._vitals is not None:
            self._vitals.tell.remote(self._id, self._self, doing, limit_s)

    def _forget(self) -> None:
        if self._vitals is not None:
            self._vitals.forget.remote(self._id)


class Guard:
    """The driver's side: asks now and then, and ends what is silent; Ray starts it anew."""

    def __init__(self, *, limit_s: float, stalled: Callable[[str], None]) -> None:
        """Start the actor that listens, where the driver is.

        Args:
            limit_s: How long a single actor may be silent.
            stalled: Called once, from a thread, when all are silent for longer.
        """
        self._limit_s, self._stalled = limit_s + ALL_SILENT_S, stalled
        here = ray.get_runtime_context().get_node_id()
        pinned = NodeAffinitySchedulingStrategy(here, soft=False)
        self.vitals: Any = (
            ray.remote(Vitals).options(num_cpus=0, scheduling_strategy=pinned).remote()
        )
        self.ended: list[str] = []
        """What the actors did that were ended."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True, name="vitals")

    def __enter__(self) -> "Guard":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        ray.kill(self.vitals)

    def _ask(self) -> None:
        while not self._stop.wait(ASK_EVERY_S):
            try:
                silent, silence_s = ray.get(
                    [self.vitals.silent.remote(), self.vitals.silence_s.remote()], timeout=60
                )
                for actor, doing in silent:
                    self.ended.append(doing)
                    ray.kill(actor, no_restart=False)
                if silence_s > self._limit_s:
                    self._stalled(f"no actor has done anything for {silence_s:.0f} s")
                    return
            except RayError:
                continue  # Ray is busy, or ending: the next time will do, or is not needed
