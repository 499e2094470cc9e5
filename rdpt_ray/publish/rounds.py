"""A job as one round of its config's schedule, which holds the lease from before it looks at anything."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from rdpt_ray.config import CurateConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.leases import Lease, held_lease


@contextmanager
def schedule_round(config: CurateConfig, store: Root, console: Console) -> Iterator[Lease | None]:
    """Hold the lease of the config's schedule for the length of a `with` block; None if it has none.

    Raises:
        LeaseError: if another round is at work.
        StoreError: if the store cannot be read or written.
    """
    if config.schedule is None:
        yield None
        return
    name = config.schedule.name or config.name
    with held_lease(store, name, config.schedule.lease_s) as lease:
        console.print(f"round {lease.number} of {name}", highlight=False, markup=False)
        yield lease
