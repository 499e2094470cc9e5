"""`rdpt publish` as a user has it: a run, a dataset on the Hub, and what the two programs say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import CODE
from tests.hub.client import environment
from tests.hub.server import READ_TOKEN, TOKEN
from tests.publish.finished_run import finished_run
from tests.publish.hub_releases import NAME
from tests.publish.test_hub_readers import DATASETS, read

REPOSITORY = Path(__file__).resolve().parents[2]
TO = f"hf://datasets/{NAME}"


@pytest.fixture
def run(tmp_path):
    models = {role: {"model": f"org/{role}"} for role in ("teacher", "student")}
    config = {
        "name": "demo",
        "input": {"path": "traces.parquet"},
        "models": models,
        "store": "here",
    }
    finished_run(tmp_path / "run", config=config)
    return tmp_path / "run"


def rdpt_publish(hub, run, *arguments, token=TOKEN):
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", CODE, "publish", str(run), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=REPOSITORY,
        env={**kept, **environment(hub, run.parent, token=token)},
    )
    assert token not in done.stdout + done.stderr
    return done


def published(hub, run, *arguments):
    done = rdpt_publish(hub, run, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_run_is_published_once_and_read_by_datasets(hub, run, tmp_path):
    first = published(hub, run, "rejected=true", "tag=v1", "--to", TO)
    assert first["changed"]
    assert first["url"] == f"{hub.url}/datasets/{NAME}"
    dataset = hub.datasets[NAME]
    assert dataset.private
    assert dataset.tags == {"v1": first["commit"]}
    again = published(hub, run, "rejected=true", "tag=v1", "--to", TO)
    assert (again["changed"], again["commit"]) == (False, first["commit"])
    assert len(dataset.commits) == 2
    fewer = published(hub, run, "--to", TO)
    assert fewer["changed"]
    assert not any(path.startswith("rejected/") for path in dataset.head().files)
    assert dataset.history()[1].sha == first["commit"]
    found = read(hub, tmp_path, DATASETS, NAME, "rejected", "v1")["train"]
    assert len(found) == 6
    assert all(row["drop_reason"] for row in found)


def test_a_run_can_be_proposed_to_a_branch(hub, run):
    published(hub, run, "--to", f"{TO}@next")
    told = published(hub, run, "provenance=false", "pull_request=true", "--to", f"{TO}@next")
    assert told["url"] == f"{hub.url}/datasets/{NAME}/discussions/1"
    assert hub.datasets[NAME].pulls[1].base == "next"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_wrong", "does not accept the token of HF_TOKEN"),
        pytest.param(READ_TOKEN, "has no permission", marks=pytest.mark.slow),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(hub, run, token, said):
    done = rdpt_publish(hub, run, "--to", TO, token=token)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not hub.datasets


@pytest.mark.slow
def test_what_cannot_be_committed_to_is_refused_before_anything_is_made(hub, run):
    done = rdpt_publish(hub, run, "--to", f"{TO}@{'0' * 40}")
    assert done.returncode != 0
    assert "expected a branch after @, got a commit" in " ".join(done.stderr.split())
    assert not hub.requests
