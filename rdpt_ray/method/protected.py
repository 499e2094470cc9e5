"""Hides what is not prose (code, formulas, tables, addresses, quotations) behind same-length masks.

A full stop inside `np.sqrt(x). Then`, $f(x) = 3. y$ or "Is it? I ask." ends no sentence of the text
around it. Masking keeps every character offset, and leaves the final stop of what it hides visible
("$x = 1.$" ends a sentence), so that the sentence rules need to know nothing about markup.

Every pattern is linear in the text: repeats are possessive or bounded, and an opening that finds no
end has read no further than the next opening.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

INLINE = "\x1a"  # code, formula, address, the inside of a quotation or bracket
DISPLAY = "\x02"  # display formula: the sentence before it goes on through it
BLOCK = "\x03"  # fenced code or table: a sentence of its own

_FENCE = re.compile(r"^[ \t]{0,20}+(`{3,}+|~{3,}+)([^\n]*+)", re.M)
_PIPE_LINES = re.compile(r"^[ \t]{0,20}+(\|[^\n]*+(?:\n[ \t]{0,20}+\|[^\n]*+)++)", re.M)
_DELIMITER_ROW = re.compile(r"^[ \t]*+\|[ \t:]*+-[-:| \t]*+$", re.M)
_ENVIRONMENT = re.compile(
    r"\\(begin|end)\{((?:align(?:ed|at)?|alignedat|array|cases|displaymath|eqnarray|equation|flalign"
    r"|gather(?:ed)?|lstlisting|math|[bBpvV]?matrix|multline|smallmatrix|split|tabular|tikzpicture"
    r"|verbatim)\*?)\}"
)
_QUOTES = ("\u201c\u201d", "\u300c\u300d", "\u300e\u300f", "\uff08\uff09")
# Each alternative begins with a literal, so that `re` skips to the next possible opening at once;
# this is why the look-behinds stand after the character they guard.
_SPAN = re.compile(
    "|".join(
        (
            r"`(?<!``)(?!`)[^`\n\x03]{1,1000}+`(?!`)",
            r"``(?<!```)(?!`)(?:[^`\n\x03]{1,1000}+|`(?!`)){1,50}+``(?!`)",
            r"\$\$(?<!\\\$\$)[^$\x03]{1,5000}+\$\$",
            # Pandoc's rule tells $x$ from $5-$10; "$5 per" and "$22 we" are money in any case.
            r"\$(?<![\\$]\$)(?![\s$])(?!\d[\d.,]{0,20}+[kKMB]?\s[A-Za-z]{2})"
            r"(?:[^$\\\n\x03]++|\\[^\n]|\n(?![^\S\n]*+\n))++(?<!\s)\$(?![\d$])",
            r"\\\((?<!\\\\\()(?:[^\\\n\x03]++|\\[^()\n]|\n(?![^\S\n]*+\n))*+\\\)",
            r"\\\[(?<!\\\\\[)(?:[^\\\x03]++|\\[^\[\]])*+\\\]",
            r"http(?<!\whttp)s?://[^\s<>\"`\u3000-\u9fff\uff00-\uffef]*(?<![.,;:!?)\]}'*_])",
            r'"(?<![^\s(\[*_]")(?=\S)[^"\n\x03]{1,600}+(?<!\s)"(?!\w)',
            *(rf"{a}[^{a}{b}\n\x03]{{1,600}}+{b}" for a, b in _QUOTES),
            r"\((?:[^()\n\x03]{1,300}+|\([^()\n\x03]{0,300}+\)){1,6}+\)",
        )
    )
)
_STOP = re.compile(r"[.!?\u2026\u3002\uff01\uff1f]")
_AFTER_STOP = ".!?\u2026\u3002\uff01\uff1f\"'\u201d\u2019)*_"


def protect(text: str) -> str:
    """Masks code, formulas, tables, addresses, quotations and brackets.

    Args:
        text: Any text.

    Returns:
        A text of the same length. Masked characters are INLINE, DISPLAY or BLOCK, and the first one
        of a masked region stands for a non-blank character; all others are unchanged.
    """
    pieces: list[str] = []
    at = 0
    for start, end, fill in sorted((*_fences(text), *_tables(text), *_environments(text))):
        if end > at:
            start = max(start, at)
            pieces += text[at:start], fill * (end - start)
            at = end
    return _SPAN.sub(_mask_span, "".join((*pieces, text[at:])))


def _fences(text: str) -> Iterator[tuple[int, int, str]]:
    """Fenced code, as CommonMark pairs the fences; a fence that never closes hides nothing."""
    opening = None
    for line in _FENCE.finditer(text) if "```" in text or "~~~" in text else ():
        fence, rest = line.groups()
        if opening is None:
            if "`" not in rest:
                opening = line
        elif fence.startswith(opening[1]) and not rest.strip():
            yield opening.start(1), line.end(1), BLOCK
            opening = None


def _tables(text: str) -> Iterator[tuple[int, int, str]]:
    """Runs of lines that start with a pipe: tables, unless they are lines such as `|x| = 3`."""
    for run in _PIPE_LINES.finditer(text) if "|" in text else ():
        rows = run[1].split("\n")
        if _DELIMITER_ROW.search(run[1]) or all(row.rstrip().endswith("|") for row in rows):
            yield run.start(1), run.end(1), BLOCK


def _environments(text: str) -> Iterator[tuple[int, int, str]]:
    """LaTeX environments that hold formulas or code; those that hold prose stay visible."""
    openings: defaultdict[str, list[int]] = defaultdict(list)
    for mark in _ENVIRONMENT.finditer(text) if "\\begin{" in text else ():
        if mark[1] == "begin":
            openings[mark[2]].append(mark.start())
        elif openings[mark[2]]:
            yield openings[mark[2]].pop(), mark.end(), DISPLAY


def _mask_span(match: re.Match[str]) -> str:
    span = match[0]
    if span[0] in "$\\":
        return _mask_formula(span)
    if span[0] in "`h":
        return INLINE * len(span)
    if not _STOP.search(span):
        return span
    inside = span[1:-1]
    kept = min(len(inside) - len(inside.rstrip(_AFTER_STOP)), 6)
    return span[0] + INLINE * (len(inside) - kept) + span[len(span) - 1 - kept :]


def _mask_formula(span: str) -> str:
    fill = DISPLAY if span.startswith(("$$", "\\[")) else INLINE
    body = span.rstrip("$)]\\").rstrip(" \n\t}")
    stops = min(len(body) - len(body.rstrip(".?")), 3)
    return fill * (len(span) - stops) + body[len(body) - stops :]
