"""Groups of texts that may be alike, read again and compared: which stay, and which go for which."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rdpt_ray.method.clusters import dropped
from rdpt_ray.method.ngrams import Hashes, jaccard, shingles
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.screening import Screening, prompt_text, read_part
from rdpt_ray.pipeline.signatures import signatures

Kind = Literal["prompt", "trace"]

COLUMN = {"prompt": "messages", "trace": "response"}
ID = {"prompt": "prompt_id", "trace": "trace_id"}

EXACT_HASHES = 50_000_000
"""N-grams of a group that are held to compare exactly, 400 MB; a larger group is compared by its
signatures, whose error is 0.027 at a similarity of 0.9."""

DROPPED = pa.schema(
    [pa.field("bucket", pa.int32()), pa.field("id", pa.string()), pa.field("detail", pa.string())]
)


@dataclass(frozen=True, slots=True)
class Search:
    """One search: for prompts or for traces."""

    job: Screening
    kind: Kind
    threshold: float
    ngram: int
    parts: Sequence[Part]
    """In order of bucket and key; a text is numbered by the place of its part here, and its row there."""
    num_slots: int


def compare_groups(batch: pa.Table, *, search: Search) -> pa.Table:
    """Body of the comparing tasks: groups of connected texts to those that go, schema DROPPED."""
    rows: list[dict[str, Any]] = []
    for row in batch.to_pylist():
        members = _read_members({text for group in row["groups"] for text in group}, search)
        for group in row["groups"]:
            rows.extend(_compare([members[text] for text in group], search))
    return pa.Table.from_pylist(rows, schema=DROPPED)


@dataclass(slots=True)
class _Member:
    identity: str
    bucket: int
    signature: NDArray[np.uint32]
    ngrams: Hashes | None


def _read_members(texts: set[int], search: Search) -> dict[int, _Member]:
    """The texts by number; without their n-grams where those are too many to be held."""
    members: dict[int, _Member] = {}
    num_hashes = 0
    for index in sorted({text >> 32 for text in texts}):
        part = search.parts[index]
        wanted = sorted(text for text in texts if text >> 32 == index)
        rows = [text & 0xFFFFFFFF for text in wanted]
        table = read_part(part, search.job, [COLUMN[search.kind], ID[search.kind]])
        ids = table.column(ID[search.kind]).take(rows).to_pylist()
        sets = [shingles(content, search.ngram) for content in texts_of(table, rows, search.kind)]
        num_hashes += sum(map(len, sets))
        held = sets if num_hashes <= EXACT_HASHES else [None] * len(sets)
        for text, identity, minima, ngrams in zip(wanted, ids, signatures(sets), held, strict=True):
            members[text] = _Member(identity, part.bucket, minima, ngrams)
        if num_hashes > EXACT_HASHES:
            for member in members.values():
                member.ngrams = None
    return members


def _compare(group: list[_Member], search: Search) -> Iterator[dict[str, Any]]:
    """Of one group, what goes; a text that two parts hold is one."""
    members = {member.identity: member for member in group}
    ordered = [members[identity] for identity in sorted(members)]
    sets = [member.ngrams for member in ordered if member.ngrams is not None]
    exact = len(sets) == len(ordered)
    gone = dropped(
        [member.identity for member in ordered],
        np.array([member.signature for member in ordered]),
        search.threshold,
        (lambda one, other: jaccard(sets[one], sets[other])) if exact else None,
    )
    for identity, (kept, similarity) in gone.items():
        about = "" if exact else "about "
        detail = f"{about}{similarity:.3f} like {search.kind} {kept}"
        yield {"bucket": members[identity].bucket, "id": identity, "detail": detail}


def texts_of(table: pa.Table, rows: list[int], kind: Kind) -> list[str]:
    """What is compared, of some rows of a part."""
    values = table.column(COLUMN[kind]).take(pa.array(rows, pa.int64())).to_pylist()
    return [prompt_text(value) for value in values] if kind == "prompt" else values
