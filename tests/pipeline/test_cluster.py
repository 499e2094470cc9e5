"""Errors that workers make for users arrive as themselves."""

import pytest

from rdpt_ray.errors import InputError, ModelError, RdptError
from rdpt_ray.pipeline.cluster import connected

pytestmark = pytest.mark.ray


def refuse(batch):
    raise InputError("traces.jsonl: has changed since it was listed")


def refuse_at_length(batch):
    raise InputError("traces.jsonl: 2 columns are missing:\n- prompt\n- response")


class Unloadable:
    def __init__(self):
        raise ModelError("model m: cannot be loaded")

    def __call__(self, batch):
        return batch


def divide(batch):
    return {"a": batch["a"] / (1 // 0)}


def run(ray, body, **arguments):
    items = ray.data.from_items([{"a": 1}])
    with connected():
        list(items.map_batches(body, num_cpus=1, **arguments).iter_rows())


def test_a_task_s_error_arrives_as_itself(ray_cluster):
    with pytest.raises(InputError, match=r"^traces\.jsonl: has changed since it was listed$"):
        run(ray_cluster, refuse)


def test_every_line_of_it_arrives(ray_cluster):
    with pytest.raises(InputError, match=r"^traces\.jsonl: .+ missing:\n- prompt\n- response$"):
        run(ray_cluster, refuse_at_length)


def test_an_actor_s_error_arrives_as_itself(ray_cluster):
    pool = ray_cluster.data.ActorPoolStrategy(size=1)
    with pytest.raises(ModelError, match=r"^model m: cannot be loaded$"):
        run(ray_cluster, Unloadable, compute=pool)


def test_a_bug_stays_a_bug(ray_cluster):
    with pytest.raises(ray_cluster.exceptions.RayError) as caught:
        run(ray_cluster, divide)
    assert not isinstance(caught.value, RdptError)
    assert "ZeroDivisionError" in str(caught.value)
