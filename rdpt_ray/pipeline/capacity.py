"""Does it fit? Asked of every pool before anything is loaded, and answered in words.

Stages run one after another, so each pool is held against the whole cluster: a pool may take every CPU,
since a scoring stage has no other operator that needs one. Ingestion and selection are tasks of 1 CPU
(without actors beside them that hold it, which is how three pools of half a CPU hung on two CPUs).
"""

from collections.abc import Mapping

from rdpt_ray.errors import CapacityError
from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.nodes import UNITS, Cluster, Node, actors_on, admits, memory_bytes, units

TASK_CPUS = 1
"""CPUs of one task of ingestion or selection."""


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
    admitted = [node for node in cluster.nodes if admits(node, pool)]
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
    rest = UNITS % units(pool.num_gpus)
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
