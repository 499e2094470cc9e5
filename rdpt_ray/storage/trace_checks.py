"""Whether rows of traces are what their ids say: texts, spans, buckets, all computed anew."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rdpt_ray.storage.damage import Finding
from rdpt_ray.storage.identity import identify
from rdpt_ray.storage.parts import bucket_of, part_key
from rdpt_ray.storage.schemas import CONTENT


def check_part_rows(
    table: pa.Table, splitter: str | None, key: str, bucket: int, num_buckets: int | None
) -> list[Finding]:
    """Whether a part is the one that its name says.

    Args:
        table: Its rows, schema TRACES.
        splitter: What it says cut its sentences.
        key: Its name.
        bucket: Its folder's.
        num_buckets: Of the dataset; None: unknown, so buckets are not looked at.
    """
    findings = check_content(table) or check_buckets(table, bucket, num_buckets)
    if findings:
        return findings
    if splitter is None:
        return [("the name of its splitter in the file's metadata", "none")]
    ids = table.column("trace_id").to_pylist()
    if not ids or len(set(ids)) < len(ids):
        return [("at least one trace, and none twice", f"{len(ids)} rows, {len(set(ids))} traces")]
    actual = part_key(table, splitter)
    return [] if actual == key else [(f"traces whose part-key is {key}", f"part-key {actual}")]


def check_content(table: pa.Table) -> list[Finding]:
    """Whether ids are those of the texts, and sentences tile the responses.

    Args:
        table: With the columns of `schemas.CONTENT`.
    """
    holes = [field.name for field in CONTENT if table.column(field.name).null_count]
    if holes:
        return [("no null in what models read", f"nulls in {', '.join(holes)}")]
    row = first_untiled(table)
    if row is not None:
        response = table.column("response")[row].as_py()
        return [
            (
                f"sentences that tile the response of {len(response)} characters",
                f"a gap, an overlap or another end in row {row}",
            )
        ]
    return _check_ids(table)


def _check_ids(table: pa.Table) -> list[Finding]:
    names = ("trace_id", "prompt_id", "messages", "response", "answer_start")
    columns = [table.column(name).to_pylist() for name in names]
    for row, each in enumerate(zip(*columns, strict=True)):
        trace_id, prompt_id, messages, response, answer_start = each
        pairs = [(message["role"], message["content"]) for message in messages]
        if any(text is None for pair in pairs for text in pair):
            return [("messages with a role and a content", f"a null in row {row}")]
        actual = identify(pairs, response, "messages", "response")[:2]
        if actual != (trace_id, prompt_id):
            return [
                (
                    f"the texts of trace {trace_id} of prompt {prompt_id} in row {row}",
                    f"those of trace {actual[0]} of prompt {actual[1]}",
                )
            ]
        if not 0 <= answer_start <= len(response):
            return [
                (
                    f"an answer_start from 0 to {len(response)} in row {row}",
                    str(answer_start),
                )
            ]
    return []


def check_buckets(table: pa.Table, bucket: int, num_buckets: int | None) -> list[Finding]:
    """Whether rows lie in the bucket of their prompts.

    Args:
        table: With the column prompt_id.
        bucket: Where they lie.
        num_buckets: Of the dataset; None: unknown, so nothing is found.
    """
    if num_buckets is None:
        return []
    for row, prompt_id in enumerate(table.column("prompt_id").to_pylist()):
        actual = bucket_of(prompt_id, num_buckets)
        if actual != bucket:
            return [
                (
                    f"prompts of bucket {bucket} of {num_buckets}",
                    f"prompt {prompt_id} of bucket {actual} in row {row}",
                )
            ]
    return []


def first_untiled(table: pa.Table) -> int | None:
    """The first row whose sentences leave a gap in its response, or do not end with it; None: no row."""
    lengths = pc.call_function("utf8_length", [table.column("response")]).to_numpy()
    spans = table.column("sentences").combine_chunks()
    flat = spans.flatten()
    if flat.field("start").null_count or flat.field("end").null_count:
        return _row_with_null(spans)
    starts, ends = (flat.field(name).to_numpy().astype(np.int64) for name in ("start", "end"))
    counts = num_items(spans)
    rows = np.repeat(np.arange(len(counts)), counts)
    edges = np.concatenate([[0], np.cumsum(counts)])
    begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    begins[edges[:-1][counts > 0]] = 0
    last = np.zeros(len(counts), np.int64)
    last[counts > 0] = ends[edges[1:][counts > 0] - 1]
    bad = np.concatenate(
        [rows[(starts != begins) | (starts >= ends)], np.flatnonzero(last != lengths)]
    )
    return int(bad.min()) if len(bad) else None


def _row_with_null(spans: Any) -> int:
    for row, each in enumerate(spans.to_pylist()):
        if any(span is None or None in span.values() for span in each):
            return row
    raise AssertionError("there is a null in some row")


def num_items(lists: Any) -> NDArray[np.int64]:
    """[rows] how many items each list holds; 0 for null."""
    return lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
