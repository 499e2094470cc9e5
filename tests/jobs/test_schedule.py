"""Scheduled rounds against a Hub: growing input, one doubled, one killed; exactly the commits and rows."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from rdpt_ray.publish.folder import RELEASE
from tests.hub.client import environment
from tests.hub.repositories import Dataset
from tests.hub.server import running_hub
from tests.pipeline.chaos_world import RDPT, wait_for
from tests.pipeline.conftest import config_tree, miniature_rows, write_jsonl

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE, TARGET = "org/source", "org/curated"


class World:
    """A folder that files come into, a dataset that gets commits, and the schedule's config."""

    def __init__(self, hub, folder):
        self.hub, self.folder = hub, folder
        self.store = folder / "store"
        self.rows = miniature_rows(0, 160)
        self.num_given = 0
        self.incoming = folder / "incoming"
        self.incoming.mkdir()
        hub.datasets[SOURCE] = Dataset()
        tree = config_tree(folder, actors=1)
        tree["input"] = {"path": [str(self.incoming), f"hf://datasets/{SOURCE}/data"]}
        tree["publish"] = {"to": f"hf://datasets/{TARGET}"}
        tree["schedule"] = {"lease_s": 30}
        for role in ("teacher", "student"):
            tree["models"][role] |= {"token_budget": 512}
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(tree))
        self.environment = {**os.environ, **environment(hub, folder), "RAY_ADDRESS": ""}

    def _new(self, count):
        rows = self.rows[self.num_given : self.num_given + count]
        assert len(rows) == count
        self.num_given += count
        return rows

    def drop_file(self, name, count):
        write_jsonl(self.incoming / name, self._new(count))

    def commit_file(self, name, count):
        text = "".join(json.dumps(row) + "\n" for row in self._new(count))
        self.hub.datasets[SOURCE].commit({f"data/{name}": text.encode()})

    def start(self, *overrides):
        command = [sys.executable, str(REPOSITORY / "jobs/curate.py"), "--config", str(self.config)]
        return subprocess.Popen(
            [*command, *overrides],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )

    def round(self, *overrides):
        code, told = ended(self.start(*overrides))
        assert code == 0, told
        return told

    def scored(self):
        """How many score files there are."""
        return len(list(self.store.glob("scores/*/*.parquet")))

    @property
    def commits(self):
        """The round of every release that was committed, the first one first."""
        found = [commit.content() for commit in self.hub.datasets[TARGET].history()]
        return [json.loads(each[RELEASE])["schedule"]["number"] for each in reversed(found) if each]


def ended(process):
    """Exit code and last line."""
    stdout, stderr = process.communicate(timeout=600)
    assert stdout.strip(), stderr
    return process.returncode, json.loads(stdout.strip().splitlines()[-1])


def selected(commit):
    """Prompt -> its row of a release."""
    files = [data for name, data in commit.content().items() if name.startswith("data/")]
    rows = [row for data in files for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    return {row["question"]: row for row in rows}


@pytest.fixture
def world(tmp_path):
    with running_hub() as hub:
        yield World(hub, tmp_path)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_rounds_one_doubled_one_killed_leave_exactly_the_expected_commits(world):
    world.drop_file("a.jsonl", 24)
    world.commit_file("first.jsonl", 8)
    first = world.round()
    assert (first["round"], first["published"]["changed"]) == (1, True)
    assert first["scored"] == {"student": 32, "teacher": 32}

    world.drop_file("b.jsonl", 8)
    both = [ended(process) for process in (world.start(), world.start())]
    (done, second), (refused, told) = sorted(both, key=lambda each: each[0])
    assert (done, refused) == (0, 4)
    assert (second["round"], second["scored"]) == (2, {"student": 8, "teacher": 8})
    assert (told["error"], told["exit_code"]) == ("LeaseError", 4)
    assert "round 2 of small is at work" in told["message"]
    assert world.commits == [1, 2]

    world.drop_file("c.jsonl", 80)
    before = world.scored()
    killed = world.start()
    wait_for(lambda: world.scored() > before, "one of the new parts scored", timeout=400)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert world.commits == [1, 2]
    assert not list(world.store.glob("leases/small/00000004.json"))

    world.drop_file("d.jsonl", 8)
    fourth = world.round()
    assert (fourth["round"], fourth["published"]["changed"]) == (4, True)
    assert fourth["rows_read"] == 128
    assert 8 <= fourth["scored"]["student"] < 88, "what the killed round had scored counts"

    world.commit_file("second.jsonl", 8)
    fifth = world.round()
    assert (fifth["round"], fifth["scored"]) == (5, {"student": 8, "teacher": 8})
    assert fifth["reused"] == {"student": 128, "teacher": 128}

    idle = world.round()
    assert (idle["round"], idle["scored"]) == (6, {"student": 0, "teacher": 0})
    assert (idle["run"], idle["published"]["changed"]) == (fifth["run"], False)
    assert world.commits == [1, 2, 4, 5]
    assert len(world.hub.datasets[TARGET].commits) == 5, "and the one that made the dataset"

    told = subprocess.run(
        [RDPT, "store", "verify", world.store, "--json"],
        check=False,
        text=True,
        capture_output=True,
    )
    assert told.returncode == 0, told.stdout

    history = world.hub.datasets[TARGET].history()
    before, after = (selected(history[place]) for place in (1, 0))
    touched = {row["prompt"] for row in world.rows[world.num_given - 8 : world.num_given]}
    assert len(before.keys() - touched) > 20
    assert {prompt: after[prompt] for prompt in before.keys() - touched} == {
        prompt: before[prompt] for prompt in before.keys() - touched
    }
    assert after.keys() - before.keys() <= touched

    # The same as if all of it had been there at once.
    fresh = world.folder / "fresh"
    overrides = [f"store={world.folder / 'fresh store'}", f"publish.to={fresh}", "schedule=null"]
    assert world.round(*overrides)["round"] is None
    head = world.hub.datasets[TARGET].head().content()
    shards = {path.relative_to(fresh).as_posix(): path.read_bytes() for path in fresh.glob("*/*")}
    assert shards
    shards = {name: data for name, data in shards.items() if name.endswith(".parquet")}
    assert {name: head[name] for name in head if name.endswith(".parquet")} == shards
