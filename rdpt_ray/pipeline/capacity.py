"""Does it fit? Asked of every pool before anything is loaded, and answered in words.

Stages run one after another, so each pool is held against the whole cluster: a pool may take every CPU,
since a scoring stage has no other operator that needs one. Ingestion and selection are tasks of 1 CPU
(without actors beside them that hold it, which is how three pools of half a CPU hung on two CPUs).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.experimental.internal_kv import _internal_kv_get

from rdpt_ray.config import PoolConfig
from rdpt_ray.errors import CapacityError

UNITS = 10_000
"""Ray counts resources in ten-thousandths."""

TASK_CPUS = 1
"""CPUs of one task of ingestion or selection."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine as Ray counts it."""

    name: str
    resources: Mapping[str, float]
    """CPU, GPU, memory (bytes), accelerator_type:X and whatever else it was started with."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The machines that are there, and whether more can come."""

    nodes: tuple[Node, ...]
    can_grow: bool = False
    """Whether an autoscaler watches it."""

    def room(self, pool: PoolConfig) -> int:
        """How many actors of a pool fit the nodes that are there."""
        return sum(actors_on(node, pool) for node in self.nodes)


def connected_cluster() -> Cluster:
    """The cluster that this process is connected to, as it stands."""
    nodes = tuple(
        Node(node["NodeManagerAddress"], node["Resources"], node.get("Labels") or {})
        for node in ray.nodes()
        if node["Alive"]
    )
    return Cluster(nodes, can_grow=can_grow(_node_types()))


def _node_types() -> list[str]:
    """The types of the nodes, as whatever watches the cluster tells them."""
    report = _internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    if report:  # left there by Ray's first autoscaler, not by the second
        return list(json.loads(report).get("autoscaler_report", {}).get("active_nodes", {}))
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    return [node.ray_node_type_name for node in [*status.active_nodes, *status.idle_nodes]]


def can_grow(node_types: Iterable[str]) -> bool:
    """Whether an autoscaler is there: without one, each node is a type of its own, node_ID (Ray 2.60)."""
    return any(not name.startswith("node_") for name in node_types)


