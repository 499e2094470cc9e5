"""One holder at a time: numbered leases, whose numbers only grow.

    STORE/leases/<schedule>/00000007.json      who holds it or held it, with a beat while it does

The holder has the highest number. Who wants the lease makes the file of the next number, which of all who try
at once only one can, and does so only when the holder has ended, is known to be dead, or has let its beat
stand still for its own `lease_s` on the observer's clock (`sessions`). A holder of that last kind may live: a
machine that was frozen, a network that was cut. It is overtaken and does not know it; that is what numbers
are for. Whoever changes something that others see looks first whether a higher number is there, and leaves
its own beside what it changed, which no lower number replaces (`publish.fence`).

Numbers belong to a series, which begins with the first lease and ends with the store.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from rdpt_ray.errors import Interrupted, LeaseError, StoreError
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.places import place_of
from rdpt_ray.storage.runs import read_json
from rdpt_ray.storage.sessions import Ending, Session, Watch, is_alive, new_session

BEATS = 6
"""Beats of a lease's length."""

KEPT = 10
"""Leases whose records are kept, the last ones; the highest number never goes."""


@dataclass(slots=True)
class LeaseRecord(Session):
    """A session that holds a lease; `run` is the schedule's name."""

    number: int = 0
    lease_s: float = 0.0
    """Its beat may stand still for so long."""
    series: str = ""
    """What its number can be compared in."""
    at_large: int = 0
    """The highest number of an earlier holder of which nobody knows whether it has ended; 0 for none."""
    left: str = ""
    """The run that the last complete round left; until this one is complete, an earlier one's."""


class Lease:
    """A lease while this process holds it."""

    def __init__(self, root: Root, record: LeaseRecord) -> None:
        """Take the record, whose file is there; see `take_lease`."""
        self.record, self._root = record, root
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._go_on, daemon=True, name="lease")

    @property
    def schedule(self) -> str:
        """The schedule's name."""
        return self.record.run

    @property
    def number(self) -> int:
        """Higher than that of every earlier holder."""
        return self.record.number

    def check(self) -> None:
        """Whether this is still the holder.

        Raises:
            LeaseError: if another one has taken over.
            StoreError: if that cannot be known.
        """
        newest = max(_numbers(self._root, self.schedule), default=0)
        if newest != self.number:
            raise LeaseError(
                f"{self._root.show(lease_name(self.schedule, self.number))}: round {newest} of"
                f" {self.schedule} has taken over, because this one, {self.number}, was not seen to live for"
                f" {self.record.lease_s:g} s; nothing is published by this one"
            )

    def beat(self) -> None:
        """Say once that the holder lives."""
        self.record.beat += 1
        _write(self._root, self.record)

    def leave(self, run_id: str) -> None:
        """Say, from the next beat on, which run this round has completed."""
        self.record.left = run_id

    def begin(self) -> None:
        """Say so again and again."""
        self._beats.start()

    def end(self, ending: Ending) -> None:
        """Let go of it."""
        self._stop.set()
        if self._beats.ident is not None:
            self._beats.join()
        self.record.ended = ending
        with suppress(StoreError):  # then the next one waits for `lease_s`
            self.beat()

    def _go_on(self) -> None:
        while not self._stop.wait(self.record.lease_s / BEATS):
            with suppress(StoreError):  # who cannot say so is overtaken, and told by `check`
                self.beat()


@contextmanager
def held_lease(root: Root, schedule: str, lease_s: float) -> Iterator[Lease]:
    """Hold the lease of a schedule for the length of a `with` block.

    Args:
        root: The store.
        schedule: Its name.
        lease_s: How long the holder may be silent before another one takes over, in seconds.

    Raises:
        LeaseError: if another one holds it.
        StoreError: if the store cannot be read or written.
    """
    lease = take_lease(root, schedule, lease_s)
    lease.begin()
    ending: Ending = "failed"
    try:
        yield lease
        ending = "finished"
    except Interrupted:
        ending = "interrupted"
        raise
    finally:
        lease.end(ending)


def take_lease(root: Root, schedule: str, lease_s: float) -> Lease:
    """Become the holder; waits until it is seen whether the one before lives, at most its `lease_s`.

    Raises:
        LeaseError: if it does, or another one was faster.
        StoreError: if the store cannot be read or written.
    """
    soon = replace(root, patience_s=lease_s / BEATS)
    while True:
        earlier = newest_lease(root, schedule)
        at_large = 0 if earlier is None else _wait_for_end(root, earlier)
        record = LeaseRecord(
            **asdict(new_session(secrets.token_hex(8), schedule)),
            number=1 if earlier is None else earlier.number + 1,
            lease_s=lease_s,
            series=secrets.token_hex(8) if earlier is None else earlier.series,
            at_large=at_large,
            left="" if earlier is None else earlier.left,
        )
        name = lease_name(schedule, record.number)
        if not root.create(name, _text(record)):
            continue  # look at who was faster
        numbers = _numbers(root, schedule)
        if record.number == max(numbers):
            for number in sorted(numbers)[:-KEPT]:
                root.delete(lease_name(schedule, number))
            return Lease(soon, record)
        root.delete(name)  # it was long ago that this was the next number


def schedules(root: Root) -> list[str]:
    """Names of the schedules that ever had a lease in this store.

    Raises:
        StoreError: if the store cannot be listed.
    """
    places = (place_of(name) for name in root.names("leases"))
    return sorted({place.owner for place in places if place is not None})


def newest_lease(root: Root, schedule: str) -> LeaseRecord | None:
    """The record with the highest number; None if there is none.

    Raises:
        StoreError: if the store cannot be read.
    """
    number = max(_numbers(root, schedule), default=None)
    return None if number is None else _read(root, lease_name(schedule, number))


def lease_name(schedule: str, number: int) -> str:
    """Where a lease's record lies."""
    return f"{_folder(schedule)}/{number:08d}.json"


def _folder(schedule: str) -> str:
    return f"leases/{schedule}"


def _numbers(root: Root, schedule: str) -> list[int]:
    names = [name.rsplit("/", 1)[-1] for name in root.names(_folder(schedule))]
    stems = [name.removesuffix(".json") for name in names]
    return [int(stem) for stem in stems if stem.isdecimal()]


def _read(root: Root, name: str) -> LeaseRecord:
    known = set(LeaseRecord.__dataclass_fields__)
    told = read_json(root, name)
    return LeaseRecord(**{key: value for key, value in told.items() if key in known})


def _wait_for_end(root: Root, holder: LeaseRecord) -> int:
    """Wait until a holder is over, and say which numbers up to it may live all the same (`at_large`).

    Raises:
        LeaseError: if it lives.
    """
    name = lease_name(holder.run, holder.number)
    watch = Watch(root, holder.lease_s)
    while not watch.is_over(name):
        now = _read(root, name)
        if now.beat != holder.beat and now.ended is None:
            raise LeaseError(
                f"{root.show(name)}: round {holder.number} of {holder.run} is at work on {holder.host}, since"
                f" {holder.started_at}; this one has changed nothing"
            )
        time.sleep(holder.lease_s / BEATS / 10)
    if not root.exists(name):
        return holder.number  # as long ago as that; the next number is taken too
    now = _read(root, name)
    is_certain = now.ended is not None or is_alive(now.process) is False
    return holder.at_large if is_certain else holder.number


def _text(record: LeaseRecord) -> bytes:
    return f"{json.dumps(asdict(record), indent=2, sort_keys=True)}\n".encode()


def _write(root: Root, record: LeaseRecord) -> None:
    root.write_bytes(lease_name(record.run, record.number), _text(record))
