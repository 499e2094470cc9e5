"""A round of a schedule never replaces what a later round has published.

Every release says in `release.json` which round made it. Before a round publishes it looks whether it still
holds the lease, and whether what is there is a later round's. On the Hub the look and the change are one
step, because the commit names the head that was looked at; elsewhere they are two (docs/schedules.md).

Where a round finds its release already there, nothing is written, and what is there keeps its earlier number.
That is one step short if a round between the two may still live: it could replace the release by its own. So
then the same release is made once more, with the number of now.
"""

from dataclasses import asdict, dataclass
from typing import Any

from rdpt_ray.errors import LeaseError
from rdpt_ray.storage.leases import Lease

SCHEDULE = "schedule"
"""Key of `release.json`."""


@dataclass(frozen=True, slots=True)
class Round:
    """Which round made a release."""

    name: str
    """The schedule's."""
    series: str
    """Only numbers of one series can be compared."""
    number: int


def round_of(lease: Lease) -> dict[str, Any]:
    """What a release says of the round that makes it."""
    return asdict(Round(lease.schedule, lease.record.series, lease.number))


def round_in(told: Any) -> Round | None:
    """Which round made a release, by its record; None for none. Anybody may have written it."""
    try:
        found = told[SCHEDULE]
        return Round(str(found["name"]), str(found["series"]), int(found["number"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def pass_fence(lease: Lease | None, there: Round | None, where: str) -> None:
    """Let a round publish, or not.

    Args:
        lease: The round's; None: it is no round, and always may.
        there: Who made the release that is there.
        where: The place, for the words.

    Raises:
        LeaseError: if a later round has taken over, or has published there.
    """
    if lease is None:
        return
    lease.check()
    number = _number(lease, there)
    if number > lease.number:
        raise LeaseError(
            f"{where}: round {number} of {lease.schedule} has published there, and this is round"
            f" {lease.number}; nothing is published by this one"
        )


def must_mark(lease: Lease | None, there: Round | None) -> bool:
    """Whether an earlier round that may live could replace the release, if its number stays as it is."""
    if lease is None or not lease.record.at_large:
        return False
    return _number(lease, there) <= lease.record.at_large


def _number(lease: Lease, there: Round | None) -> int:
    """The number of what is there in the lease's series; 0 if it has none."""
    return there.number if there and there.series == lease.record.series else 0
