"""Where a model would run, whether it fits, how long that takes and what it costs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import ray
import torch

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.model_config import ModelConfig, PoolConfig
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.nodes import Cluster, Node, connected_cluster
from rdpt_ray.pipeline.plan_models import PlannedModel
from rdpt_ray.pipeline.pools import MAX_ACTORS
from rdpt_ray.plan_config import PlanConfig
from rdpt_ray.scoring.accelerators import ACCELERATORS, Accelerator
from rdpt_ray.scoring.actor_memory import ActorMemory, actor_memory, fits, smallest_shards

KIND = "accelerator_type:"
"""Starts the name of the resource by which Ray says what accelerator a node has."""

USUAL = "H100"
"""The accelerator that is reckoned with where nothing says which it is."""


CLUSTER, MACHINE, CONFIG, GROWN = "the cluster", "this machine", "the config", "the cluster, grown"
"""What says how many actors there would be."""


@dataclass(frozen=True, slots=True)
class Where:
    """What the job would run on."""

    cluster: Cluster
    name: str
    """CLUSTER, or MACHINE where no cluster is named."""
    is_connected: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """One model on one kind of accelerator."""

    accelerator: str
    fewest: int | None
    """Accelerators that an actor needs; None if 8 are too few."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Where one model would run."""

    accelerator: str | None
    """None: on CPUs."""
    is_guess: bool
    """Whether nothing says which accelerator it is."""
    actors: int
    per_actor: float
    """Accelerators that one takes; CPUs of a pool without."""
    from_where: str
    """What says how many actors there are: CLUSTER, MACHINE, CONFIG or GROWN."""
    memory: ActorMemory | None
    """Of each accelerator, as the pool is configured; None for a model of unknown size."""
    fits: bool | None
    """None where that cannot be told."""
    fewest: tuple[Fit, ...]
    """On every accelerator that is known; empty on CPUs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What some operations take."""

    hours: float
    """Of one accelerator."""
    wall_s: float
    """With all actors at work, start-up not counted."""
    price: float | None
    """In the config's currency; None without a price."""


@contextmanager
def whereabouts() -> Iterator[Where]:
    """What a job would use: the cluster that is connected, or that RAY_ADDRESS names, or this machine."""
    if ray.is_initialized() or os.environ.get("RAY_ADDRESS"):
        with connected():
            yield Where(connected_cluster(), CLUSTER, is_connected=True)
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    has = {"CPU": float(os.cpu_count() or 1), "memory": float(memory)}
    if torch.cuda.is_available():
        has["GPU"] = float(torch.cuda.device_count())
    yield Where(Cluster((Node(MACHINE, has),)), MACHINE, is_connected=False)


def known_accelerators(plan: PlanConfig) -> dict[str, Accelerator]:
    """Name -> what it does; the config's own before the table's."""
    own = {
        name: Accelerator(
            round(one.memory_gb * 1e9), one.half_tflops * 1e12, one.single_tflops * 1e12
        )
        for name, one in plan.accelerators.items()
    }
    return {**ACCELERATORS, **own}


def plan_pool(
    model: PlannedModel, config: CurateConfig, where: Where, *, longest: int, num_parts: float
) -> PoolPlan | None:
    """Find a model's place; None for a model that needs none here, because a server hosts it or nothing does.

    Args:
        model: Which.
        config: Of the job.
        where: What there is.
        longest: Tokens of the longest trace.
        num_parts: Parts to read: more actors than that would idle.
    """
    hosted = model.config
    if hosted.recorded is not None or hosted.endpoint is not None:
        return None
    pool = hosted.pool
    actors, from_where = _actors(pool, where, num_parts)
    if not pool.num_gpus:
        memory = None if model.size is None else actor_memory(model.size, hosted, longest=longest)
        return PoolPlan(None, False, actors, pool.num_cpus, from_where, memory, None, ())
    known = known_accelerators(config.plan)
    name, is_guess = _accelerator(pool, config, where.cluster, known)
    if model.size is None:
        return PoolPlan(name, is_guess, actors, pool.num_gpus, from_where, None, None, ())
    memory = actor_memory(model.size, hosted, longest=longest, shards=_shards(hosted))
    size = model.size
    fewest = tuple(
        Fit(kind, smallest_shards(size, hosted, one.memory_bytes, longest=longest))
        for kind, one in known.items()
    )
    is_fit = fits(memory, hosted, known[name].memory_bytes) if name in known else None
    return PoolPlan(name, is_guess, actors, pool.num_gpus, from_where, memory, is_fit, fewest)


def cost_of(
    flops: float, role: Role, model: ModelConfig, pool: PoolPlan | None, plan: PlanConfig
) -> Cost | None:
    """How long accelerators work for so many operations; None where that cannot be told."""
    known = known_accelerators(plan)
    if pool is None or pool.accelerator not in known or not flops:
        return None
    rate = known[pool.accelerator].flops(model.dtype) * plan.mfu_of.get(role, plan.mfu)
    seconds = flops / rate
    per_hour = plan.price_per_hour.get(pool.accelerator)
    return Cost(
        hours=seconds / 3600,
        wall_s=seconds / (pool.actors * pool.per_actor),
        price=None if per_hour is None else per_hour * seconds / 3600,
    )


def _shards(model: ModelConfig) -> int:
    """Over how many accelerators an actor's model is spread."""
    return max(1, int(model.pool.num_gpus))


def _actors(pool: PoolConfig, where: Where, num_parts: float) -> tuple[int, str]:
    """How many actors there would be, and what says so."""
    most = max(1, min(pool.max_actors or MAX_ACTORS, round(num_parts)))
    if where.cluster.can_grow:
        return most, GROWN
    room = where.cluster.room(pool)
    if room:
        return max(min(room, most), min(pool.min_actors, most)), where.name
    return min(most, pool.max_actors or pool.min_actors), CONFIG


def _accelerator(
    pool: PoolConfig, config: CurateConfig, cluster: Cluster, known: Mapping[str, Accelerator]
) -> tuple[str, bool]:
    """The accelerator of a pool, and whether that is a guess: the cluster's, another pool's, a priced one."""
    if pool.accelerator_type is not None:
        return pool.accelerator_type, False
    there = [
        name.removeprefix(KIND)
        for node in cluster.nodes
        for name in node.resources
        if name.startswith(KIND)
    ]
    if there:
        return there[0], len(set(there)) > 1
    models = [config.models.teacher, config.models.student, *config.models.teachers.values()]
    others = [each.pool.accelerator_type for each in models if each is not None]
    named = [*filter(None, others), *(name for name in config.plan.price_per_hour if name in known)]
    return next(iter(named), USUAL), True
