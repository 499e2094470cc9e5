"""A store with traces and a run's ledger, without a model: what the searches for drops read."""

import pyarrow as pa

from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.screening import Screening
from rdpt_ray.selection_config import FiltersConfig
from rdpt_ray.storage.drops import read_drops
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.identity import identify
from rdpt_ray.storage.parts import bucket_folder, bucket_of, cut_into_parts, write_part
from rdpt_ray.storage.schemas import ROWS, TRACES


def trace(prompt, response, system=None, **facts):
    messages = [("system", system)] if system else []
    messages.append(("user", prompt))
    trace_id, prompt_id, _ = identify(messages, response, "prompt", "response")
    return {
        "trace_id": trace_id,
        "prompt_id": prompt_id,
        "messages": [{"role": role, "content": content} for role, content in messages],
        "response": response,
        "answer_start": 0,
        "sentences": [{"start": 0, "end": len(response)}],
        "complete": True,
        **facts,
    }


def screened(folder, traces, filters, *, buckets=4, part_chars=4000, run="runs/r", passes=None):
    """Parts of a store in `folder` and the job that searches them."""
    root = open_root(str(folder))
    parts = []
    for bucket in range(buckets):
        own = [one for one in traces if bucket_of(one["prompt_id"], buckets) == bucket]
        rows = [
            {"file": "f", "row": row, **{key: one.get(key) for key in ROWS.names if key in one}}
            for row, one in enumerate(own)
        ]
        root.write_table(
            f"{run}/rows/bucket={bucket:04d}.parquet", pa.Table.from_pylist(rows, schema=ROWS)
        )
        if own:
            table = pa.Table.from_pylist(own, schema=TRACES)
            for part in cut_into_parts(table, part_chars):
                key = write_part(root, bucket_folder("d", bucket), part, "x/1")
                parts.append(Part(bucket, key, part.num_rows))
    config = FiltersConfig.model_validate(filters)
    return parts, Screening(root, "d", run, config, passes)


def all_drops(job, buckets=4):
    """trace_id -> (reason, detail) over all buckets."""
    found = {}
    for bucket in range(buckets):
        found |= read_drops(job.store, job.run, bucket)
    return found
