"""What fits a cluster, counted by hand, and what is said when something does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.config import PoolConfig
from rdpt_ray.errors import CapacityError
from rdpt_ray.pipeline.capacity import (
    Cluster,
    Node,
    actors_on,
    can_grow,
    check_capacity,
    connected_cluster,
)

GB = 1e9


def node(name="n1", cpus=0, gpus=0, memory=64 * GB, kind=None, **labels):
    resources = {"CPU": cpus, "GPU": gpus, "memory": memory}
    if kind:
        resources[f"accelerator_type:{kind}"] = 1.0
    return Node(name, resources, {key.replace("_", "-"): value for key, value in labels.items()})


LAPTOP = Cluster((node(cpus=2),))
TWO_H100 = Cluster((node("head", cpus=4), node("g1", cpus=16, gpus=4, kind="H100", zone="a")))


def refusal(cluster, **pools):
    with pytest.raises(CapacityError) as caught:
        check_capacity({role: PoolConfig(**pool) for role, pool in pools.items()}, cluster)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pool", "there", "fit"),
    [
        ({"num_cpus": 1}, {"cpus": 2}, 2),
        ({"num_cpus": 0.5}, {"cpus": 2}, 4),
        ({"num_cpus": 0.1}, {"cpus": 0.3}, 3),  # 0.3 / 0.1 is 2.9999999999999996 in floats
        ({"num_cpus": 1.5}, {"cpus": 4}, 2),
        ({"num_cpus": 3}, {"cpus": 2}, 0),
        ({"num_gpus": 1}, {"cpus": 16, "gpus": 4}, 4),
        ({"num_gpus": 1, "num_cpus": 8}, {"cpus": 16, "gpus": 4}, 2),
        ({"num_gpus": 2}, {"cpus": 16, "gpus": 5}, 2),
        ({"num_gpus": 0.5}, {"cpus": 16, "gpus": 4}, 8),
        ({"num_gpus": 0.6}, {"cpus": 16, "gpus": 4}, 4),  # 4 / 0.6 is 6.67, but one GPU holds one
        ({"num_gpus": 0.3}, {"cpus": 16, "gpus": 2}, 6),
        ({"num_gpus": 0.1}, {"cpus": 16, "gpus": 1}, 10),
        ({"num_gpus": 0.5}, {"cpus": 16}, 0),
        ({"memory_gb": 30}, {"cpus": 16, "memory": 64 * GB}, 2),
        ({"memory_gb": 65}, {"cpus": 16, "memory": 64 * GB}, 0),
        ({"accelerator_type": "H100"}, {"cpus": 16, "kind": "H100"}, 16),
        ({"accelerator_type": "H100"}, {"cpus": 16, "kind": "A100"}, 0),
        ({"accelerator_type": "H100"}, {"cpus": 16}, 0),
        ({"labels": {"zone": "a"}}, {"cpus": 2, "zone": "a"}, 2),
        ({"labels": {"zone": "a"}}, {"cpus": 2, "zone": "b"}, 0),
        ({"labels": {"zone": "a"}}, {"cpus": 2}, 0),
        ({"labels": {"zone": "!a"}}, {"cpus": 2, "zone": "b"}, 2),
        ({"labels": {"zone": "!a"}}, {"cpus": 2, "zone": "a"}, 0),
        ({"labels": {"zone": "!a"}}, {"cpus": 2}, 2),
        ({"labels": {"zone": "in(a, b)"}}, {"cpus": 2, "zone": "b"}, 2),
        ({"labels": {"zone": "in(a, b)"}}, {"cpus": 2, "zone": "c"}, 0),
        ({"labels": {"zone": "!in(a,b)"}}, {"cpus": 2, "zone": "c"}, 2),
        ({"labels": {"zone": "!in(a,b)"}}, {"cpus": 2, "zone": "a"}, 0),
    ],
)
def test_actors_that_fit_a_node(pool, there, fit):
    assert actors_on(node(**there), PoolConfig(**pool)) == fit


@given(
    cpus=st.integers(0, 64),
    gpus=st.integers(0, 8),
    each_cpu=st.integers(1, 80).map(lambda tenths: tenths / 10),
    each_gpu=st.one_of(st.integers(0, 4), st.integers(1, 99).map(lambda percent: percent / 100)),
)
def test_what_fits_really_fits_and_one_more_does_not(cpus, gpus, each_cpu, each_gpu):
    fit = actors_on(node(cpus=cpus, gpus=gpus), PoolConfig(num_cpus=each_cpu, num_gpus=each_gpu))

    def packs(count):
        """Ray's rule, done one actor after another in whole hundredths."""
        left_cpu = cpus * 100
        left_gpus = [100] * gpus
        for _ in range(count):
            left_cpu -= round(each_cpu * 100)
            need = round(each_gpu * 100)
            if each_gpu < 1:
                holders = [place for place, left in enumerate(left_gpus) if left >= need]
                if need and not holders:
                    return False
                if need:
                    left_gpus[holders[0]] -= need
            else:
                whole = [place for place, left in enumerate(left_gpus) if left == 100]
                if len(whole) < each_gpu:
                    return False
                for place in whole[: int(each_gpu)]:
                    left_gpus[place] = 0
        return left_cpu >= 0

    assert packs(fit)
    assert not packs(fit + 1)


