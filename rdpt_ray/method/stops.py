"""Where sentences end inside a line: nupunkt decides, and a few rules correct what it cannot know.

In reasoning text a letter before a stop is a variable more often than an initial, "5!" is a
factorial, a number may end a sentence, and Chinese and Japanese put no blank after a stop.
"""

import re

from rdpt_ray.method.abbreviations import BEFORE_NAMES, NEVER_FINAL, STARTERS, tokenizer
from rdpt_ray.method.protected import BLOCK, DISPLAY, INLINE

_MASKS = INLINE + DISPLAY + BLOCK
_GAP = re.compile(r"([.!?\u2026]++)([)\]}\"'\u201d\u2019\u00bb*_]*+)\s++")
_OPENERS = "\"'([*_\u201c\u2018"
_OPERATORS = tuple("+-*/=<>,\u00d7\u00b7")
_NO_WORD = re.compile(r"[^\w.'\u2019-]")
_LONG_CHUNK = re.compile(r"\s\S{120,}+")
_DIGIT = re.compile("[1-9]")
# Ideographs, kana and their punctuation: scripts in which no blank follows a stop.
_WIDE = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_WIDE_STOP = re.compile(
    r"[\u3002\uff01\uff1f\uff61\uff0e\u2026.!?](?<!\d\uff0e)"
    rf"(?:(?<=[\u3002\uff01\uff1f\uff61\uff0e])|(?<=\u2026)\u2026|(?<=[.!?])(?=[{_WIDE}]))"
    r"[\u3002\uff01\uff1f\uff61\u2026.!?]*+[\u201d\u2019\"'\u300d\u300f\uff09)\u300b\u3011*]*+\s*+"
    # A quotation that the sentence goes on from, or a list: "...?" to kiita.
    r"(?![\u3001\uff0c,\uff1b;\u3068\u3063\u201d\u2019\u300d\u300f\uff09)])"
)


def stop_cuts(masked: str) -> set[int]:
    """Finds the ends of sentences that punctuation marks.

    Args:
        masked: Text whose code, formulas and quotations are masked (`protected.protect`).

    Returns:
        The offsets at which the next sentence begins: after a stop and the blanks behind it, or,
        in scripts without blanks, right after the stop.
    """
    prose = _LONG_CHUNK.sub(_shorten, "\n" + masked)[1:]
    # To nupunkt all numbers are one word; written alike they also share its memo (+30 % speed).
    alike = _DIGIT.sub("0", prose)
    proposed = {start for start, _ in tokenizer().span_tokenize(alike, realign_boundaries=False)}
    cuts: set[int] = set()
    for gap in _GAP.finditer(prose, 0, len(prose.rstrip())):
        ends = _ends_sentence(prose, gap)
        if ends is None:
            ends = (gap.end(1) if gap[2] else gap.end()) in proposed
        if ends:
            cuts.add(gap.end())
    if not masked.isascii():
        cuts.update(stop.end() for stop in _WIDE_STOP.finditer(masked))
    return cuts


def _shorten(chunk: re.Match[str]) -> str:
    """Masks a long chunk without blanks: at each stop in it nupunkt would read on to its end."""
    return chunk[0][0] + INLINE * (len(chunk[0]) - 5) + chunk[0][-4:]


def _ends_sentence(prose: str, gap: re.Match[str]) -> bool | None:
    """Whether a sentence ends at this stop; None leaves it to nupunkt."""
    start, end = gap.span()
    marks, before, following = gap[1], prose[start - 1 : start], prose[end]
    if marks == ".":
        if before.isalpha():
            leading, following = prose[max(0, start - 24) : start], prose[end : end + 24]
            return _word_ends(leading, _NO_WORD.split(leading)[-1], following.lstrip(_OPENERS))
        return True if before.isdigit() else None
    if marks == "!":
        # A factorial: "5! = 120", "n! grows". Before a capital it may be joy.
        is_operand = before.isdigit() or before == ")" or _is_letter(prose, start)
        opens = following.isupper() or following in _MASKS
        return False if is_operand and not opens and not gap[2] else None
    if marks.endswith(("..", "\u2026")):
        # The dots of a sum or a list: "2 + 4 + ... + 100", "1, 2, ... N".
        return False if prose[max(0, start - 8) : start].rstrip().endswith(_OPERATORS) else None
    return None


def _is_letter(prose: str, end: int) -> bool:
    return prose[end - 1 : end].isalpha() and not prose[max(0, end - 2) : end - 1].isalpha()


def _word_ends(leading: str, word: str, following: str) -> bool | None:
    lowered, initial = word.lower(), following[:1]
    if lowered in NEVER_FINAL:
        return False
    if len(word) == 1:
        return _letter_ends(leading[:-1].split()[-1:], following)
    opens = initial.isupper() or (lowered == "no" and initial in _MASKS)
    return True if opens and "." not in word and lowered not in BEFORE_NAMES else None


def _letter_ends(previous: list[str], following: str) -> bool | None:
    """A single letter ends a sentence as a variable or label, but not as an initial (J. Smith)."""
    if not following[:1].isalnum():
        return True
    if not following[0].isupper():
        return None
    word = re.split(r"[\W_]", following, maxsplit=1)[0]
    if len(word) == 1 and following[1:2] == ".":
        return False
    if word.isupper() or word.lower() in STARTERS:
        return True
    in_name = not previous or previous[0][0].isupper() or previous[0].endswith((".", "(", "by"))
    return None if in_name else True
