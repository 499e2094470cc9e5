"""From a finished run's tables to the shards of a dataset, in one pass, whatever the size."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import StoreError
from rdpt_ray.publish.release_rows import FORMATS
from rdpt_ray.publish.run_tables import buckets_of, read_rows
from rdpt_ray.publish.sensitive import Screen
from rdpt_ray.publish.shards import Shards, ShardWriter
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.files import Root

Row = dict[str, Any]

DEFAULT, PROVENANCE, REJECTED = "default", "provenance", "rejected"
"""Configs; the formats behind the first have their own names."""

OTHER = "(others)"

MAX_LICENSES = 100
"""Different licences counted one by one."""


@dataclass(slots=True)
class Tables:
    """What was written, and what was seen in it.

    Attributes:
        shards: Of every config, the default one first.
        licenses: Published rows by licence; None: the row has none.
        correct: Selected rows by whether their answer is right; None: it is not known.
        screen: What must not be published.
    """

    shards: list[Shards] = field(default_factory=list)
    licenses: Counter[str | None] = field(default_factory=Counter)
    correct: Counter[bool | None] = field(default_factory=Counter)
    screen: Screen = field(default_factory=Screen)


def write_tables(
    run: Root, manifest: dict[str, Any], folder: Path, publish: PublishConfig
) -> Tables:
    """Write every config's shards below `folder`, in the order of bucket, prompt_id and candidate.

    Raises:
        StoreError: if the run's tables are missing, damaged or do not belong together.
    """
    four_way = "distilled" in manifest["models"]
    writers = _writers(folder, publish, four_way=four_way)
    rejected, provenance = writers.get(REJECTED), writers.get(PROVENANCE)
    first, *_ = publish.formats
    found = Tables()
    for bucket in buckets_of(run, manifest):
        for row, traced in _published(run, bucket, rejected=publish.rejected):
            found.screen.look(row)
            _count(found.licenses, row["license"])
            classes = traced["provenance"]
            if row["selected"]:
                found.correct[row["correct"]] += 1
                for name, writer in zip(publish.formats, writers.values(), strict=False):
                    writer.write(FORMATS[name].row(row, classes))
            elif rejected is not None:
                rejected.write(FORMATS[first].row(row, classes))
            if provenance is not None:
                provenance.write(_provenance_row(row, traced))
    found.shards = [writer.close() for writer in writers.values()]
    return found


def _writers(folder: Path, publish: PublishConfig, *, four_way: bool) -> dict[str, ShardWriter]:
    """Config -> its writer: the formats in their order, then provenance and rejected."""
    first, *others = publish.formats
    schemas = {DEFAULT: FORMATS[first].schema()}
    schemas |= {name: FORMATS[name].schema() for name in others}
    if publish.provenance:
        schemas[PROVENANCE] = provenance_schema(four_way=four_way)
    if publish.rejected:
        schemas[REJECTED] = FORMATS[first].schema(rejected=True)
    return {
        name: ShardWriter(
            folder, name, "data" if name == DEFAULT else name, schema, publish.shard_bytes
        )
        for name, schema in schemas.items()
    }


def _published(run: Root, bucket: str, *, rejected: bool) -> Iterator[tuple[Row, Row]]:
    """A bucket's traces to publish, each with its row of the table provenance."""
    tables = ["selected", "rejected"] if rejected else ["selected"]
    traced = read_rows(run, f"provenance/{bucket}")
    for row in merge(*(read_rows(run, f"{table}/{bucket}") for table in tables), key=_order):
        for each in traced:
            if each["trace_id"] == row["trace_id"]:
                yield row, each
                break
        else:
            raise StoreError(
                f"{run.show(f'provenance/{bucket}')}: no row in its place for trace {row['trace_id']};"
                " `rdpt store verify` tells what to do"
            )


def _order(row: Row) -> tuple[str, int]:
    return row["prompt_id"], row["candidate"]


def _count(licenses: Counter[str | None], name: str | None) -> None:
    known = name in licenses or len(licenses) < MAX_LICENSES
    licenses[name if known else OTHER] += 1


def provenance_schema(*, four_way: bool) -> pa.Schema:
    """One row per published trace; the sentences' texts, joined, are its response."""
    probs = ["teacher_prob", "student_prob", *(["distilled_prob"] if four_way else [])]
    sentence = [
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("text", pa.string()),
        ("provenance", pa.string()),
        *((name, pa.float32()) for name in probs),
    ]
    return pa.schema(
        [
            pa.field("trace_id", pa.string()),
            pa.field("prompt_id", pa.string()),
            pa.field("selected", pa.bool_()),
            pa.field("num_sentences", pa.int32()),
            pa.field("num_teacher", pa.int32()),
            pa.field("answer_start", pa.int32()),
            pa.field("sentences", pa.list_(pa.struct(sentence))),
        ]
    )


def _provenance_row(row: Row, traced: Row) -> Row:
    text = row["response"]
    lists = {
        name: traced[name] or [None] * len(row["sentences"])
        for name in ("provenance", "teacher_prob", "student_prob", "distilled_prob")
    }
    sentences = [
        {
            **span,
            "text": text[span["start"] : span["end"]],
            **{name: values[at] for name, values in lists.items()},
        }
        for at, span in enumerate(row["sentences"])
    ]
    return {**row, "sentences": sentences}
