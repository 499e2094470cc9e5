"""Which texts hold items of evaluation sets: runs of words that both have.

A run of 13 words is what arXiv 2005.14165, appendix C, counts as overlap. What is done with items that have
fewer is ours: from `MIN_WORDS` on, all words of the item in a row; below, only a text that is the item.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.ngrams import Hashes, ngram_hashes, word_hashes, words

MIN_WORDS = 8
"""Fewer words in a row are found anywhere ("find the value of x"), so they must be the whole text."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one length: hashes, ascending, and for each the first item that has it."""

    hashes: Hashes
    items: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Items of evaluation sets, as hashes; arrays only, so that processes of one host share them."""

    labels: list[str]
    """Of the items, for people."""
    runs: dict[int, Runs]
    """Number of words -> runs to find anywhere in a text."""
    whole: Runs
    """Items too short for that: all words of a text."""

    @property
    def num_short(self) -> int:
        """How many different items are found only as whole texts."""
        return len(self.whole.hashes)


def overlap_with(items: Iterable[tuple[str, str]], length: int) -> Overlap:
    """Index evaluation sets.

    Args:
        items: Label and text of each; texts may share a label. One without any word is left out.
        length: Words per run.

    Returns:
        What `first_overlap` looks in.
    """
    labels: dict[str, int] = {}
    found: dict[int, list[tuple[Hashes, int]]] = {}
    short: list[tuple[Hashes, int]] = []
    for label, text in items:
        hashes = word_hashes(words(text))
        if not len(hashes):
            continue
        item = labels.setdefault(label, len(labels))
        run = min(length, len(hashes))
        if run >= min(length, MIN_WORDS):
            found.setdefault(run, []).append((ngram_hashes(hashes, run), item))
        else:
            short.append((_whole(hashes), item))
    runs = {run: _sorted(found[run]) for run in sorted(found)}
    return Overlap(list(labels), runs, _sorted(short))


def first_overlap(text: str, overlap: Overlap) -> str | None:
    """The label of the first item that a text holds, in the items' order; None if it holds none."""
    hashes = word_hashes(words(text))
    hits = [_hits(ngram_hashes(hashes, run), runs) for run, runs in overlap.runs.items()]
    hits.append(_hits(_whole(hashes), overlap.whole))
    items = np.concatenate(hits)
    return overlap.labels[int(items.min())] if len(items) else None


def _whole(hashes: Hashes) -> Hashes:
    """One hash of all words and of how many they are."""
    return ngram_hashes(np.append(hashes, np.uint64(len(hashes))), len(hashes) + 1)


def _sorted(found: list[tuple[Hashes, int]]) -> Runs:
    if not found:
        return Runs(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    hashes, first = np.unique(np.concatenate([each for each, _ in found]), return_index=True)
    items = np.repeat([item for _, item in found], [len(each) for each, _ in found])
    return Runs(hashes, items[first])


def _hits(hashes: Hashes, runs: Runs) -> NDArray[np.int64]:
    """The items that some of these hashes belong to."""
    if not len(runs.hashes):
        return runs.items
    places = np.minimum(np.searchsorted(runs.hashes, hashes), len(runs.hashes) - 1)
    return runs.items[places[runs.hashes[places] == hashes]]
