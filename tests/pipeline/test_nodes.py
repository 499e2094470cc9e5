"""How many actors fit a node, counted by hand and packed one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.nodes import Cluster, Node, actors_on, can_grow

GB = 1e9


def node(name="n1", cpus=0, gpus=0, memory=64 * GB, kind=None, **labels):
    resources = {"CPU": cpus, "GPU": gpus, "memory": memory}
    if kind:
        resources[f"accelerator_type:{kind}"] = 1.0
    return Node(name, resources, {key.replace("_", "-"): value for key, value in labels.items()})


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
    first, second = node(cpus=16, gpus=4, kind="H100"), node(cpus=2, gpus=8, kind="H100")
    both = Cluster((node(cpus=4), first, second))
    assert both.room(pool) == 4 + 2


def test_an_autoscaler_gives_nodes_a_type():
    """Recorded from Ray 2.60: a node that nobody scales is of a type named after its own id."""
    assert not can_grow(["node_5b984d30399b80924bb19f66b8514f41819a18ed59448aca97a68ec2"])
    assert not can_grow([])
    assert can_grow(["headgroup", "gpu-workers"])