def test_a_pool_counts_every_node_it_may_use():
    pool = PoolConfig(num_gpus=1, accelerator_type="H100")
    both = Cluster((*TWO_H100.nodes, node("g2", cpus=2, gpus=8, kind="H100")))
    assert both.room(pool) == 4 + 2


def test_what_fits_is_not_spoken_of():
    pools = {"student": PoolConfig(), "teacher": PoolConfig(num_cpus=2)}
    assert check_capacity(pools, LAPTOP) == []


def test_an_actor_larger_than_any_node():
    said = refusal(LAPTOP, teacher={"num_cpus": 4})
    assert said == (
        "the run does not fit this cluster:\n"
        "  models.teacher.pool: one actor takes 4 CPU, more than any node; the largest, n1, has 2 CPU:"
        " lower what an actor takes, or add larger nodes"
    )


def test_the_largest_node_is_named_with_all_it_lacks():
    said = refusal(
        TWO_H100,
        teacher={"num_cpus": 4, "num_gpus": 8, "memory_gb": 80, "accelerator_type": "H100"},
    )
    assert (
        "one actor takes 4 CPU, 8 GPU and 80 GB memory, more than any node with the accelerator H100;"
        " the largest, g1, has 4 GPU and 64 GB memory:"
    ) in said


def test_gpus_are_not_added_up_over_nodes():
    cluster = Cluster((node("g1", cpus=8, gpus=1), node("g2", cpus=8, gpus=1)))
    assert "one actor takes 1 CPU and 2 GPU, more than any node; the largest, g1, has 1 GPU" in (
        refusal(cluster, teacher={"num_gpus": 2})
    )


def test_more_actors_than_there_is_room_for():
    said = refusal(TWO_H100, teacher={"num_gpus": 0.6, "min_actors": 6})
    assert (
        "models.teacher.pool: min_actors is 6, but only 4 fit (4 on g1), each taking 1 CPU and 0.6 GPU"
        " (shares of 0.6 leave 0.4 of every GPU unused): lower min_actors"
    ) in said
    assert "unused" not in refusal(TWO_H100, teacher={"num_gpus": 0.5, "min_actors": 9})


def test_an_accelerator_that_no_node_has():
    said = refusal(TWO_H100, teacher={"accelerator_type": "H200"})
    assert "no node has the accelerator H200; accelerators here: H100: change it" in said
    assert "accelerators here: none" in refusal(LAPTOP, teacher={"accelerator_type": "H200"})


def test_a_label_that_no_node_has():
    said = refusal(TWO_H100, student={"labels": {"zone": "b"}})
    assert "no node has the label zone=b; values of zone here: a: change it" in said


def test_a_cluster_without_a_cpu_for_the_tasks():
    cluster = Cluster((node("g1", cpus=0.5, gpus=1),))
    said = refusal(cluster, teacher={"num_cpus": 0.5, "num_gpus": 1})
    assert (
        "no node has the 1 CPU that a task of ingestion or selection needs (the most is 0.5)"
        in said
    )


def test_every_fault_of_every_role_is_told_at_once():
    said = refusal(LAPTOP, student={"min_actors": 3}, teacher={"num_gpus": 1}, distilled={})
    assert [line.split(": ")[0].strip() for line in said.splitlines()[1:]] == [
        "models.student.pool",
        "models.teacher.pool",
    ]


def test_where_nodes_can_come_it_is_a_wait_and_no_fault():
    empty = Cluster((node("head"),), can_grow=True)
    waits = check_capacity({"teacher": PoolConfig(num_gpus=1, accelerator_type="H100")}, empty)
    assert len(waits) == 2
    assert waits[0].startswith("models.teacher.pool: no node has the accelerator H100")


def test_an_autoscaler_gives_nodes_a_type():
    """Recorded from Ray 2.60: a node that nobody scales is of a type named after its own id."""
    assert not can_grow(["node_5b984d30399b80924bb19f66b8514f41819a18ed59448aca97a68ec2"])
    assert not can_grow([])
    assert can_grow(["headgroup", "gpu-workers"])


@pytest.mark.ray
def test_a_real_cluster(ray_cluster):
    cluster = connected_cluster()
    (only,) = cluster.nodes
    assert only.resources["CPU"] == 2
    assert not cluster.can_grow
    assert check_capacity({"student": PoolConfig(num_cpus=2)}, cluster) == []
    assert f"the largest, {only.name}, has 2 CPU" in refusal(cluster, student={"num_cpus": 3})
    assert "accelerators here: none" in refusal(cluster, student={"accelerator_type": "H100"})
    assert cluster.room(PoolConfig(labels={"ray.io/node-id": only.labels["ray.io/node-id"]})) == 2
    assert cluster.room(PoolConfig(labels={"ray.io/node-id": "another"})) == 0
