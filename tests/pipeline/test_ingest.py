"""The bodies of the ingestion tasks: each candidate of a row is a row of the ledger."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.ingest import Destination, ingest, read_rows, write_bucket
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.parts import PART_CHARS

LINES = [
    {"problem": "2+2?", "generations": ["<think>a</think>4", None, "b</think>4", "a</think>4"]},
    {"problem": "2+2?", "generations": []},
    {"problem": "2+2?", "generations": ["<think>a</think>4", "<think>c</think>4"]},
]


def ledger(tmp_path, name, order=1, part_chars=PART_CHARS):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    config = InputConfig(path=str(path))
    tables = read_rows(
        {"index": [0]}, files=list_inputs(config), configs=[config], num_buckets=1, unit="sentence"
    )
    rows = pa.concat_tables(tables)
    to = Destination(open_root(str(tmp_path / name)), "d", "runs/r", 1, part_chars=part_chars)
    [record] = write_bucket(rows.take(list(range(rows.num_rows))[::order]), to=to).to_pylist()
    return record, to.store.read_table("runs/r/rows/bucket=0000.parquet").to_pylist()


def test_every_candidate_of_a_row_is_accounted_for(tmp_path):
    record, rows = ledger(tmp_path, "store")
    assert (record["num_rows"], record["num_faults"], record["part_traces"]) == (7, 4, [3])
    assert [(row["row"], row["item"], row["candidate"], row["reason"]) for row in rows] == [
        (0, 0, 0, None),
        (0, 1, None, "null_value"),
        (0, 2, 1, None),
        (0, 3, None, "duplicate"),
        (1, 0, None, "no_response"),
        (2, 0, None, "duplicate"),
        (2, 1, 2, None),
    ]
    details = {row["item"]: row["detail"] for row in rows if row["reason"] == "duplicate"}
    assert details[3] == f"same prompt and response as {tmp_path}/a.jsonl row 0"


def test_parts_are_as_large_as_the_dataset_says(tmp_path):
    large, rows = ledger(tmp_path, "large")
    small, same_rows = ledger(tmp_path, "small", part_chars=1)
    assert (large["part_traces"], small["part_traces"]) == ([3], [1, 1, 1])
    assert rows == same_rows


def test_the_order_of_arrival_does_not_matter(tmp_path):
    assert ledger(tmp_path, "one") == ledger(tmp_path, "two", order=-1)


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_nothing_is_committed_of_an_input_that_changed_while_it_was_read(tmp_path, ray_cluster):
    """The change is found behind the last row, when all tables but one have gone into the shuffle."""
    for name in ("a.jsonl", "b.jsonl"):
        lines = [{"prompt": f"{name} {number}?", "response": "so"} for number in range(2000)]
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = InputConfig(path=str(tmp_path / "*.jsonl"))
    good, changed = list_inputs(config)
    changed = replace(changed, fingerprint=f"{changed.size}-sha256:{'0' * 64}")
    store = open_root(str(tmp_path / "store"))
    error = pytest.raises(InputError, match=r"b\.jsonl: has changed while it was read")
    with error, connected():
        ingest([good, changed], config, Destination(store, "d", "runs/r", 16))
    assert store.names("") == []
    ingest([good], config, Destination(store, "d", "runs/r", 16))
    assert store.names("runs/r")


@pytest.mark.ray
@pytest.mark.slow
def test_a_bomb_among_the_files_costs_its_rows_and_no_worker(tmp_path, ray_cluster):
    """511 bytes that are 20 GB of text in one row, read by a worker that goes on with the next file."""
    texts = pa.DictionaryArray.from_arrays(np.zeros(20_000, np.int32), pa.array(["x" * 1_000_000]))
    row = pa.ListArray.from_arrays(pa.array([0, 20_000], pa.int32()), texts)
    bomb = pa.table({"problem": ["q"], "generations": row})
    (tmp_path / "input").mkdir()
    pq.write_table(bomb, tmp_path / "input/b.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "input/b.parquet").stat().st_size < 2000
    for name in ("a", "c"):
        lines = [{**line, "problem": f"{name}?"} for line in LINES]
        (tmp_path / f"input/{name}.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines)
        )
    config = InputConfig(path=str(tmp_path / "input"))
    to = Destination(open_root(str(tmp_path / "store")), "d", "runs/r", 2)
    records = ingest(list_inputs(config), config, to)
    rows = [
        row
        for name in to.store.names("runs/r/rows")
        for row in to.store.read_table(name).to_pylist()
    ]
    assert sum(record.num_rows for record in records) == len(rows) == 7 + 1 + 7
    [fault] = [row for row in rows if row["file"].endswith("b.parquet")]
    assert (fault["row"], fault["reason"]) == (0, "compression_bomb")
    assert sum(row["reason"] is None for row in rows) == 3 + 3
