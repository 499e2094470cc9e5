"""A round whose process is frozen while it publishes: the next one takes over, and it changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rdpt_ray.publish.release import RELEASE
from tests.hub.client import environment
from tests.hub.server import running_hub
from tests.publish.finished_run import candidate, finished_run
from tests.publish.hub_releases import NAME, shown

REPOSITORY = Path(__file__).resolve().parents[2]


def run_in(store, name, answer):
    """A finished run of the schedule, with rows of its own."""
    models = {role: {"model": f"org/{role}"} for role in ("teacher", "student")}
    config = {"name": "demo", "input": {"path": "x"}, "models": models, "store": str(store)}
    config |= {"publish": {"to": f"hf://datasets/{NAME}"}, "schedule": {"lease_s": 1.5}}
    rows = [candidate("What is 1 + 1?", f"I think it is {answer}.", answer)]
    finished_run(store / "runs" / name, rows, config=config)
    return store / "runs" / name


def start(hub, folder, run):
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "jobs/publish.py"), "--run", str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment(hub, folder)},
    )


def last_line(process):
    stdout, stderr = process.communicate(timeout=100)
    assert stdout.strip(), stderr
    return json.loads(stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("step", ["/preupload/", "/commit/"])
def test_a_frozen_round_that_wakes_up_later_publishes_nothing(tmp_path, step):
    """Frozen before it asks for its commit, or while its commit is under way."""
    store = tmp_path / "store"
    old, new = run_in(store, "old-1", "two"), run_in(store, "new-1", "three")
    with running_hub() as hub:
        frozen, seen = start(hub, tmp_path, old), []

        def freeze_once(_, path):
            if step in path and not seen:
                seen.append(path)
                frozen.send_signal(signal.SIGSTOP)
                following = start(hub, tmp_path, new)
                seen.append((last_line(following), following.returncode))

        hub.listeners.append(freeze_once)
        try:
            while len(seen) < 2 and frozen.poll() is None:
                time.sleep(0.05)
        finally:
            frozen.send_signal(signal.SIGCONT)
        told = last_line(frozen)
        published, code = seen[1]
        assert (code, published["changed"]) == (0, True)
        assert (told["error"], frozen.returncode) == ("LeaseError", 4)
        assert "round 2 of demo has" in told["message"]
        assert json.loads(shown(hub)[RELEASE])["schedule"]["number"] == 2
        assert len(hub.datasets[NAME].commits) == 2
