"""What a pool asks of Ray, and that a real Ray does it: it grows with its cluster and stays where it may."""

import json
import subprocess
import sys

import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError
from rdpt_ray.model_config import ModelConfig, PoolConfig
from rdpt_ray.pipeline.nodes import Cluster, Node
from rdpt_ray.pipeline.pools import MAX_ACTORS, num_threads, pool_arguments
from tests.pipeline.conftest import config_tree

FOUR_CPUS = Cluster((Node("a", {"CPU": 3}), Node("b", {"CPU": 1})))


def sizes(cluster, num_parts, **pool):
    strategy = pool_arguments(PoolConfig(**pool), cluster, num_parts=num_parts)["compute"]
    return strategy.min_size, strategy.max_size


@pytest.mark.parametrize(
    ("pool", "num_parts", "expected"),
    [
        ({}, 1000, (4, MAX_ACTORS)),
        ({}, 3, (3, 3)),
        ({}, 6, (4, 6)),
        ({"max_actors": 2}, 1000, (2, 2)),
        ({"max_actors": 200}, 1000, (4, 200)),
        ({"num_cpus": 2}, 1000, (1, MAX_ACTORS)),  # no second one fits beside the first
        ({"min_actors": 9}, 1000, (9, MAX_ACTORS)),  # waits for nodes
        ({"min_actors": 9}, 5, (5, 5)),
    ],
)
def test_it_starts_as_large_as_fits_and_may_grow(pool, num_parts, expected):
    assert sizes(FOUR_CPUS, num_parts, **pool) == expected


def test_what_is_not_asked_for_is_not_said():
    arguments = pool_arguments(PoolConfig(), FOUR_CPUS, num_parts=1)
    assert arguments.keys() == {"compute", "num_cpus", "num_gpus"}
    assert (arguments["num_cpus"], arguments["num_gpus"]) == (1, 0)


def test_what_an_actor_takes_and_where():
    pool = PoolConfig(
        num_cpus=2, num_gpus=0.5, memory_gb=1.5, accelerator_type="H100", labels={"zone": "!a"}
    )
    arguments = pool_arguments(pool, FOUR_CPUS, num_parts=1)
    del arguments["compute"]
    assert arguments == {
        "num_cpus": 2,
        "num_gpus": 0.5,
        "memory": 1_500_000_000,
        "accelerator_type": "H100",
        "label_selector": {"zone": "!a"},
    }


@pytest.mark.parametrize(
    ("pool", "threads"),
    [
        ({}, 1),
        ({"num_cpus": 0.5}, 1),
        ({"num_cpus": 3.9}, 3),
        ({"num_cpus": 1, "num_threads": 4}, 4),
    ],
)
def test_threads_follow_the_cpus_unless_stated(pool, threads):
    assert num_threads(PoolConfig(**pool)) == threads


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        ({"num_gpus": 1.5}, "num_gpus above 1 must be a whole number"),
        ({"num_cpus": 0}, "num_cpus"),
        ({"memory_gb": 0}, "memory_gb"),
        ({"num_threads": 0}, "num_threads"),
        ({"min_actors": 3, "max_actors": 2}, "max_actors is less than min_actors"),
        ({"labels": {"zone": "in()"}}, "expected value, !value, in(a,b) or !in(a,b)"),
        ({"labels": {"zone": "not a"}}, "expected value, !value, in(a,b) or !in(a,b)"),
    ],
)
def test_a_pool_that_ray_would_refuse_is_refused_with_the_config(tmp_path, pool, said):
    tree = config_tree(tmp_path)
    tree["models"]["teacher"]["pool"] = pool
    with pytest.raises(ConfigError) as caught:
        parse_config(tree)
    assert "models.teacher.pool" in str(caught.value)
    assert said in str(caught.value)


def test_label_selectors_that_ray_takes_are_taken():
    for value in ("a", "!a", "in(a,b)", "!in(a, b)", "us-west1_b.c"):
        assert ModelConfig(model="m", pool=PoolConfig(labels={"ray.io/zone": value}))


GROWS = """
import json, os, threading, time
import ray
from ray.cluster_utils import Cluster as Nodes
from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.nodes import connected_cluster
from rdpt_ray.pipeline.pools import GROW_AT, pool_arguments

class Work:
    def __call__(self, batch):
        time.sleep(1.5)
        return {"pid": [os.getpid()], "node": [ray.get_runtime_context().get_node_id()]}

def run(pool, num_parts):
    items = ray.data.from_items(list(range(num_parts)), override_num_blocks=num_parts)
    items.context.autoscaling_config.actor_pool_util_upscaling_threshold = GROW_AT
    arguments = pool_arguments(pool, connected_cluster(), num_parts=num_parts)
    rows = list(items.map_batches(Work, batch_size=1, **arguments).iter_rows())
    return len(rows), len({row["pid"] for row in rows}), {row["node"] for row in rows}

nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8})
ray.init(address=nodes.address, log_to_driver=False)
try:
    grown = []
    thread = threading.Thread(target=lambda: grown.extend(run(PoolConfig(), 70)))
    thread.start()
    time.sleep(5)
    before = len(connected_cluster().nodes)
    added = nodes.add_node(num_cpus=1, object_store_memory=10**8, labels={"zone": "b"})
    thread.join()
    placed = run(PoolConfig(labels={"zone": "b"}), 3)
    print(json.dumps({
        "before": before, "rows": grown[0], "actors": grown[1], "nodes": len(grown[2]),
        "placed_on_b": placed[2] == {added.node_id},
    }))
finally:
    ray.shutdown()
    nodes.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_pool_grows_with_its_cluster_and_stays_where_it_may():
    """A process of its own: this one may already be connected to another cluster."""
    done = subprocess.run(
        [sys.executable, "-c", GROWS], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told == {"before": 1, "rows": 70, "actors": 2, "nodes": 2, "placed_on_b": True}
