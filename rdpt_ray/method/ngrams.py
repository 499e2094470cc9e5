"""Words of a text and hashes of their n-grams: what duplicates and contamination are found by.

The rules are ours; n-grams of normalised words are what arXiv 2005.14165, appendix C, tests for
contamination with (13 of them) and arXiv 2107.06499 for duplicates.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana, Han: written without spaces, so every letter is a word."""

_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

_QUANTITY = re.compile(
    r"\d+(?:[.,]\d+)*"
    r"|[+=<>^/%\u00b1\u00d7\u00f7\u2260\u2264\u2265]"
    r"|[-\u2010-\u2015\u2212](?=\s*\d)"
    r"|(?<=\d)!"
)
_MINUS = re.compile(r"[\u2010-\u2015\u2212]")

_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, and 5 modulo 8: its powers differ in as many low bits as powers modulo 2**64 can."""


def words(text: str) -> list[str]:
    """The normalised words of a text: compatible characters made one (NFKC), no case, no punctuation.

    A word is a run of letters and digits; in scripts without spaces every letter is one.
    """
    return _WORD.findall(normalize("NFKC", text).casefold())


def quantities(text: str) -> str:
    """The numbers and operators of a text, in order, as one string.

    Two maths problems from one template differ in nothing else, and are two problems. A minus counts
    before a number only: elsewhere it cannot be told from a hyphen or a bullet.
    """
    found: list[str] = _QUANTITY.findall(normalize("NFKC", text))
    return _MINUS.sub("-", " ".join(found))


@lru_cache(maxsize=1 << 18)
def word_hash(word: str) -> int:
    """64 bits of a word, the same in every process and version."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def word_hashes(found: Iterable[str]) -> Hashes:
    """One hash per word, shape (num_words,), uint64."""
    return np.fromiter(map(word_hash, found), np.uint64)


def ngram_hashes(hashes: Hashes, length: int) -> Hashes:
    """One hash per run of `length` words, in order.

    Args:
        hashes: From `word_hashes`, shape (num_words,).
        length: Words per n-gram, at least 1.

    Returns:
        Shape (num_words - length + 1,), uint64; empty where there are fewer words. Hashes of n-grams of
        different lengths must not be compared.
    """
    count = len(hashes) - length + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    total = np.zeros(count, np.uint64)
    for offset in range(length):
        total = total * _BASE + hashes[offset : offset + count]
    return _mixed(total)


def shingles(text: str, length: int) -> Hashes:
    """The set of a text's n-grams, sorted: what its Jaccard similarity is taken of.

    A text of fewer words is one n-gram of all of them; one without a word is a set of its characters as
    they are, so that equal texts always have equal sets and no text has an empty one.

    Returns:
        Shape (num_distinct,), uint64, ascending, never empty.
    """
    hashes = word_hashes(words(text))
    if not len(hashes):
        return word_hashes([" ".join(text.split())])
    return np.unique(ngram_hashes(hashes, min(length, len(hashes))))


def jaccard(one: Hashes, other: Hashes) -> float:
    """Shared over all, of two sets from `shingles`; between 0 and 1."""
    shared = np.intersect1d(one, other, assume_unique=True).size
    return shared / (one.size + other.size - shared)


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64: every bit depends on all bits, as minima of hashes need."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
