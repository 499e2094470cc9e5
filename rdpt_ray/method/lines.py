"""Where sentences end at line breaks, and the marks at line starts that are no sentences.

Reasoning text leaves out most full stops at line ends, and is sometimes hard-wrapped. So a line
break ends a sentence unless the next line plainly goes on: in lower case, with a display formula,
or after a word that cannot end a sentence.
"""

import re

from rdpt_ray.method.protected import BLOCK, DISPLAY, INLINE

_BREAK = re.compile(r"\n\s*+")
_PREFIX = re.compile(r"(?:(?:>|\#{1,6}|[-*+\u2013\u2022\u25aa\u25cf])[ \t]+){0,4}+")
_MARK = re.compile(
    r"(?:\*\*|__)?"
    r"(?:\(?(?:\d{1,3}(?:\.\d{1,2}){0,3}|[A-Za-z]|[ivx]{1,5}|[IVX]{1,5})[.)]"
    r"|(?:Step|Case|Part|Claim|Lemma|Theorem|Problem|Question|Example|Option|Exercise|Method|Approach)"
    r"[ \t](?:\d{1,3}|[A-Za-z]|[IVX]{1,5})(?:\*\*|__)?\.)"
    r"(?:\*\*|__)?[ \t]++(?=\S)"
)
_HEAD = re.compile(r"(\*{1,3}|_{1,2})(?=[^\s*_])[^*_\n]{1,50}[.:!?]\1[ \t]++(?=\S)")
# A word, not a variable and not a name that a formula defines ("m = 2", "f(x)", "total = 5").
_LOWER_WORD = re.compile(
    r"(?:[^\W\d_A-Z][^\W\d_]++|a(?=[ \t]+[a-z]{2}))(?=[\s,.;:?!)'\u2019\"-])(?![ \t]*[=<>])"
)
# "2 units", but not "2 mod 5".
_COUNT = re.compile(r"\d[\d.,]*+%?[ \t]+(?!(?:mod|times|plus|minus|is|equals)\b)[a-z]{2}")
_FINAL = (".", "!", "?", ":", ";", "\u2026")
_GOES_ON = INLINE + '("\u201c'
_UNFINISHED = re.compile(
    r"(?:^|[\s(])(?:[Tt]he|an|of|and|or|than|from|with|into|by|if|because|whose|every|its|their|our"
    r"|your|my|between|e\.g\.|i\.e\.|vs\.|cf\.|approx\.|Dr\.|Mr\.|Mrs\.|Prof\.|Fig\.|Eq\.)\Z"
)


def line_cuts(masked: str) -> tuple[set[int], set[int]]:
    """Finds the ends of sentences that line breaks mark.

    Args:
        masked: Text whose code, formulas and quotations are masked (`protected.protect`).

    Returns:
        The offsets at which a sentence begins after a line break, and the offsets at which none
        begins because only a list mark or a run-in head stands before them on the line.
    """
    cuts: set[int] = set()
    glued = _marks(masked, len(masked) - len(masked.lstrip()))
    wrapped = False  # a line of this paragraph has gone on in the next one
    for gap in _BREAK.finditer(masked, 0, len(masked.rstrip())):
        start, end = gap.span()
        new_paragraph = masked.count("\n", start, end) > 1
        if new_paragraph or _ends_line(masked, start, end, wrapped):
            cuts.add(end)
            glued |= _marks(masked, end)
            wrapped = wrapped and not new_paragraph
        else:
            wrapped = True
    return cuts, glued


def _ends_line(masked: str, start: int, end: int, wrapped: bool) -> bool:
    before, following = masked[max(0, start - 24) : start].rstrip(), masked[end]
    if before.endswith(BLOCK) or following == BLOCK:
        return True
    if following == DISPLAY:
        return False
    if _MARK.match(masked, end):
        return True
    if _LOWER_WORD.match(masked, end):
        return before.endswith((":", "\uff1a"))
    if wrapped and (following in _GOES_ON or _COUNT.match(masked, end)):
        return before.endswith(_FINAL)
    return not ((following.isalnum() or following in _GOES_ON) and _UNFINISHED.search(before))


def _marks(masked: str, at: int) -> set[int]:
    """Ends of the list mark and of the run-in head ("2. **Check.** ...") at a line start."""
    ends: set[int] = set()
    prefix = _PREFIX.match(masked, at)
    at = prefix.end() if prefix else at
    for pattern in (_MARK, _HEAD):
        if mark := pattern.match(masked, at):
            at = mark.end()
            ends.add(at)
    return ends
