"""Drivers at work: one record per start of a job, and whether the driver behind it still lives.

    STORE/runs/<run-id>/sessions/<session>.json

A driver rewrites its record every `BEAT_S`, counting up; it also holds how far the driver is and what it
cost so far, so a killed one loses seconds of its account. Nobody compares clocks: those of two hosts differ,
and any may be set back. A session is over when it says so, when its process was on this host and is gone,
or when its beat has stood still for `LEASE_S` of the observer's own monotonic time. Who is taken for dead
and is not does no harm: whatever two sessions write under one name is the same.
"""

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import read_json, write_json

BEAT_S = 10.0
"""How often a driver says that it lives."""

LEASE_S = 60.0
"""How long a beat stands still before its driver counts as dead."""

Ending = Literal["finished", "interrupted", "failed"]


@dataclass(slots=True)
class Session:
    """One driver's record."""

    session: str
    """Names it."""
    run: str
    """The run's id."""
    process: str
    """`this_process`, of the driver."""
    host: str
    started_at: str
    """For people."""
    job: str | None = None
    """The submission id of the Ray job that it is, if it was submitted."""
    beat: int = 0
    ended: Ending | None = None
    """None: at work, or killed."""
    error: str | None = None
    """Why it failed."""
    leaving: bool = False
    """Whether it finishes what is in flight and begins nothing new."""
    progress: dict[str, Any] = field(default_factory=dict)
    """Which stage, how many of how many, how fast (`pipeline.session`)."""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Role -> key and name of its model, whether it is to read `all` traces, and whether it is `done`."""
    prices: dict[str, Any] = field(default_factory=dict)
    """What an hour of an accelerator, or of a CPU, costs (`per_hour`), and in which `currency`."""
    counts: dict[str, Any] = field(default_factory=dict)
    """What it did and what that cost, by role (`pipeline.account`)."""
    timings: dict[str, float] = field(default_factory=dict)
    """Stage -> seconds."""


def new_session(name: str, run: str) -> Session:
    """A record for this process.

    Args:
        name: The session's; nobody else's.
        run: The run's id.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Session(name, run, this_process(), socket.gethostname(), now)


def session_name(run: str, session: str) -> str:
    """Where a session's record lies.

    Args:
        run: The run's id.
        session: The session's name.
    """
    return f"runs/{run}/sessions/{session}.json"


def write_session(root: Root, session: Session) -> None:
    """Write a driver's record."""
    write_json(root, session_name(session.run, session.session), asdict(session))


def read_session(root: Root, name: str) -> Session:
    """The record in a file.

    Raises:
        StoreError: naming the file, if it is missing or not a session's record.
    """
    known = set(Session.__dataclass_fields__)
    record = read_json(root, name)
    return Session(**{key: value for key, value in record.items() if key in known})


def sessions_of(root: Root, run: str) -> list[Session]:
    """All sessions of a run, by when they started."""
    names = root.names(f"runs/{run}/sessions")
    found = [read_session(root, name) for name in names]
    return sorted(found, key=lambda each: (each.started_at, each.session))


class Watch:
    """Tells which sessions live, by what it sees while it is asked again and again."""

    def __init__(self, root: Root, lease_s: float = LEASE_S) -> None:
        """Watch the sessions of a store; a beat that stands still for `lease_s` seconds has ended."""
        self._root, self._lease_s = root, lease_s
        self._seen: dict[str, tuple[int, float]] = {}
        self._over: set[str] = set()

    def is_over(self, name: str) -> bool:
        """Whether the session in this file is known to be over; False also while nobody can know yet."""
        if name in self._over:
            return True
        if not self._root.exists(name):
            return self._ends(name)  # it said nothing before it began, or was swept
        session = read_session(self._root, name)
        if session.ended is not None or is_alive(session.process) is False:
            return self._ends(name)
        beat, since = self._seen.get(name, (None, 0.0))
        now = time.monotonic()
        if beat != session.beat:
            self._seen[name] = (session.beat, now)
            return False
        return self._ends(name) if now - since >= self._lease_s else False

    def _ends(self, name: str) -> bool:
        self._over.add(name)
        return True


def live_sessions(
    root: Root, names: Iterable[str] | None = None, lease_s: float = LEASE_S
) -> list[str]:
    """The files of all sessions that live. Takes up to `lease_s`, if one on another host has died.

    Args:
        root: The store.
        names: Session files to look at; None: all of the store.
        lease_s: How long a beat may stand still, in seconds.
    """
    left = list(_all_sessions(root) if names is None else names)
    first = {name: read_session(root, name).beat for name in left}
    watch = Watch(root, lease_s)
    live: list[str] = []
    while True:
        left = [name for name in left if not watch.is_over(name)]
        moved = [name for name in left if _has_moved(root, name, first[name])]
        live += moved
        left = [name for name in left if name not in moved]
        if not left:
            return sorted(live)
        time.sleep(BEAT_S / 10)


def _has_moved(root: Root, name: str, beat: int) -> bool:
    session = read_session(root, name)
    return session.beat != beat or is_alive(session.process) is True


def _all_sessions(root: Root) -> list[str]:
    return [name for name in root.names("runs") if "/sessions/" in name]


def this_process() -> str:
    """Names this process among all of all hosts: boot, process namespace, number, start."""
    return _process(os.getpid())


def is_alive(process: str) -> bool | None:
    """Whether a process runs; None if it was on another host, or in another container."""
    here, _, number = process.rpartition("/")
    number = number.partition("@")[0]
    if here != _here() or not here or not number.isdecimal():
        return None
    return _process(int(number)) == process


def _process(number: int) -> str:
    return f"{_here()}/{number}@{_started(number)}"


def _here() -> str:
    """This boot of this host, and the namespace that process numbers count in; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return ""


def _started(number: int) -> str:
    """When a process started, in clock ticks after the boot, so that a number used again is told apart."""
    try:
        text = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return "gone"
    fields = text.rpartition(")")[2].split()
    return "gone" if fields[0] in "ZX" else fields[19]
