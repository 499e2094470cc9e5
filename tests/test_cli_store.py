"""`rdpt store` as a user has it: what it prints where, and what it exits with."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import s3fs

from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.scores import score_name
from rdpt_ray.storage.sessions import this_process
from tests.command_line import rdpt
from tests.storage.s3_server import running_s3
from tests.storage.small_store import STUDENT, SmallRun, small_run


@pytest.fixture
def store(tmp_path):
    root = open_root(str(tmp_path / "store"))
    return root, small_run(root, tmp_path)


def object_of(done):
    return json.loads(done.stdout.splitlines()[-1])


def test_ls_prints_the_store_and_its_json(store):
    root, run = store
    done = rdpt("store", "ls", root.uri)
    assert done.returncode == 0, done.stderr
    assert run.id in done.stdout
    assert "read footers: 6/6" in done.stderr
    done = rdpt("store", "ls", root.uri, "--json")
    assert done.stdout.count("\n") == 1
    found = object_of(done)
    assert (found["datasets"][0]["traces"], found["runs"][0]["state"]) == (16, "finished")
    assert run.id in done.stderr


def test_verify_exits_1_while_damage_is_left(store):
    root, run = store
    assert rdpt("store", "verify", root.uri).returncode == 0
    _, key = run.parts[0]
    name = score_name(STUDENT, key)
    root.write_bytes(name, root.read_bytes(name)[:-9])
    done = rdpt("store", "verify", root.uri, "--json")
    assert done.returncode == 1
    found = object_of(done)
    assert (found["damaged"], [each["file"] for each in found["damage"]]) == (1, [name])
    assert name in done.stderr
    done = rdpt("store", "verify", root.uri, "--set-aside", "--json")
    assert (done.returncode, object_of(done)["set_aside"]) == (0, [f"damaged/{name}"])
    assert not root.exists(name)
    assert rdpt("store", "verify", root.uri).returncode == 0


def test_nothing_is_set_aside_while_a_job_works(store):
    root, run = store
    _, key = run.parts[0]
    root.write_bytes(score_name(STUDENT, key), b"broken")
    run.start(ended=None, process=this_process())
    done = rdpt("store", "verify", root.uri, "--set-aside")
    assert done.returncode == 1
    assert "a job is at work" in done.stderr
    assert root.read_bytes(score_name(STUDENT, key)) == b"broken"


def test_gc_deletes_with_apply_only(store):
    root, _ = store
    name = root.path(f"scores/{STUDENT}/.x.parquet.12.ab.tmp")
    Path(name).write_bytes(b"half")
    os.utime(name, (time.time() - 9e5, time.time() - 9e5))
    done = rdpt("store", "gc", root.uri, "--json")
    found = object_of(done)
    assert (done.returncode, found["applied"], found["bytes"]) == (0, False, 4)
    assert Path(name).exists()
    assert "nothing is deleted without --apply" in done.stderr
    done = rdpt("store", "gc", root.uri, "--apply", "--json")
    assert (done.returncode, object_of(done)["removals"]) == (0, found["removals"])
    assert not Path(name).exists()
    assert object_of(rdpt("store", "gc", root.uri, "--json"))["removals"] == {}


def test_gc_takes_unused_parts_and_old_runs(store, tmp_path):
    root, run = store
    other = SmallRun(root, 2).ingest(tmp_path, range(20, 24)).score()
    files = len(root.names(""))
    done = rdpt("store", "gc", root.uri, "--unused", "--unfinished-days", "0", "--apply", "--json")
    found = object_of(done)
    assert done.returncode == 0
    assert sum(map(len, found["removals"].values())) == files - len(root.names("")) > 3
    assert root.names(other.folder) == []
    assert rdpt("store", "verify", root.uri).returncode == 0
    assert root.exists(f"{run.folder}/manifest.json")


def test_gc_holds_back_what_a_job_may_use(store, tmp_path):
    root, run = store
    replace(run, number=2, buckets=[]).ingest(tmp_path, range(20, 24)).score()
    for name in root.names("runs/demo-000000000002"):
        root.delete(name)
    run.start(ended=None, process=this_process(), session="0002")
    done = rdpt("store", "gc", root.uri, "--unused", "--apply", "--json")
    found = object_of(done)
    assert (done.returncode, found["removals"]) == (0, {})
    assert found["live"] == [f"runs/{run.id}/sessions/0002.json"]
    assert sum(map(len, found["held_back"].values())) == 3


@pytest.mark.parametrize("days", ["-1", "nan"])
def test_gc_refuses_an_age_that_is_none(store, days):
    done = rdpt("store", "gc", store[0].uri, "--unfinished-days", days)
    assert done.returncode == 1
    assert "ConfigError" in done.stderr


def test_show_prints_the_manifest(store):
    root, run = store
    uri = f"{root.uri}/{run.folder}"
    done = rdpt("store", "show", uri)
    assert done.returncode == 0
    assert "finished_at" in done.stdout
    done = rdpt("store", "show", uri, "--json")
    assert object_of(done) == json.loads(root.read_bytes(f"{run.folder}/manifest.json"))


def test_show_prints_what_is_known_of_a_run_that_is_not_finished(store):
    root, run = store
    root.delete(f"{run.folder}/manifest.json")
    done = rdpt("store", "show", f"{root.uri}/{run.folder}", "--json")
    found = object_of(done)
    assert (found["run"], found["finished"]) == (run.id, False)
    assert len(found["ingested"]) == 2
    assert "not finished" in done.stderr


@pytest.mark.parametrize("words", [["ls"], ["verify"], ["show"], ["show-inside"]])
def test_what_is_no_store_or_run_is_an_error(store, tmp_path, words):
    root, _ = store
    uri = f"{root.uri}/runs/nothing" if words == ["show-inside"] else str(tmp_path / "none")
    done = rdpt("store", words[0].removesuffix("-inside"), uri)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("StoreError: ")
    assert "expected" in done.stderr


@pytest.mark.slow
def test_it_works_behind_s3(s3_uri, tmp_path):
    root = open_root(s3_uri)
    run = small_run(root, tmp_path, prompts=range(4))
    assert object_of(rdpt("store", "ls", s3_uri, "--json"))["runs"][0]["run"] == run.id
    assert rdpt("store", "verify", s3_uri).returncode == 0
    assert rdpt("store", "gc", s3_uri, "--apply", "--unused").returncode == 0
    assert rdpt("store", "show", f"{s3_uri}/{run.folder}").returncode == 0
    assert rdpt("store", "verify", s3_uri).returncode == 0


@pytest.fixture
def s3_uri():
    """An empty bucket behind a real S3 API, which subprocesses find by the environment."""
    with running_s3() as s3, pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        client = s3.client()
        client.create_bucket(Bucket="store")
        client.close()
        yield "s3://store/here"
        s3fs.S3FileSystem.clear_instance_cache()
