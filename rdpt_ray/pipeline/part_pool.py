"""A pool of actors over parts: what scoring and sampling ask of Ray, and how an actor lives and ends.

Every actor hosts a model, works on one part at a time and commits it itself, before it reports.
"""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray

from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.attempts import Attempts
from rdpt_ray.pipeline.nodes import connected_cluster, is_gone
from rdpt_ray.pipeline.pools import GROW_AT, OVERLAP, pool_arguments
from rdpt_ray.pipeline.vitals import Guard, Pulse
from rdpt_ray.storage.files import Root

SELF_ENDED = 70
"""Exit code of an actor whose engine asked the process to end."""

INIT_DEATHS = 5
"""Actors in a row that may die while they load their model, as on spot machines, before the job ends."""


def over_parts(
    actor: type,
    parts: Sequence[Mapping[str, Any]],
    arguments: Mapping[str, Any],
    pool: PoolConfig,
    stalled: Callable[[str], None],
) -> Generator[dict[str, Any], None, None]:
    """Give parts to a pool, one at a time.

    Args:
        actor: Its class; called with a table of one part, gives a table of one record.
        parts: One row each, in the order in which they are given out.
        arguments: What an actor is made with, beside `vitals`.
        pool: As configured.
        stalled: Called, from a thread, when Ray does nothing any more.

    Yields:
        The records, in any order.
    """
    items = ray.data.from_items(list(parts), override_num_blocks=len(parts))
    items.context.autoscaling_config.actor_pool_util_upscaling_threshold = GROW_AT
    # Ray's own guard would end a job whose model loads for longer than half an hour.
    items.context.execution_no_progress_timeout_s = -1
    items.context.max_consecutive_actor_init_deaths = INIT_DEATHS
    limit_s = max(pool.pass_limit_s, pool.load_limit_s)
    with Guard(limit_s=limit_s, stalled=stalled) as guard:
        done: Any = items.map_batches(
            actor,
            fn_constructor_kwargs={**arguments, "vitals": guard.vitals},
            batch_size=1,
            batch_format="pyarrow",
            **pool_arguments(pool, connected_cluster(), num_parts=len(parts)),
        )
        yield from done.iter_rows()


def pulse_of(pool: PoolConfig, vitals: Any) -> Pulse:
    """An actor's signs of life, to `vitals`."""
    return Pulse(vitals, pass_s=pool.pass_limit_s, load_s=pool.load_limit_s)


def attempts_of(store: Root, name: str, session: str, pulse: Pulse) -> Attempts:
    """An actor's attempts at parts.

    Args:
        store: Where they are kept.
        name: By whom or at what: parts of the same key under another name are other parts.
        session: The file of the session that the work is done for.
        pulse: The actor's.
    """
    return Attempts(
        store,
        name,
        session=session,
        width=OVERLAP,
        node=ray.get_runtime_context().get_node_id() if ray.is_initialized() else "",
        is_gone=is_gone,
        waiting=pulse.waiting,
    )


@contextmanager
def ending_itself() -> Iterator[None]:
    """End the process where an engine asks for it."""
    try:
        yield
    except SystemExit:
        # Ray takes it for the actor's own wish, never starts it anew, and hangs (2.60, ray#62746).
        os._exit(SELF_ENDED)
