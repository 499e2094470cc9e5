"""Model and checkpoints in an object store: a killed training goes on from what lies there."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from rdpt_ray.pipeline.distill_checkpoints import COMPLETE
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.distill_world import config_of, learnable_run
from tests.storage.s3_server import running_s3

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


def start(server, config):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.distill_driver", str(config)],
        cwd=REPOSITORY,
        env={**os.environ, **server.environment()},
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def keys(client):
    return [item["Key"] for item in client.list_objects_v2(Bucket="rdpt").get("Contents", [])]


def test_a_killed_training_continues_from_the_object_store(tmp_path):
    run = learnable_run(tmp_path / "store" / "runs" / "small-1")
    tree = config_of(run, tmp_path / "model", epochs=8, save_every=4)
    told = tree.model_dump(mode="json", exclude_unset=True)
    told["distill"]["to"] = "s3://rdpt/models/mine"
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(told))
    with running_s3() as server:
        client = server.client()
        client.create_bucket(Bucket="rdpt")
        driver = start(server, config)
        until = time.monotonic() + 400
        while not any(key.endswith(COMPLETE) for key in keys(client)):
            assert driver.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(driver.pid, signal.SIGKILL)
        driver.communicate(timeout=60)
        again = start(server, config)
        resumed = json.loads(again.communicate(timeout=400)[0].splitlines()[-1])
        there = {key.removeprefix("models/mine/") for key in keys(client)}
    assert resumed["resumed_from"] >= 4
    assert {"model.safetensors", "config.json", "distill.json", "README.md"} <= there
    assert not any("checkpoints" in key for key in there)
