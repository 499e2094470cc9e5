"""How many actors host a model, and what each one asks of Ray.

`num_cpus` is always stated: pools that share out fractions of the last CPU were seen to hang for ever
(three half-CPU pools on two CPUs), and Ray gives a worker without it a single compute thread.
"""

import math
from typing import Any

import ray

from rdpt_ray.config import PoolConfig
from rdpt_ray.errors import CapacityError

MAX_ACTORS = 64


def pool_arguments(pool: PoolConfig, *, num_parts: int) -> dict[str, Any]:
    """The arguments of `map_batches` that make the pool.

    Args:
        pool: As configured.
        num_parts: Parts there are to score; more actors than that would idle.

    Raises:
        CapacityError: in words, if not even one actor fits the cluster as it stands.
    """
    room = _room(pool)
    if room < pool.min_actors:
        have = ray.cluster_resources()
        raise CapacityError(
            f"pool of {pool.min_actors} actor(s), each with {pool.num_cpus:g} CPU and"
            f" {pool.num_gpus:g} GPU{_on(pool)}, does not fit this cluster ({have.get('CPU', 0):g} CPU,"
            f" {have.get('GPU', 0):g} GPU): lower pool.num_cpus, pool.num_gpus or pool.min_actors, or"
            " add nodes"
        )
    wanted = min(pool.max_actors or MAX_ACTORS, num_parts)
    largest = max(pool.min_actors, min(wanted, room))
    arguments: dict[str, Any] = {
        "compute": ray.data.ActorPoolStrategy(min_size=largest, max_size=largest),
        "num_cpus": pool.num_cpus,
        "num_gpus": pool.num_gpus,
    }
    if pool.accelerator_type is not None:
        arguments["accelerator_type"] = pool.accelerator_type
    return arguments


def num_threads(pool: PoolConfig) -> int:
    """Compute threads of one actor: its CPUs. Fixed by the config, so scores do not change with the pool."""
    return max(1, math.floor(pool.num_cpus))


def _room(pool: PoolConfig) -> int:
    """How many such actors the cluster can hold, node by node."""
    total = 0
    for node in ray.nodes():
        resources = node["Resources"]
        if not node["Alive"] or not _has_accelerator(pool, resources):
            continue
        by_cpu = resources.get("CPU", 0) // pool.num_cpus
        by_gpu = resources.get("GPU", 0) // pool.num_gpus if pool.num_gpus else math.inf
        total += int(min(by_cpu, by_gpu))
    return total


def _has_accelerator(pool: PoolConfig, resources: dict[str, float]) -> bool:
    wanted = pool.accelerator_type
    return wanted is None or f"accelerator_type:{wanted}" in resources


def _on(pool: PoolConfig) -> str:
    return f" on {pool.accelerator_type} nodes" if pool.accelerator_type else ""
