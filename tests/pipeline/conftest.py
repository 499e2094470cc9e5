"""A small job on the real miniature models, run once and looked at by many tests."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from rdpt_ray.config import parse_config
from rdpt_ray.pipeline.curate import curate

REPOSITORY = Path(__file__).resolve().parents[2]
MINIATURE = REPOSITORY / "examples" / "miniature"
QUIET = Console(quiet=True)


def miniature_rows(first, count):
    """Good rows of the demo's traces, as plain dicts."""
    rows = pq.read_table(MINIATURE / "traces.parquet").slice(first, count).to_pylist()
    return [
        row for row in rows if row["prompt"] and row["response"] and "</think>" in row["response"]
    ]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def config_tree(folder, *, rows=None, name="small", actors=None):
    """A config tree over a JSONL file in `folder`, with the store beside it.

    One actor reads a few traces sooner than a second one has loaded its model.
    """
    path = folder / "traces.jsonl"
    if rows is not None:
        write_jsonl(path, rows)
    return {
        "name": name,
        "input": {"path": str(path)},
        "models": {
            role: {"model": str(MINIATURE / role), "pool": {"max_actors": actors}}
            for role in ("teacher", "student", "distilled")
        },
        "store": str(folder / "store"),
    }


def run(tree, kind="curate"):
    return curate(parse_config(tree), QUIET, kind=kind)


def read_run(run, table):
    """One of a run's tables as rows, over all buckets."""
    return pq.read_table(f"{run.uri}/{table}").to_pylist()


def table_bytes(run):
    """Every table file of a run: name -> bytes."""
    folder = Path(run.uri)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for table in ("selected", "rejected", "quarantine", "provenance")
        for path in sorted((folder / table).iterdir())
    }


BAD_ROWS = [
    {"prompt": "1 + 1?", "response": None},
    {"prompt": "1 + 1?", "response": ""},
    {"prompt": "1 + 1?", "response": "<think>\nnever closed"},
    {"prompt": None, "response": "<think>\na\n</think>\n\nb"},
    {"prompt": "1 + 1?", "response": 5},
    {"response": "no prompt"},
]


@pytest.fixture(scope="session")
def small_run(ray_cluster, tmp_path_factory):
    """A finished run over 60 traces of 15 prompts, one duplicate and six bad rows."""
    folder = tmp_path_factory.mktemp("small")
    good = miniature_rows(0, 60)
    assert len(good) >= 55
    tree = config_tree(folder, rows=[*good, good[3], *BAD_ROWS])
    return tree, good, run(tree)
