"""Near-duplicate prompts and traces: of texts that are alike, the one with the smallest id stays.

Tasks sign the texts of each part and cut the signatures into bands; bands go to one of a number of slots by
their hash (the only shuffle), where equal ones become pairs of texts to look at. The driver holds those
pairs, as two numbers each, and finds which texts are connected; tasks then read each group of connected
texts again and compare them exactly. Nothing depends on the order of parts, or on the number of workers.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from rdpt_ray.method.clusters import components, num_bands
from rdpt_ray.method.ngrams import quantities, shingles
from rdpt_ray.pipeline.alike import COLUMN, ID, Kind, Search, compare_groups, texts_of
from rdpt_ray.pipeline.part_tasks import num_tasks, over_tasks
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.screening import (
    Screening,
    commit_drops,
    read_part,
    screened_rows,
)
from rdpt_ray.pipeline.signatures import NUM_MINIMA, RECALL, bands, check_library, signatures
from rdpt_ray.storage.drops import Reason, count_drops

SLOT_ROWS = 2_000_000
"""Bands per slot of the shuffle: 32 MB."""
GROUP_TEXTS = 1_000
"""Texts per task that compares, unless one group has more."""

_BANDS = pa.schema(
    [pa.field("slot", pa.int32()), pa.field("band", pa.uint64()), pa.field("text", pa.int64())]
)
_PAIRS = pa.schema([pa.field("one", pa.int64()), pa.field("other", pa.int64())])

Pairs = NDArray[np.int64]


def find_duplicates(parts: Sequence[Part], job: Screening) -> dict[Reason, int]:
    """Run the stage, or find it done.

    Prompts are looked at first, so no trace is dropped for one whose prompt goes. Traces dropped as
    contaminated before this stage, or failing another filter, are not looked at.

    Args:
        parts: The run's parts, in any order.
        job: The run, with `filters.duplicates`.

    Returns:
        Reason -> how many traces are dropped for it; empty where the stage is off.

    Raises:
        ConfigError: if the library that it needs is not installed.
    """
    config = job.filters.duplicates
    counts: dict[Reason, int] = {}
    if config is None:
        return counts
    check_library()
    ordered = sorted(parts, key=lambda part: (part.bucket, part.key))
    searches: list[tuple[Reason, Kind, float | None]] = [
        ("near_duplicate_prompt", "prompt", config.prompts),
        ("near_duplicate", "trace", config.traces),
    ]
    for reason, kind, threshold in searches:
        if threshold is None:
            continue
        done = count_drops(job.store, job.run, reason)
        if done is None:
            found = _search(ordered, job, kind, threshold, config.ngram)
            prompts_of = ordered if kind == "prompt" else ()
            done = commit_drops(reason, found, job, prompts_of)
        counts[reason] = done
    return counts


def _search(
    parts: list[Part], job: Screening, kind: Kind, threshold: float, ngram: int
) -> dict[int, dict[str, str]]:
    """Bucket -> id -> what it is like, of every text that goes."""
    num_texts = sum(part.num_traces for part in parts)
    num_slots = 1 + num_texts * num_bands(threshold, NUM_MINIMA, RECALL)[0] // SLOT_ROWS
    search = Search(job, kind, threshold, ngram, parts, num_slots)
    items = ray.data.from_items(
        [{"part": index} for index in range(len(parts))],
        override_num_blocks=num_tasks(len(parts)),
    )
    sign: Any = partial(sign_parts, search=search)
    paired = (
        items.map_batches(sign, batch_size=1, num_cpus=1)
        .groupby("slot", num_partitions=num_slots)
        .map_groups(pair_bands, batch_format="pyarrow", num_cpus=1)
    )
    tables = [
        _pairs(batch) for batch in paired.iter_batches(batch_size=None, batch_format="pyarrow")
    ]
    groups = connected(np.unique(np.concatenate([np.zeros((0, 2), np.int64), *tables]), axis=0))
    found: dict[int, dict[str, str]] = {}
    if groups:
        rows = [{"groups": batch} for batch in _batches(groups)]
        for row in over_tasks(rows, partial(compare_groups, search=search)):
            found.setdefault(row["bucket"], {})[row["id"]] = row["detail"]
    return found


def sign_parts(batch: Mapping[str, Any], *, search: Search) -> Iterator[pa.Table]:
    """Body of the signing tasks: a part's texts to the bands of their signatures."""
    for index in batch["part"]:
        part = search.parts[int(index)]
        columns = [COLUMN[search.kind], ID[search.kind], "trace_id"]
        if search.job.passes:
            columns.append("response")
        table = read_part(part, search.job, list(dict.fromkeys(columns)))
        rows = screened_rows(part, search.job, table)
        ids = table.column(ID[search.kind]).to_pylist()
        rows = [
            row for place, row in enumerate(rows) if not place or ids[row] != ids[rows[place - 1]]
        ]
        texts = texts_of(table, rows, search.kind)
        minima = signatures([shingles(text, search.ngram) for text in texts])
        yield _banded(minima, [_key(text, search.kind) for text in texts], rows, int(index), search)


def _banded(
    minima: NDArray[np.uint32], keys: list[str], rows: list[int], index: int, search: Search
) -> pa.Table:
    values = bands(minima, search.threshold, keys)
    texts = np.repeat((np.int64(index) << 32) + np.array(rows, np.int64), values.shape[1])
    flat = values.reshape(-1)
    slots = (flat % np.uint64(search.num_slots)).astype(np.int32)
    return pa.table([slots, flat, texts], schema=_BANDS)


def pair_bands(slot: pa.Table) -> pa.Table:
    """Body of the pairing tasks: texts with an equal band to pairs, each with the first of them.

    Args:
        slot: Every band of the slot, schema BANDS, in any order.

    Returns:
        Each pair once, smaller number first, in order.
    """
    band, text = slot.column("band").to_numpy(), slot.column("text").to_numpy()
    order = np.lexsort((text, band))
    band, text = band[order], text[order]
    starts = np.flatnonzero(np.concatenate([[True], band[1:] != band[:-1]]))
    firsts = np.repeat(text[starts], np.diff(np.append(starts, len(text))))
    pairs = np.unique(np.column_stack([firsts, text])[firsts != text], axis=0)
    return pa.table([pairs[:, 0], pairs[:, 1]], schema=_PAIRS)


def connected(pairs: Pairs) -> list[list[int]]:
    """Texts that pairs connect, each group in order, the groups by their first."""
    texts, places = np.unique(pairs.reshape(-1), return_inverse=True)
    labels = components(places.reshape(-1, 2))
    order = np.argsort(labels, kind="stable")
    cuts = np.flatnonzero(np.diff(labels[order])) + 1
    return [group.tolist() for group in np.split(texts[order], cuts)] if len(texts) else []


def _key(text: str, kind: Kind) -> str:
    """Prompts with other numbers are other problems; a response is what it is for all its words."""
    return quantities(text) if kind == "prompt" else ""


def _pairs(batch: pa.Table) -> Pairs:
    return np.column_stack([batch.column("one").to_numpy(), batch.column("other").to_numpy()])


def _batches(groups: list[list[int]]) -> Iterator[list[list[int]]]:
    """Groups to tasks of about GROUP_TEXTS texts."""
    held: list[list[int]] = []
    for group in groups:
        held.append(group)
        if sum(map(len, held)) >= GROUP_TEXTS:
            yield held
            held = []
    if held:
        yield held
