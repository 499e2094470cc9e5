"""The Slurm script: linted, and run with stand-ins for Slurm's own commands and for `ray`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import CLUSTER

SCRIPT = CLUSTER / "slurm.sh"
COMMANDS = {
    # srun runs the command here; --nodelist and the like come before it.
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scontrol": 'echo "$*" >>"$HOME/scontrol"; if [[ $1 == show ]]; then echo node-1; fi',
    "hostname": "echo 10.0.0.1 10.0.0.2",
    "ray": 'echo "$RAY_AUTH_MODE $(cat "$RAY_AUTH_TOKEN_PATH") $*" >>"$HOME/ray"; '
    "if [[ $1 == start ]]; then exec sleep 60; fi",
}
DRIVER = """
import os, pathlib, signal, sys, time
home = pathlib.Path(os.environ["HOME"])
def leave(number, frame):
    time.sleep(0.3)  # a part in hand
    sys.exit(75)
signal.signal(signal.SIGTERM, leave)
(home / "driver").write_text(" ".join([os.environ["RAY_ADDRESS"], *sys.argv[1:]]))
for _ in range(1000):  # a driver works for longer than a node takes to come
    if "start --address" in (home / "ray").read_text():
        break
    time.sleep(0.02)
if "stays" in sys.argv:
    time.sleep(60)
sys.exit(3 if "fails" in sys.argv else 0)
"""


@pytest.fixture
def start(tmp_path):
    """Start the script as Slurm does, on two nodes that are this machine."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    for name, body in COMMANDS.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    (folder / "activate").write_text(f"PATH={folder}:$PATH\n")
    (tmp_path / "job.py").write_text(DRIVER)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "RDPT_VENV": str(tmp_path / "venv"),
        "SLURM_JOB_ID": "12345",
        "SLURM_JOB_NODELIST": "node-[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
    }
    started = []

    def run(*arguments):
        process = subprocess.Popen(
            [str(SCRIPT), *arguments], cwd=tmp_path, env=environment, start_new_session=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if not gone(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("the script left processes behind")


def gone(group, within_s=10):
    """Whether no process of a group is left, or will be soon: who is told to end takes a moment."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def wait_for(path):
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.02)


def test_script_passes_shellcheck():
    lint = [str(Path(sys.executable).with_name("shellcheck")), "--enable=all"]
    lint += ["--exclude=SC2250,SC2310,SC2312", str(SCRIPT)]  # braces; `|| true` hides an exit code
    checked = subprocess.run(lint, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert os.access(SCRIPT, os.X_OK)


def test_a_job_has_a_ray_with_a_token_and_its_exit_code(start, tmp_path):
    assert start("job.py", "fails", "--config", "x.yaml").wait(timeout=30) == 3
    port = 20000 + 12345 % 5000
    assert (tmp_path / "driver").read_text() == f"10.0.0.1:{port} fails --config x.yaml"
    asked = (tmp_path / "ray").read_text().splitlines()
    head = next(line for line in asked if "start --head" in line)
    worker = next(line for line in asked if f"start --address=10.0.0.1:{port}" in line)
    assert "--dashboard-host=127.0.0.1" in head
    tokens = {tuple(line.split()[:2]) for line in asked}
    ((mode, token),) = tokens  # one for all
    assert mode == "token"
    assert len(token) == 64
    assert token not in head.split(maxsplit=2)[2] + worker.split(maxsplit=2)[2]  # seen by `ps`
    assert list((tmp_path / ".rdpt").iterdir()) == []
    assert "requeue" not in (tmp_path / "scontrol").read_text()


def test_asked_to_leave_it_lets_the_driver_finish_and_is_queued_again(start, tmp_path):
    script = start("job.py", "stays")
    wait_for(tmp_path / "driver")
    (token,) = (tmp_path / ".rdpt").iterdir()
    assert token.stat().st_mode & 0o077 == 0
    script.send_signal(signal.SIGTERM)  # as --signal=B:TERM@180 does: to the script alone
    assert script.wait(timeout=30) == 75
    assert (tmp_path / "scontrol").read_text().splitlines()[-1] == "requeue 12345"
    assert not token.exists()


def test_without_a_job_it_says_how(start, tmp_path):
    assert start().wait(timeout=30) == 2
    assert not (tmp_path / "ray").exists()
