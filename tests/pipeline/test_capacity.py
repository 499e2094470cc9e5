"""What fits a cluster, counted by hand, and what is said when something does not."""

import pytest

from rdpt_ray.errors import CapacityError
from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.capacity import check_capacity
from rdpt_ray.pipeline.nodes import Cluster, Node, connected_cluster
from tests.pipeline.conftest import config_tree, miniature_rows, run

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


@pytest.mark.ray
def test_a_run_that_cannot_fit_ends_before_anything_is_read(ray_cluster, tmp_path):
    tree = config_tree(tmp_path, rows=miniature_rows(0, 3))
    tree["models"]["teacher"]["pool"] = {"num_cpus": 64}
    with pytest.raises(CapacityError, match=r"models\.teacher\.pool: one actor takes 64 CPU"):
        run(tree)
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"runs"}


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
