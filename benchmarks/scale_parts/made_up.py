"""Input of any size, shaped like real reasoning traces with texts that are about 180 times shorter.

A real part holds some 40 traces of 25,000 characters and a bucket some 2,500 of them. Here a trace has
about 150 characters and the dataset's record, which a job reads if it is there, asks for parts of 40
traces and buckets of 2,500: the numbers of parts, buckets and files are those of a real job of as many
traces, and only what goes by characters and sentences is small.
"""

from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from rdpt_ray.config import CurateConfig, parse_config
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.parts import MIN_BUCKETS
from rdpt_ray.storage.runs import write_json

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"
CANDIDATES = 4
FILE_ROWS = 20_000
BUCKET_TRACES = 2_500
PART_TRACES = 40
TRACE_CHARS = 140
SENTENCES = 5


def job_over(folder: Path, num_traces: int, part_traces: int = PART_TRACES) -> CurateConfig:
    """Write an input of `num_traces` rows; the config of the main job over it, with an empty store.

    The models are the miniatures, whose names and tokenizers are looked at and which never score here.
    """
    source = folder / "input"
    source.mkdir(parents=True)
    for first in range(0, num_traces, FILE_ROWS):
        rows = range(first, min(first + FILE_ROWS, num_traces))
        pq.write_table(_rows(rows), source / f"{first:09d}.parquet")
    config = parse_config(
        {
            "name": "scale",
            "input": {"path": str(source)},
            "models": {role: {"model": str(MINIATURE / role)} for role in ("teacher", "student")},
            "store": str(folder / "store"),
        }
    )
    record = {"num_buckets": buckets_for(num_traces), "part_chars": part_traces * TRACE_CHARS}
    write_json(open_root(config.store), "traces/scale/dataset.json", record)
    return config


def buckets_for(num_traces: int) -> int:
    """As many buckets as real traces of this number would be dealt out to."""
    buckets = MIN_BUCKETS
    while buckets * BUCKET_TRACES < num_traces:
        buckets *= 2
    return buckets


def _rows(numbers: range) -> pa.Table:
    return pa.table(
        {
            "prompt": [f"What is the sum of task {row // CANDIDATES}?" for row in numbers],
            "response": [_response(row) for row in numbers],
        }
    )


def _response(row: int) -> str:
    draw = Random(row)
    sums = [(draw.randrange(1000), draw.randrange(1000)) for _ in range(SENTENCES - 1)]
    steps = [f"Then {one} and {other} make {one + other}." for one, other in sums]
    return " ".join(["Let us add them up one by one.", *steps])