def actors_on(node: Node, pool: PoolConfig) -> int:
    """How many actors of a pool fit one node: whole GPUs are cut up one by one, never added together."""
    if not _admits(node, pool):
        return 0
    has = node.resources
    rooms = [_units(has.get("CPU", 0)) // _units(pool.num_cpus)]
    if 0 < pool.num_gpus < 1:
        rooms.append(int(has.get("GPU", 0)) * (UNITS // _units(pool.num_gpus)))
    elif pool.num_gpus:
        rooms.append(int(has.get("GPU", 0) // pool.num_gpus))
    if pool.memory_gb:
        rooms.append(int(has.get("memory", 0) // memory_bytes(pool)))
    return min(rooms)


def memory_bytes(pool: PoolConfig) -> int:
    """Memory of one actor; 0 if none is asked for."""
    return round((pool.memory_gb or 0) * 1e9)


def check_capacity(pools: Mapping[str, PoolConfig], cluster: Cluster) -> list[str]:
    """Refuse a run that could never finish, or would wait for ever.

    Args:
        pools: Role -> its pool.
        cluster: What there is.

    Returns:
        What the run will have to wait for, on a cluster that can grow.

    Raises:
        CapacityError: listing every fault of every pool, with what to change; only on a cluster that
            cannot grow.
    """
    faults = [
        f"models.{role}.pool: {fault}"
        for role, pool in pools.items()
        if (fault := _fault(pool, cluster)) is not None
    ]
    most_cpus = max((node.resources.get("CPU", 0) for node in cluster.nodes), default=0)
    if most_cpus < TASK_CPUS:
        faults.append(
            f"no node has the {TASK_CPUS} CPU that a task of ingestion or selection needs"
            f" (the most is {most_cpus:g}): add a node with CPUs"
        )
    if faults and not cluster.can_grow:
        raise CapacityError("the run does not fit this cluster:\n  " + "\n  ".join(faults))
    return faults


def _fault(pool: PoolConfig, cluster: Cluster) -> str | None:
    """Why a pool does not fit the nodes that are there, and what would help; None if it does."""
    admitted = [node for node in cluster.nodes if _admits(node, pool)]
    if not admitted:
        return (
            f"no node has {_placement(pool)}; {_what_there_is(cluster, pool)}:"
            " change it, or add such nodes"
        )
    where = f" with {_placement(pool)}" if pool.accelerator_type or pool.labels else ""
    room = cluster.room(pool)
    if room == 0:
        largest = max(admitted, key=_size)
        short = " and ".join(_shortages(largest, pool))
        return (
            f"one actor takes {_shown(pool)}, more than any node{where}; the largest,"
            f" {largest.name}, has {short}: lower what an actor takes, or add larger nodes"
        )
    if room < pool.min_actors:
        spread = ", ".join(
            f"{count} on {node.name}" for node in admitted if (count := actors_on(node, pool))
        )
        return (
            f"min_actors is {pool.min_actors}, but only {room} fit ({spread}), each taking"
            f" {_shown(pool)}{_waste(pool)}: lower min_actors or what an actor takes, or add nodes"
        )
    return None


def _admits(node: Node, pool: PoolConfig) -> bool:
    """Whether a pool's actors may be placed on a node."""
    wanted = pool.accelerator_type
    if wanted is not None and f"accelerator_type:{wanted}" not in node.resources:
        return False
    return all(_matches(node.labels.get(key), value) for key, value in pool.labels.items())


def _matches(label: str | None, selector: str) -> bool:
    """Ray's label selectors; a node without the label matches every negation."""
    negated = selector.startswith("!")
    body = selector.removeprefix("!")
    several = re.fullmatch(r"in\((.*)\)", body)
    values = [value.strip() for value in several[1].split(",")] if several else [body]
    return (label in values) != negated


def _shortages(node: Node, pool: PoolConfig) -> list[str]:
    """What a node has of that which is too little for one actor."""
    needs = {"CPU": pool.num_cpus, "GPU": pool.num_gpus, "memory": memory_bytes(pool)}
    short = [name for name, need in needs.items() if need > node.resources.get(name, 0)]
    return [_amount(name, node.resources.get(name, 0)) for name in short]


def _shown(pool: PoolConfig) -> str:
    parts = [_amount("CPU", pool.num_cpus)]
    if pool.num_gpus:
        parts.append(_amount("GPU", pool.num_gpus))
    if pool.memory_gb:
        parts.append(_amount("memory", memory_bytes(pool)))
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _amount(name: str, value: float) -> str:
    return f"{value / 1e9:.3g} GB memory" if name == "memory" else f"{value:g} {name}"


def _waste(pool: PoolConfig) -> str:
    """A remark on shares that leave a rest of every GPU."""
    if not 0 < pool.num_gpus < 1:
        return ""
    rest = UNITS % _units(pool.num_gpus)
    return (
        f" (shares of {pool.num_gpus:g} leave {rest / UNITS:g} of every GPU unused)" if rest else ""
    )


def _placement(pool: PoolConfig) -> str:
    labels = [f"the label {key}={value}" for key, value in pool.labels.items()]
    kind = [f"the accelerator {pool.accelerator_type}"] if pool.accelerator_type else []
    return " and ".join(kind + labels)


def _what_there_is(cluster: Cluster, pool: PoolConfig) -> str:
    """The accelerators and labels that nodes do have, as far as the pool asks for them."""
    said = []
    if pool.accelerator_type:
        prefix = "accelerator_type:"
        kinds = {
            name for node in cluster.nodes for name in node.resources if name.startswith(prefix)
        }
        found = ", ".join(sorted(kind.removeprefix(prefix) for kind in kinds)) or "none"
        said.append(f"accelerators here: {found}")
    for key in pool.labels:
        values = {node.labels[key] for node in cluster.nodes if key in node.labels}
        said.append(f"values of {key} here: {', '.join(sorted(values)) or 'none'}")
    return "; ".join(said)


def _size(node: Node) -> tuple[float, float, float]:
    has = node.resources
    return has.get("GPU", 0), has.get("CPU", 0), has.get("memory", 0)


def _units(amount: float) -> int:
    return round(amount * UNITS)
