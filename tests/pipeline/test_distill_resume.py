"""Kill a training: it goes on from its last checkpoint, and ends as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import yaml

from rdpt_ray.pipeline.distill import distill
from rdpt_ray.pipeline.distill_checkpoints import COMPLETE
from tests.pipeline.conftest import QUIET, REPOSITORY
from tests.pipeline.distill_world import config_of, learnable_run
from tests.pipeline.test_distill import weights_of

pytestmark = [pytest.mark.ray, pytest.mark.slow]

LONG = {"epochs": 24, "save_every": 4}
"""60 steps, with dropout: the random numbers must go on where they were."""
LORA = {"lora": {"rank": 4, "dropout": 0.3}}


@pytest.fixture(scope="module")
def world(ray_cluster, tmp_path_factory):
    """A run, and what an undisturbed training makes of it."""
    folder = tmp_path_factory.mktemp("resume")
    run = learnable_run(folder / "store" / "runs" / "small-1")
    undisturbed = distill(config_of(run, folder / "undisturbed", **LONG, **LORA), QUIET)
    assert undisturbed.resumed_from is None
    return folder, run, undisturbed


def first_checkpoint(model, timeout_s=200):
    """Wait until a checkpoint is whole."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if [*model.parent.glob(f"{model.name}.checkpoints/*/step-*/{COMPLETE}")]:
            return
        time.sleep(0.05)
    raise AssertionError("no checkpoint")


def same(world, model, resumed):
    folder, _, undisturbed = world
    assert 0 < resumed["resumed_from"] < resumed["steps"] == undisturbed.steps == 60
    assert weights_of(model) == weights_of(folder / "undisturbed")
    assert resumed["loss"] == undisturbed.loss
    record = json.loads((model / "distill.json").read_text())
    assert [step for step, _ in record["losses"]] == list(range(1, 61))
    assert not model.with_name(f"{model.name}.checkpoints").exists()


def in_time(interrupt, model):
    """The model that `interrupt` cut short and what it told; another one while it came too late.

    Once a checkpoint is whole the training has seconds left, and a busy machine can hold this
    process for as long: seen in CI, where the worker was killed after its last step.
    """
    for attempt in range(5):
        fresh = model.with_name(f"{model.name}-{attempt}")
        if told := interrupt(fresh):
            return fresh, told
    raise AssertionError("every training was over before it could be interrupted")


def test_a_lost_worker_is_replaced(world, tmp_path):
    _, run, _ = world

    def interrupt(model):
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(distill, config_of(run, model, **LONG, **LORA), QUIET)
            first_checkpoint(model)
            for process in psutil.Process().children(recursive=True):
                if "RayTrainWorker" in " ".join(process.cmdline()):
                    process.kill()
            told = running.result().to_json()
        return None if told["resumed_from"] in (None, told["steps"]) else told

    same(world, *in_time(interrupt, tmp_path / "model"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_same_command_continues(world, tmp_path, how):
    _, run, _ = world

    def interrupt(model):
        config = model.with_suffix(".yaml")
        tree = config_of(run, model, **LONG, **LORA).model_dump(mode="json", exclude_unset=True)
        config.write_text(yaml.safe_dump(tree))
        command = [sys.executable, "-m", "tests.pipeline.distill_driver", str(config)]
        driver = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, start_new_session=True, text=True
        )
        first_checkpoint(model)
        os.kill(driver.pid, how)
        told = driver.communicate(timeout=100)[0]
        whole = [*model.parent.glob(f"{model.name}.checkpoints/*/step-00000060-*/{COMPLETE}")]
        is_late = whole or (model / "distill.json").exists()
        return None if is_late else (command, driver.returncode, told)

    model, (command, code, told) = in_time(interrupt, tmp_path / "model")
    if how == signal.SIGINT:
        assert code == 75
        assert "run the same command again" in json.loads(told.splitlines()[-1])["error"]
    again = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=True
    )
    same(world, model, json.loads(again.stdout.splitlines()[-1]))
