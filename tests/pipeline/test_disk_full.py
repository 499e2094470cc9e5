"""A disk that is full in the middle of a job: told in words; with space the same command continues."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.pipeline.chaos_world import RDPT
from tests.pipeline.conftest import config_tree, miniature_rows

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


ROWS = miniature_rows(0, 48)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little space, and what resizes it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"only root can mount a file system: {mounted.stderr}")

    def resize(size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, resize
    subprocess.run(["umount", "-l", str(folder)], check=True)


def start(config, store):
    return subprocess.run(
        [str(RDPT), "curate", str(config), f"store={store}", "--json"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_full_disk_ends_the_job_in_words_and_with_space_it_goes_on(small_disk, tmp_path):
    disk, resize = small_disk
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(config_tree(tmp_path, rows=ROWS, actors=1)))
    full = start(config, disk)
    assert full.returncode == 1, full.stderr
    assert "StoreError" in full.stderr
    assert "No space left" in full.stderr
    assert "run the same command again" in full.stderr
    assert not list(disk.rglob("*.tmp"))
    before = {path: path.read_bytes() for path in disk.glob("traces/*/*/*.parquet")}
    assert before, "it was full before anything was stored"

    resize("64m")
    done = start(config, disk)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in before} == before
    run = json.loads(done.stdout.splitlines()[-1])
    assert run["selected"] + run["rejected"] == run["rows_read"] == len(ROWS)
    assert Path(run["run"]).is_relative_to(disk)
