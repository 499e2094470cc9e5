"""Splits a response into sentences, the units whose provenance is measured.

The paper (arXiv 2512.20908) splits with a regular expression it does not print. Here a library that
knows abbreviations does it, behind masks for code and formulas, with rules for what reasoning text
adds to prose: lines without full stops, list marks, factorials, CJK. `paper_regex` is the plain
expression, for comparison.
"""

import re
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import pairwise

from rdpt_ray.method.extensions import extension, extension_names, unknown_name
from rdpt_ray.method.lines import line_cuts
from rdpt_ray.method.protected import protect
from rdpt_ray.method.stops import stop_cuts

Span = tuple[int, int]

# Raise it with any change that moves a boundary: it is part of every stored part's key.
RULES_VERSION = 1

_PAPER_STOP = re.compile(r"[.!?]\s++")
_LINE_BREAK = re.compile(r"\n\s*+")
_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*+\n\s*+")


def split_sentences(text: str) -> list[Span]:
    """Splits text into sentences.

    Args:
        text: The canonical response; any string.

    Returns:
        Half-open character spans that tile the text: no gap, no overlap, none all blank unless the
        text is. White space belongs to the sentence before it, leading white space to the first.
        An empty text has no sentence.
    """
    masked = protect(text)
    cuts, glued = line_cuts(masked)
    return _tile(text, (cuts | stop_cuts(masked)) - glued)


def paper_regex(text: str) -> list[Span]:
    """Splits at white space after `.`, `!` or `?`, our reading of the paper's splitter."""
    return _tile(text, (m.end() for m in _PAPER_STOP.finditer(text)))


def split_lines(text: str) -> list[Span]:
    """Splits into lines; blank lines belong to the line before."""
    return _tile(text, (m.end() for m in _LINE_BREAK.finditer(text)))


def split_paragraphs(text: str) -> list[Span]:
    """Splits at blank lines."""
    return _tile(text, (m.end() for m in _PARAGRAPH_BREAK.finditer(text)))


Splitter = Callable[[str], list[Span]]
"""A text to half-open character spans that tile it: no gap, no overlap, none empty."""

GROUP = "rdpt_ray.splitters"

SPLITTERS: dict[str, Splitter] = {
    "sentence": split_sentences,
    "paper_regex": paper_regex,
    "line": split_lines,
    "paragraph": split_paragraphs,
}


def splitter_named(name: str) -> Splitter:
    """The splitter of a name: one of `SPLITTERS`, or an installed extension.

    Raises:
        KeyError: if there is none; names the nearest.
        ConfigError: if an extension cannot be loaded.
    """
    return SPLITTERS[name] if name in SPLITTERS else _extension(name)[0]


def splitter_id(name: str = "sentence") -> str:
    """Names a splitter and every version that can move a boundary of it.

    Args:
        name: A key of `SPLITTERS`, or an extension's name.

    Raises:
        KeyError: if there is none; names the nearest.
        ConfigError: if an extension cannot be loaded.
    """
    if name not in SPLITTERS:
        return f"{name}+{_extension(name)[1]}"
    if SPLITTERS[name] is split_sentences:
        return f"sentence-{RULES_VERSION}+nupunkt-{version('nupunkt')}"
    return f"{name}-{RULES_VERSION}"


def _extension(name: str) -> tuple[Splitter, str]:
    declared = extension_names(GROUP)
    if name not in declared:
        raise KeyError(f"no splitter {name!r}; {unknown_name(name, [*SPLITTERS, *declared])}")
    return extension(GROUP, name)


def _tile(text: str, cuts: Iterable[int]) -> list[Span]:
    lead, end = len(text) - len(text.lstrip()), len(text.rstrip())
    inner = sorted({cut for cut in cuts if lead < cut < end})
    edges = [0, *inner, len(text)]
    return list(pairwise(edges)) if text else []
