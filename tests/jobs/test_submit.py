"""`ray job submit` on a head with token authentication: the same bytes as the command on a laptop."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import config_tree, miniature_rows

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TOKEN = "submit-test-".ljust(64, "0")

SESSION = Path("/tmp", f"rdpt{os.getpid()}")
"""Unix sockets live below it and have 107 characters, so pytest's own folders are too deep."""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def last_json(text):
    return next(json.loads(line) for line in reversed(text.splitlines()) if line.startswith('{"'))


def table_bytes(run):
    return {
        str(path.relative_to(run)): path.read_bytes()
        for table in ("selected", "rejected", "quarantine", "provenance")
        for path in sorted(Path(run, table).iterdir())
    }


@pytest.fixture(scope="module")
def head():
    """A Ray head on loopback with token authentication, started as a user starts it; it takes jobs."""
    dashboard = free_port()
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    environment.pop("RAY_ADDRESS", None)
    command = [str(BIN / "ray"), "start", "--head", "--block", "--num-cpus=2"]
    command += [f"--port={free_port()}", f"--dashboard-port={dashboard}"]
    command += [
        f"--dashboard-agent-listen-port={free_port()}"
    ]  # another Ray here has the usual one
    command += [
        "--dashboard-host=127.0.0.1",
        f"--temp-dir={SESSION}",
        "--include-log-monitor=false",
    ]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{dashboard}"
    try:
        wait_for(address, environment)
        yield address, environment
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def submit(address, environment, *arguments, options=()):
    return ray_job(address, environment, "submit", *options, "--", *arguments)


def ray_job(address, environment, action, *arguments):
    command = [str(BIN / "ray"), "job", action, "--address", address, *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=400
    )


def said(done):
    """What a command printed, as one line, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m|\s+", " ", done.stdout + done.stderr)


def wait_for(address, environment):
    """A job that does nothing must pass first: the head answers before its job agent is there."""
    deadline = time.monotonic() + 180
    while (tried := submit(address, environment, "true")).returncode != 0:
        if time.monotonic() > deadline:
            pytest.fail(f"the head takes no jobs: {tried.stdout[-1000:]} {tried.stderr[-2000:]}")
        time.sleep(2)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_job_submit_gives_the_bytes_of_the_command_line(head, tmp_path):
    address, environment = head
    job = ["python", "jobs/curate.py", "--config", "examples/demo.yaml"]
    submitted = submit(address, environment, *job, f"store={tmp_path / 'cluster'}")
    assert submitted.returncode == 0, submitted.stdout[-3000:] + submitted.stderr[-3000:]
    on_cluster = last_json(submitted.stdout)
    assert TOKEN not in submitted.stdout + submitted.stderr

    wrong = {**environment, "RAY_AUTH_TOKEN": "x" * 64}
    assert submit(address, wrong, *job).returncode != 0

    on_laptop = subprocess.run(
        [str(BIN / "rdpt"), "curate", "examples/demo.yaml", f"store={tmp_path / 'own'}", "--json"],
        cwd=REPOSITORY,
        env={**environment, "RAY_ADDRESS": ""},
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    own = last_json(on_laptop.stdout)
    counted = ("rows_read", "selected", "rejected", "quarantined", "scored", "reused")
    assert {name: own[name] for name in counted} == {name: on_cluster[name] for name in counted}
    assert table_bytes(own["run"]) == table_bytes(on_cluster["run"])
    for manifest in (Path(own["run"], "manifest.json"), Path(on_cluster["run"], "manifest.json")):
        assert TOKEN not in manifest.read_text()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_submission_id_is_taken_once(head, tmp_path):
    """While its job runs, and after it failed, until somebody deletes it; then the job's end is told."""
    address, environment = head
    nightly = ["--submission-id", "nightly-2026-11-27", "--metadata-json", '{"owner": "data-team"}']
    flag = tmp_path / "go"
    waits = [
        "sh",
        "-c",
        f"while [ ! -e {flag} ]; do sleep 0.2; done; exec python jobs/curate.py --config none",
    ]
    assert submit(address, environment, *waits, options=[*nightly, "--no-wait"]).returncode == 0
    twice = submit(address, environment, *waits, options=nightly)
    assert twice.returncode == 1
    assert "nightly-2026-11-27 already exists" in said(twice)
    flag.touch()
    deadline = time.monotonic() + 100
    while "failed" not in (status := said(ray_job(address, environment, "status", nightly[1]))):
        assert time.monotonic() < deadline, status
        time.sleep(0.5)
    assert "exit code 1" in status
    assert '"error": "ConfigError", "exit_code": 1' in status
    assert submit(address, environment, "true", options=nightly).returncode == 1
    assert ray_job(address, environment, "delete", nightly[1]).returncode == 0
    assert submit(address, environment, "true", options=nightly).returncode == 0


@pytest.fixture
def checkout(tmp_path):
    """A changed checkout, with what grows in one; every process that imports it leaves its name in `seen`."""
    folder, seen = tmp_path / "checkout", tmp_path / "seen"
    seen.mkdir()
    for name in ("rdpt_ray", "jobs"):
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / ".gitignore", folder)
    for name in (".venv", ".git", "out", "store", ".hypothesis"):
        (folder / name).mkdir()
        (folder / name / "large").write_text("not to be sent")
    changed = "import os, pathlib, sys\n"
    changed += f"pathlib.Path({str(seen)!r}, str(os.getpid())).write_text(sys.argv[0])\n"
    with (folder / "rdpt_ray/__init__.py").open("a") as package:
        package.write(f'__version__ += "+mine"\n{changed}')
    tree = config_tree(tmp_path, rows=miniature_rows(0, 12), actors=1)
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    return folder, seen


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_code_of_a_working_dir_is_what_runs(head, checkout):
    address, environment = head
    folder, seen = checkout
    job = ["python", "jobs/curate.py", "--config", "config.yaml"]
    options = ["--working-dir", str(folder)]
    done = submit(address, environment, *job, options=options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    manifest = json.loads(Path(last_json(done.stdout)["run"], "manifest.json").read_text())
    assert manifest["facts"]["versions"]["rdpt_ray"].endswith("+mine")
    processes = [Path(each.read_text()).name for each in seen.iterdir()]
    assert processes.count("curate.py") == 1
    assert len(processes) > 1, "no worker took the checkout's code"

    sent = SESSION / "session_latest/runtime_resources/working_dir_files"
    (package,) = (each for each in sent.iterdir() if each.is_dir())
    assert {each.name for each in package.iterdir()} == {
        ".gitignore",
        "config.yaml",
        "jobs",
        "rdpt_ray",
    }

    shown = json.dumps({"env_vars": {"HF_TOKEN": "never-to-be-shown"}})
    lost = submit(address, environment, *job, "store=out/store", options=options)
    assert lost.returncode == 1
    assert "store: out/store would lie in Ray's copy of the working_dir" in said(lost)
    refused = submit(address, environment, *job, options=[*options, "--runtime-env-json", shown])
    assert refused.returncode == 1
    assert last_json(refused.stdout)["error"] == "ConfigError"
    assert "runtime_env.env_vars.HF_TOKEN: looks like a secret" in said(refused)
