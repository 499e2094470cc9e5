"""Files of `jobs/` without a cluster: what they import, how they end, what they refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.pipeline.submission import refuse_lost_store, refuse_shown_secrets
from rdpt_ray.pipeline.submitted import SUBMITTED, submission_id
from tests.publish.finished_run import finished_run

REPOSITORY = Path(__file__).resolve().parents[2]
JOBS = sorted(path.stem for path in (REPOSITORY / "jobs").glob("[!_]*.py"))
COMMAND = ["curate.py", "--config", "s3://bucket/config.yaml"]


def run_job(name, *arguments, **environment):
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "jobs" / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


def last_line(done):
    return json.loads(done.stdout.splitlines()[-1])


def test_there_is_a_job_for_every_command_that_needs_a_cluster():
    assert JOBS == ["curate", "distill", "evaluate", "loop", "publish", "sample", "trace"]
    for name in JOBS:
        assert len((REPOSITORY / "jobs" / f"{name}.py").read_text().splitlines()) < 10


@pytest.mark.parametrize("name", JOBS)
def test_no_job_hides_a_module_of_that_name(name):
    """Python puts a script's folder first: `import trace` would find the job."""
    script = REPOSITORY / "jobs" / f"{name}.py"
    code = f"""
import runpy, sys
sys.path[0] = {str(script.parent)!r}  # as if the file had been named
sys.argv = [{str(script)!r}, "--help"]
try:
    runpy.run_path({str(script)!r}, run_name="__main__")
except SystemExit as stop:
    assert not stop.code, stop.code
assert {str(script.parent)!r} not in sys.path
here = [name for name, each in sys.modules.items()
        if (getattr(each, "__file__", None) or "").startswith({str(script.parent)!r})]
assert here == [], here
import trace
assert "lib/python" in trace.__file__, trace.__file__
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("--run" if name == "publish" else "--config") in done.stdout


def test_an_error_is_the_last_line_too(tmp_path):
    done = run_job("curate", "--config", str(tmp_path / "none.yaml"))
    assert done.returncode == 1
    told = last_line(done)
    assert (told["error"], told["exit_code"]) == ("ConfigError", 1)
    assert told["message"].startswith(f"config {tmp_path}/none.yaml: cannot be read")
    assert "ConfigError: config" in done.stderr


@pytest.mark.slow
def test_publish_takes_a_run_and_ends_with_what_came_of_it(tmp_path):
    models = {role: {"model": f"org/{role}"} for role in ("teacher", "student")}
    config = {"name": "demo", "input": {"path": "x"}, "models": models, "store": "here"}
    run = tmp_path / "store/runs/demo-1"
    finished_run(run, config={**config, "schedule": {"lease_s": 5}})
    to = ["--run", str(run), "--to", str(tmp_path / "dataset")]
    first, second = (run_job("publish", *to, "rejected=true") for _ in range(2))
    assert [first.returncode, second.returncode] == [0, 0], first.stderr + second.stderr
    assert [last_line(first)["changed"], last_line(second)["changed"]] == [True, False]
    assert (tmp_path / "dataset/README.md").is_file()
    leases = sorted((tmp_path / "store/leases/demo").iterdir())
    assert [json.loads(path.read_text())["ended"] for path in leases] == ["finished"] * 2
    assert "round 2 of demo" in second.stderr


@pytest.mark.parametrize(
    ("told", "where"),
    [
        ({"runtime_env": {"env_vars": {"HF_TOKEN": "x"}}}, "runtime_env.env_vars.HF_TOKEN"),
        (
            {"runtime_env": {"env_vars": {"AWS_SECRET_ACCESS_KEY": "x"}}},
            "runtime_env.env_vars.AWS_SECRET_ACCESS_KEY",
        ),
        ({"metadata": {"note": "hf_" + "a1B2" * 9}}, "metadata.note"),
        ({"metadata": {"api_key": "x"}}, "metadata.api_key"),
        ({"runtime_env": {"pip": ["x", "https://ghp_" + "a1B2" * 10 + "@y"]}}, "runtime_env.pip"),
    ],
)
def test_a_secret_that_a_submission_shows_ends_the_job(told, where):
    with pytest.raises(ConfigError, match=f"^{where}: looks like a secret") as error:
        refuse_shown_secrets(json.dumps(told), COMMAND)
    assert "a1B2" not in str(error.value)


def test_a_store_inside_a_working_dir_ends_the_job():
    sent = json.dumps({"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}})
    job = ("curate", "--config", str(REPOSITORY / "examples/demo.yaml"))
    done = run_job(*job, **{SUBMITTED: sent})
    assert done.returncode == 1
    assert last_line(done)["message"].startswith("store: out/store would lie in Ray's copy")
    for store in ("s3://bucket/store", "/shared/store"):
        refuse_lost_store(sent, store)
    refuse_lost_store(json.dumps({"runtime_env": {}}), "out/store")


def test_a_secret_in_the_command_ends_the_job(tmp_path):
    done = run_job(
        "curate",
        *("--config", str(tmp_path / "none.yaml"), "store=s3://hf_" + "a1B2" * 9),
        **{SUBMITTED: "{}"},
    )
    assert last_line(done)["message"].startswith("the entrypoint: looks like a secret")
    assert "a1B2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"runtime_env": {}, "metadata": {"owner": "data-team", "dedupe_key": "nightly-7"}},
        {"runtime_env": {"env_vars": {"HF_TOKEN_PATH": "/secrets/hf", "AWS_ACCESS_KEY_ID": "x"}}},
        {"runtime_env": {"env_vars": {"HF_TOKEN": ""}, "working_dir": "gcs://_ray_pkg_1.zip"}},
    ],
)
def test_what_is_not_secret_passes(told):
    refuse_shown_secrets(json.dumps(told), COMMAND)


def test_a_driver_knows_its_submission(monkeypatch):
    monkeypatch.delenv(SUBMITTED, raising=False)
    assert submission_id() is None
    monkeypatch.setenv(SUBMITTED, json.dumps({"runtime_env": {}, "metadata": {}}))
    assert submission_id() is None
    told = {"metadata": {"job_submission_id": "nightly-7", "job_name": "nightly-7"}}
    monkeypatch.setenv(SUBMITTED, json.dumps(told))
    assert submission_id() == "nightly-7"
