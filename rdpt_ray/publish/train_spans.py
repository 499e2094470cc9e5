"""Which characters of an assistant's turn carry loss, as Axolotl reads it: `training_detail`.

Axolotl 0.19 takes offsets in the turn's content, tags included, and both ends inclusive. It gives a token
that lies across a boundary to the span behind it. Tokenizers put a blank at the front of a word, so a blank
between two sentences belongs to the second one here, although it is the first one's everywhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from rdpt_ray.method.provenance import Provenance

DETAIL = pa.list_(
    pa.struct(
        [
            ("begin_offset", pa.int32()),
            ("end_offset", pa.int32()),
            ("train", pa.bool_()),
            ("provenance", pa.string()),
        ]
    )
)


class _Piece(NamedTuple):
    """Half-open characters of the content."""

    start: int
    end: int
    train: bool
    provenance: str | None


def train_spans(
    parts: tuple[str, str, str, str],
    answer_start: int,
    sentences: Sequence[Mapping[str, int]],
    classes: Sequence[str | None] | None,
) -> list[dict[str, Any]]:
    """Spans that tile the content: markup and Teacher sentences carry loss, all others do not.

    Args:
        parts: The content in four: opening tag, reasoning, closing tag, answer.
        answer_start: Where the answer begins in the canonical response.
        sentences: {start, end} in the canonical response, half-open, tiling it.
        classes: One per sentence; None where no model's scores are known (a pruned trace).

    Returns:
        {begin_offset, end_offset, train, provenance}: inclusive offsets in the content. The provenance of
        markup is null; from it, any other rule can be made.
    """
    content = "".join(parts)
    pieces = sorted(_pieces(parts, answer_start, sentences, classes))
    return [
        {
            "begin_offset": piece.start,
            "end_offset": piece.end - 1,
            "train": piece.train,
            "provenance": piece.provenance,
        }
        for piece in _blanks_first(pieces, content)
    ]


def _pieces(
    parts: tuple[str, str, str, str],
    answer_start: int,
    sentences: Sequence[Mapping[str, int]],
    classes: Sequence[str | None] | None,
) -> Iterator[_Piece]:
    """Every part of the content, none empty; a sentence on both sides of the closing tag gives two."""
    opening, reasoning, closing, _ = parts
    shut = len(opening) + len(reasoning)
    yield from _some(0, len(opening), True, None)
    yield from _some(shut, shut + len(closing), True, None)
    to_answer = shut + len(closing) - answer_start
    for at, sentence in enumerate(sentences):
        name = classes[at] if classes else None
        train = name == Provenance.TEACHER
        start, end = sentence["start"], sentence["end"]
        ends = min(end, len(reasoning))
        yield from _some(len(opening) + start, len(opening) + ends, train, name)
        begins = max(start, answer_start)
        yield from _some(to_answer + begins, to_answer + end, train, name)


def _some(start: int, end: int, train: bool, name: str | None) -> Iterator[_Piece]:
    if start < end:
        yield _Piece(start, end, train, name)


def _blanks_first(pieces: Sequence[_Piece], content: str) -> Iterator[_Piece]:
    """The same pieces, with the blanks that end one put before the next."""
    moved = 0
    for at, piece in enumerate(pieces):
        text = content[piece.start : piece.end]
        start = piece.start - moved
        kept = len(text.rstrip(" \t")) if at + 1 < len(pieces) else len(text)
        moved = len(text) - kept if kept else 0
        yield piece._replace(start=start, end=piece.end - moved)
