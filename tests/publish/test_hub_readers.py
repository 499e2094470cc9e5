"""What was published is what its users read, with the libraries they use, in processes of their own."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.hub.client import environment
from tests.publish.hub_releases import NAME, publish, release_of, rows_of

DATASETS = """
import json, sys
from datasets import load_dataset

name, config, revision = sys.argv[1:4]
found = load_dataset(name, config or None, revision=revision or None)
print(json.dumps({split: rows.to_list() for split, rows in found.items()}))
"""

RAY = """
import json, sys
import ray

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(json.dumps([ray.data.read_parquet(path).take_all() for path in sys.argv[1:]]))
"""

PYARROW = """
import json, os, sys
import pyarrow.parquet as pq

print(json.dumps({"train": pq.read_table(sys.argv[1]).to_pylist()}), flush=True)
# Its reading threads hold the hub's Python file: one that lets go of it while the interpreter ends
# aborts the process (arrow#33975), whatever options it was given. What was read is what counts here.
os._exit(0)
"""


def read(hub, folder, code, *arguments):
    """What a process prints that finds the hub by its environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "OMP_NUM_THREADS") or name.startswith("RAY_")
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=folder,
        env={**kept, **environment(hub, folder)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def published_rows(release, config="data"):
    """The rows of a release in the order of its shards."""
    paths = sorted((release.folder / config).glob("train-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def prompt(row):
    return row["prompt"]


@pytest.fixture
def release(hub, tmp_path):
    publish(release_of(tmp_path / "run-1", "before", shards=3))
    later = release_of(tmp_path / "run-2", "after", count=50)
    publish(later, tag="v2")
    assert len(published_rows(later)) == len(rows_of("after", 50)["data"])
    return later


@pytest.mark.parametrize(
    ("config", "folder", "revision"),
    [
        ("", "data", ""),
        pytest.param("default", "data", "v2", marks=pytest.mark.slow),
        pytest.param("provenance", "provenance", "main", marks=pytest.mark.slow),
    ],
)
def test_datasets_loads_every_config(hub, tmp_path, release, config, folder, revision):
    found = read(hub, tmp_path, DATASETS, NAME, config, revision)
    assert found == {"train": published_rows(release, folder)}


@pytest.mark.slow
@pytest.mark.ray
def test_ray_data_reads_the_shards(hub, tmp_path, release):
    paths = [f"hf://datasets/{NAME}{at}/data/" for at in ("", "@v2")]
    wanted = sorted(published_rows(release), key=prompt)
    assert [sorted(rows, key=prompt) for rows in read(hub, tmp_path, RAY, *paths)] == [wanted] * 2


def test_pyarrow_reads_a_shard(hub, tmp_path, release):
    path = f"hf://datasets/{NAME}/data/train-00000-of-00002.parquet"
    assert read(hub, tmp_path, PYARROW, path)["train"] == published_rows(release)[:25]
