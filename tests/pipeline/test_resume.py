"""Kill the driver with SIGKILL halfway, run the same command again, get the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import config_tree, miniature_rows, table_bytes

RDPT = Path(sys.executable).parent / "rdpt"


class Finished:
    """A run of the command line, with what `table_bytes` needs."""

    def __init__(self, stdout):
        self.json = json.loads(stdout.strip().splitlines()[-1])
        self.uri = self.json["run"]


def command(config, store):
    return [str(RDPT), "curate", str(config), f"store={store}", "--json"]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sigkill_of_the_driver_loses_nothing(tmp_path):
    config = tmp_path / "config.yaml"
    rows = miniature_rows(0, 400)
    config.write_text(yaml.safe_dump(config_tree(tmp_path, rows=rows)))
    whole = subprocess.run(
        command(config, tmp_path / "whole"), capture_output=True, text=True, timeout=400, check=True
    )
    undisturbed = Finished(whole.stdout)

    killed = tmp_path / "killed"
    process = subprocess.Popen(
        command(config, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while len(list(killed.glob("scores/student*/*.parquet"))) < 2:
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline, "no score appeared"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(killed.glob("runs/*/manifest.json"))

    again = subprocess.run(
        command(config, killed), capture_output=True, text=True, timeout=400, check=True
    )
    finished = Finished(again.stdout)
    assert table_bytes(finished) == table_bytes(undisturbed)
    assert finished.json["reused"]["student"] > 0
    redone = finished.json["scored"]["student"] + finished.json["reused"]["student"]
    assert redone == undisturbed.json["scored"]["student"] == len(rows)
