"""SIGTERM and Ctrl-C: what is in hand is committed, nothing new is begun, and the next start reads nothing
again."""

import json
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import write_json
from tests.pipeline.chaos_world import RDPT, in_hand, wait_for
from tests.pipeline.conftest import config_tree, miniature_rows, table_bytes

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A config, and the tables of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("leaving")
    config = folder / "config.yaml"
    tree = config_tree(folder, rows=miniature_rows(0, 400))
    for role in ("teacher", "student"):
        tree["models"][role] |= {"token_budget": 512}
    config.write_text(yaml.safe_dump(tree))
    outcome = run(config, prepared(folder / "undisturbed"))
    return config, table_bytes(SimpleNamespace(uri=outcome["run"])), outcome


def prepared(store):
    """A store whose dataset will have many parts."""
    write_json(Root(str(store)), "traces/small/dataset.json", {"num_buckets": 32})
    return store


def command(config, store, *overrides):
    return [str(RDPT), "curate", str(config), f"store={store}", *overrides, "--json"]


def run(config, store):
    told = subprocess.run(
        command(config, store), capture_output=True, text=True, timeout=800, check=True
    )
    return json.loads(told.stdout.strip().splitlines()[-1])


def start(config, store, *overrides):
    return subprocess.Popen(
        command(config, store, *overrides),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def sessions(store):
    return [json.loads(path.read_text()) for path in Path(store).glob("runs/*/sessions/*.json")]


def scored(store, role="student"):
    return len(list(Path(store).glob(f"scores/{role}*/*.parquet")))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["SIGTERM to the driver", "Ctrl-C in a terminal"])
def test_parts_in_hand_are_committed_and_none_is_begun(world, tmp_path, how):
    config, tables, expected = world
    store = prepared(tmp_path / "store")
    process = start(config, store)
    wait_for(lambda: scored(store) >= 2 or process.poll() is not None, "a score")
    if how == "Ctrl-C in a terminal":
        os.killpg(process.pid, signal.SIGINT)  # it reaches every process of the terminal
    else:
        process.terminate()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 75, stderr
    assert "finishing the parts in hand" in stderr
    assert "Interrupted: stopped as asked, all parts in hand are committed" in stderr
    assert in_hand(store) == 0
    assert scored(store) < 32, "it was over before it was asked to leave"
    (session,) = sessions(store)
    assert (session["ended"], session["leaving"]) == ("interrupted", True)
    assert session["counts"]["student"]["parts"] == scored(store)

    if how == "Ctrl-C in a terminal":
        return  # what is left is the same
    outcome = run(config, store)
    assert table_bytes(SimpleNamespace(uri=outcome["run"])) == tables
    assert outcome["reused"]["student"] == session["counts"]["student"]["traces"]
    manifest = json.loads(Path(outcome["run"], "manifest.json").read_text())
    told = manifest["facts"]["sessions"]
    assert told["started"] == 2
    assert [cost["read_again"] for cost in told["costs"]] == [0, 0]
    assert {cost["role"]: cost["traces"] for cost in told["costs"]} == expected["scored"]


@pytest.mark.timeout(900)
def test_before_anything_is_scored_there_is_nothing_to_wait_for(world, tmp_path):
    config, _, _ = world
    store = prepared(tmp_path / "store")
    process = start(config, store)
    wait_for(lambda: sessions(store) or process.poll() is not None, "a session")
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert "Interrupted: stopped by SIGTERM" in stderr
    (session,) = sessions(store)
    assert session["ended"] == "interrupted"
