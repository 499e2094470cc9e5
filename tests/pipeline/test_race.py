"""Two drivers on one store at once: nothing is read twice, and both end with the same tables."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import write_json
from tests.pipeline.chaos_world import RDPT
from tests.pipeline.conftest import config_tree, miniature_rows

pytestmark = [pytest.mark.ray, pytest.mark.slow]

NUM_BUCKETS = 24


def start(config, store, *overrides):
    return subprocess.Popen(
        [str(RDPT), "curate", str(config), f"store={store}", *overrides, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def outcome(process):
    stdout, stderr = process.communicate(timeout=800)
    assert process.returncode == 0, stderr
    return json.loads(stdout.strip().splitlines()[-1])


def read(run):
    """Role -> traces that the sessions of a run read themselves."""
    found = {}
    for path in Path(run, "sessions").glob("*.json"):
        for role, counts in json.loads(path.read_text())["counts"].items():
            found[role] = found.get(role, 0) + counts["traces"]
            assert counts["read_again"] == 0
    return found


@pytest.fixture
def world(tmp_path):
    config = tmp_path / "config.yaml"
    rows = miniature_rows(0, 400)
    tree = config_tree(tmp_path, rows=rows, actors=1)
    for role in ("teacher", "student"):
        tree["models"][role] |= {"token_budget": 512}
    config.write_text(yaml.safe_dump(tree))
    store = tmp_path / "store"
    write_json(Root(str(store)), "traces/small/dataset.json", {"num_buckets": NUM_BUCKETS})
    return config, store, len(rows)


@pytest.mark.timeout(900)
def test_two_starts_of_one_run_share_its_parts(world):
    config, store, num_rows = world
    both = [start(config, store) for _ in range(2)]
    first, second = (outcome(process) for process in both)
    assert first["run"] == second["run"]
    assert {name: first[name] for name in COUNTS} == {name: second[name] for name in COUNTS}
    assert read(first["run"]) == {"student": num_rows, "teacher": num_rows}
    assert not list(store.glob("attempts/*/*.json"))
    sessions = [json.loads(path.read_text()) for path in Path(first["run"], "sessions").iterdir()]
    assert [session["ended"] for session in sessions] == ["finished", "finished"]
    assert all(session["counts"] for session in sessions), "one of them did it all alone"


@pytest.mark.timeout(900)
def test_two_runs_with_the_same_models_read_every_trace_once(world):
    config, store, num_rows = world
    both = [start(config, store, f"selection.policy={name}") for name in ("longest", "shortest")]
    first, second = (outcome(process) for process in both)
    assert first["run"] != second["run"]
    total = {
        role: read(first["run"]).get(role, 0) + read(second["run"]).get(role, 0) for role in ROLES
    }
    assert total == {"student": num_rows, "teacher": num_rows}


COUNTS = ("rows_read", "selected", "rejected", "quarantined")
ROLES = ("student", "teacher")
