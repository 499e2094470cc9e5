"""What a pool of actors asks of Ray.

`num_cpus` is always stated: pools that share out fractions of the last CPU were seen to hang for ever
(three half-CPU pools on two CPUs), and Ray gives a worker without it a single compute thread.
"""

import math
from typing import Any

import ray

from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.nodes import Cluster, memory_bytes

MAX_ACTORS = 64
"""A pool that states no size stops here: a typing error must not rent a data centre."""

OVERLAP = 2
"""Parts an actor has in hand: the model works on one while the next is read and tokenised."""

GROW_AT = 1.0
"""Share of its actors' hands that are full before a pool grows; Ray's own 1.75 needs a longer queue at
each actor, which leaves parts waiting behind a busy actor while another is idle at the end."""


def pool_arguments(pool: PoolConfig, cluster: Cluster, *, num_parts: int) -> dict[str, Any]:
    """The arguments of `map_batches` that make the pool.

    It starts as large as the nodes that are there allow and grows with the cluster.

    Args:
        pool: As configured.
        cluster: The nodes.
        num_parts: Parts there are to score; more actors than that would idle.
    """
    most = min(pool.max_actors or MAX_ACTORS, num_parts)
    fewest = min(most, max(pool.min_actors, cluster.room(pool)))
    arguments: dict[str, Any] = {
        "compute": ray.data.ActorPoolStrategy(
            min_size=fewest,
            max_size=most,
            max_tasks_in_flight_per_actor=OVERLAP,
            max_concurrent_calls_per_actor=OVERLAP,
            enable_true_multi_threading=True,
        ),
        "num_cpus": pool.num_cpus,
        "num_gpus": pool.num_gpus,
    }
    if pool.memory_gb is not None:
        arguments["memory"] = memory_bytes(pool)
    if pool.accelerator_type is not None:
        arguments["accelerator_type"] = pool.accelerator_type
    if pool.labels:
        arguments["label_selector"] = pool.labels
    return arguments


def num_threads(pool: PoolConfig) -> int:
    """Compute threads of one actor. Fixed by the config, so scores do not change with the pool."""
    return pool.num_threads or max(1, math.floor(pool.num_cpus))
