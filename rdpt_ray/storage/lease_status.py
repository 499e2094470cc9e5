"""Who holds the leases of a store: `rdpt status`. Nothing is waited for, and nothing is changed."""

import time
from dataclasses import dataclass
from typing import Literal

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inventory import inventory
from rdpt_ray.storage.leases import LeaseRecord, lease_name, newest_lease, schedules
from rdpt_ray.storage.sessions import is_alive


@dataclass(slots=True)
class LeaseStatus:
    """The last round of a schedule."""

    schedule: str
    number: int
    """The round's."""
    state: Literal["held", "silent", "free"]
    """silent: it did not let go, and is gone or has not beaten for `lease_s`; the next round takes over."""
    host: str
    started_at: str
    lease_s: float
    silent_s: float | None = None
    """Since its last beat, by the clocks of the store and of whoever asks; None if nobody can say."""


def status_of_leases(root: Root) -> list[LeaseStatus]:
    """Who holds the lease of every schedule, or held it last; by the schedules' names.

    A process of this host is looked up. Of one elsewhere the record's age counts.

    Args:
        root: The store.

    Raises:
        StoreError: if the store cannot be read.
    """
    records = [newest_lease(root, schedule) for schedule in schedules(root)]
    return [_status(root, record) for record in records if record is not None]


def _status(root: Root, record: LeaseRecord) -> LeaseStatus:
    schedule = record.run
    name = lease_name(schedule, record.number)
    file = inventory(root, [name], name.rpartition("/")[0]).get(name)
    changed = file.changed if file else None
    silent_s = None if changed is None else max(0.0, time.time() - changed)
    found = LeaseStatus(
        schedule, record.number, "held", record.host, record.started_at, record.lease_s, silent_s
    )
    if record.ended is not None:
        found.state, found.silent_s = "free", None
    else:
        lives = is_alive(record.process)
        if lives is False or (lives is None and (silent_s or 0.0) >= record.lease_s):
            found.state = "silent"
    return found
