"""`rdpt status` as a user has it, on a disk and by an S3 API."""

import json

import pytest

from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.leases import held_lease
from tests.command_line import rdpt
from tests.storage.small_store import SmallRun, small_run


@pytest.fixture
def store(tmp_path):
    root = open_root(str(tmp_path / "store"))
    small_run(root, tmp_path)
    SmallRun(root, 2).start(ended="interrupted").ingest(tmp_path, range(3))
    return root


def test_a_store_and_its_json(store):
    done = rdpt("status", store.uri, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    assert found["store"] == store.uri
    assert [run["state"] for run in found["runs"]] == ["finished", "dead"]
    assert "demo-000000000002  dead" in done.stderr
    assert "asked to leave" in done.stderr
    assert found["leases"] == []


def test_a_store_says_who_holds_its_leases(store):
    with held_lease(store, "nightly", 60) as lease:
        done = rdpt("status", store.uri, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["leases"]
    assert (found["schedule"], found["number"], found["state"]) == ("nightly", 1, "held")
    assert f"round 1, on {lease.record.host} since" in " ".join(done.stderr.split())


def test_one_run(store):
    done = rdpt("status", f"{store.uri}/runs/demo-000000000002/")
    assert done.returncode == 0, done.stderr
    assert "demo-000000000002  dead" in done.stdout
    assert "demo-000000000001" not in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs/demo-none"], "expected demo-none, found no file"),
        (["nothing"], "expected runs, found no file"),
        (["", "--wait", "nan"], "--wait: expected a number of at least 0: nan"),
    ],
)
def test_what_is_not_there_is_an_error(store, words, told):
    done = rdpt("status", f"{store.uri}/{words[0]}", *words[1:])
    assert done.returncode == 1
    assert told in " ".join(done.stderr.split())
