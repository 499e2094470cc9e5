"""The main job from an S3 input into an S3 store, by a real S3 API on loopback."""

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import config_tree, miniature_rows
from tests.storage.s3_server import SECRET, Fault, running_s3

RDPT = Path(sys.executable).parent / "rdpt"
COUNTS = ("rows_read", "selected", "rejected", "quarantined")
ROWS = miniature_rows(0, 48)
TABLES = ("selected", "rejected", "quarantine", "provenance")


pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


def start(server, config, *overrides):
    """The command with the server's login in its environment: exit code, stdout, stderr."""
    done = subprocess.run(
        [str(RDPT), "curate", str(config), *overrides, "--json"],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
        env={**os.environ, **server.environment()},
    )
    assert SECRET not in done.stdout + done.stderr
    return done


def curate(server, config, *overrides):
    done = start(server, config, *overrides)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def tables(client, run):
    """The run's tables, by name."""
    prefix = run.removeprefix("s3://rdpt/")
    listed = client.list_objects_v2(Bucket="rdpt", Prefix=prefix)["Contents"]
    return {
        item["Key"].removeprefix(prefix): client.get_object(Bucket="rdpt", Key=item["Key"])[
            "Body"
        ].read()
        for item in listed
        if item["Key"].removeprefix(prefix).split("/")[1] in TABLES
    }


class Storm:
    """Requests to the store and to the input fail, a few at a time, in ways drawn by a seed."""

    def __init__(self, server, seed):
        self._server, self._random = server, random.Random(seed)
        self.done = Counter()
        self._calm = threading.Event()
        self._thread = threading.Thread(target=self._blow)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._calm.set()
        self._thread.join()
        self._server.faults.clear()

    def _blow(self):
        while not self._calm.wait(1):
            if any(fault.times > 0 for fault in self._server.faults):
                continue
            kind = self._random.choice(["500", "503", "reset", "slow", "truncate", "hang_up"])
            fault = Fault(kind, times=self._random.randint(1, 3), seconds=0.5)
            self.done[kind] += fault.times
            self._server.faults[:] = [fault]


@pytest.fixture
def world(tmp_path):
    """A server with traces, and a config from it into it."""
    tree = config_tree(tmp_path, rows=ROWS)
    with running_s3() as server:
        client = server.client()
        client.create_bucket(Bucket="rdpt")
        client.upload_file(str(tmp_path / "traces.jsonl"), "rdpt", "traces/day=1.jsonl")
        tree["input"] = {"path": "s3://rdpt/traces/"}
        tree["store"] = "s3://rdpt/store"
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(tree))
        yield server, client, config


def test_a_storm_of_faults_changes_no_byte_and_nothing_is_read_again(world, tmp_path, capsys):
    server, client, config = world
    calm = curate(server, config, "store=s3://rdpt/calm")
    count = len(ROWS)
    assert (calm["rows_read"], calm["quarantined"]) == (count, 0)
    assert calm["scored"] == {"student": count, "teacher": count}
    with Storm(server, seed=5) as storm:
        stormy = curate(server, config)
    with capsys.disabled():
        sys.stdout.write(f"\nfaults over one job: {dict(storm.done)}\n")
    assert tables(client, stormy["run"]) == tables(client, calm["run"])
    assert [stormy[name] for name in COUNTS] == [calm[name] for name in COUNTS]

    client.upload_file(str(tmp_path / "traces.jsonl"), "rdpt", "traces/day=2.jsonl")
    second = curate(server, config)
    copies = (second["rows_read"], second["quarantined"])
    assert copies == (2 * count, count), "the copies are duplicates"
    assert second["scored"] == {"student": 0, "teacher": 0}
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="rdpt")["Contents"]]
    written = [
        client.get_object(Bucket="rdpt", Key=key)["Body"].read()
        for key in keys
        if key.endswith((".json", ".html"))
    ]
    assert written
    assert not any(SECRET.encode() in content for content in written)
