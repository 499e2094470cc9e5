"""The nodes of a Ray cluster, and how many actors of a pool fit them.

Ray is asked only what there is; the rest is arithmetic over a list, so that any cluster can be described
in a test.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.experimental.internal_kv import _internal_kv_get

from rdpt_ray.model_config import PoolConfig

CPU = "CPU"
"""What an actor without a GPU is counted and paid by."""

UNITS = 10_000
"""Ray counts resources in ten-thousandths."""


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


def is_gone(node: str) -> bool:
    """Whether a node, by Ray's id, is no longer there. Unknown ones are not: they say nothing.

    Asked in workers, of nodes whose processes ended.
    """
    return any(each["NodeID"] == node and not each["Alive"] for each in ray.nodes())


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
    if not admits(node, pool):
        return 0
    has = node.resources
    rooms = [units(has.get("CPU", 0)) // units(pool.num_cpus)]
    if 0 < pool.num_gpus < 1:
        rooms.append(int(has.get("GPU", 0)) * (UNITS // units(pool.num_gpus)))
    elif pool.num_gpus:
        rooms.append(int(has.get("GPU", 0) // pool.num_gpus))
    if pool.memory_gb:
        rooms.append(int(has.get("memory", 0) // memory_bytes(pool)))
    return min(rooms)


def accelerator_of(resources: Mapping[str, float]) -> str:
    """A node's accelerator as Ray names it, for example H100; GPU where Ray does not know it."""
    start = "accelerator_type:"
    return next((name.removeprefix(start) for name in resources if name.startswith(start)), "GPU")


def memory_bytes(pool: PoolConfig) -> int:
    """Memory of one actor; 0 if none is asked for."""
    return round((pool.memory_gb or 0) * 1e9)


def admits(node: Node, pool: PoolConfig) -> bool:
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


def units(amount: float) -> int:
    """An amount of a resource in the steps that Ray counts in, so that 0.3 holds 0.1 three times."""
    return round(amount * UNITS)
