r"""Where a text says its final answer, and in what words.

Looked for in this order: the last `\boxed{...}`, the last `<answer>`, a last line "#### 42" (GSM8K), "the
answer is ..." or a heading "Final answer", and where nothing is marked the last line. Only the end of the
text is read, so the time does not depend on its length.
"""

import re
from dataclasses import dataclass

TAIL_CHARS = 8192
"""How much of a text's end is looked at."""

READING_CHARS = 1000
"""An answer longer than this is an essay, which no comparison here can judge."""

ALONE_CHARS = 64
"""A text of one line no longer than this is an answer and nothing else."""


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """What a text answers."""

    readings: tuple[str, ...]
    """Ways to read it, best first; never blank."""
    certain: bool
    """It is marked, or all there is. A mismatch with an answer that is merely the last line proves
    nothing: the answer may stand elsewhere."""


_BOX = re.compile(r"\\(?:boxed|fbox)\b\s*+")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_TOKEN = re.compile(r"[^\s$\\.,;]++(?:\.\d++)?")
_BETWEEN = re.compile(r"[\s$()\\]*(?:[,;]|,?\s?\b(?:and|or)\b)?[\s$()\\]*(?:[A-Za-z]\w?\s?=\s?)?")
_HASHES = re.compile(r"####(?!#)\s*+(\S.*)")
_SUBJECT = (
    r"\b(?:answer|(?:final|correct|right|best) (?:answer|option|choice|result|value))"
    r"(?: (?:to|for|of) [^\n.:?]{1,80}?)?(?: choice| option)?"
)
_LABEL = re.compile(
    rf"(?:{_SUBJECT}[*_\"')\] ]{{0,4}}(?:\b(?:is|are|was|equals)\b|[:=\uff1a])"
    r"|\u7b54\u6848(?:\u662f|\u4e3a)?|\u6545\u9009|\u6b63\u786e\u9009\u9879(?:\u662f|\u4e3a)?)"
    r"[*_:\uff1a \t]{0,6}(?:therefore |thus |simply |indeed |option |choice )?",
    re.IGNORECASE,
)
_HEADING = re.compile(r"[#*_ ]*(?:the )?(?:final )?(?:answer|result)[*_ :\uff1a]*", re.IGNORECASE)
# "The answer is correct." says nothing about what it is.
_REMARK = re.compile(
    r"(?:in)?(?:correct|valid|consistent|sensible|reasonable|plausible)\b|right\b|wrong\b|not\b|"
    r"unclear\b|unique\b|given\b|obtained\b|found\b|as follows\b|below\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile("(?:(?<![\\s.])\\.\\s++(?=[A-Z\\\\$])|\u3002)")


def final_answer(text: str) -> FinalAnswer | None:
    """Find the final answer.

    Args:
        text: The answer half of a response, or a reference answer with its solution.

    Returns:
        Its readings; None if the text is blank, or what it marks is longer than `READING_CHARS`.
    """
    text = text[-TAIL_CHARS:]
    marked = _boxed(text) or _tagged(text) or _hashed(text) or _said(text)
    if marked:
        return _answer(marked, certain=True)
    lines = _lines(text)
    if not lines:
        return None
    alone = len(lines) == 1 and len(lines[0]) <= ALONE_CHARS
    return _answer((lines[-1], text.strip()), certain=alone)


def reference_readings(reference: str) -> tuple[str, ...]:
    """Ways to read a reference answer: what it marks (GSM8K's ends in "#### 42"), else all of it."""
    text = reference[-TAIL_CHARS:]
    marked = _boxed(text) or _tagged(text) or _hashed(text) or _said(text) or (text.strip(),)
    return _readings(marked)


def _answer(readings: tuple[str, ...], *, certain: bool) -> FinalAnswer | None:
    kept = _readings(readings)
    return FinalAnswer(kept, certain) if kept else None


def _readings(found: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in found if one and len(one) <= READING_CHARS))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _boxed(text: str) -> tuple[str, ...]:
    """The last box; several beside each other ("x = a and x = b") are one answer."""
    boxes = _boxes(text)
    if not boxes:
        return ()
    start, _, content = boxes[-1]
    together = [content]
    for earlier, end, content in reversed(boxes[:-1]):
        if end > start or start - end > 40 or not _BETWEEN.fullmatch(text[end:start]):
            break
        if content != together[0]:
            together.insert(0, content)
        start = earlier
    return (", ".join(together),)


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """Start, end and content of every box that is closed and not blank, in order."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACE.finditer(text):
        if brace.group() == "{":
            opened.append(brace.start())
        elif brace.group() == "}" and opened:
            closing[opened.pop()] = brace.start()
    boxes: list[tuple[int, int, str]] = []
    for box in _BOX.finditer(text):
        if box.end() in closing:
            start, end, after = box.end() + 1, closing[box.end()], 1
        else:  # `\boxed 5`
            token = _TOKEN.match(text, box.end())
            if token is None or token.group().startswith("{"):
                continue
            (start, end), after = token.span(), 0
        if content := text[start:end].strip():
            boxes.append((box.start(), end + after, content))
    return boxes


def _tagged(text: str) -> tuple[str, ...]:
    _, tag, rest = text.rpartition("<answer>")
    content = rest.partition("</answer>")[0].strip() if tag else ""
    return _said(content) or (content,) if content else ()


def _hashed(text: str) -> tuple[str, ...]:
    last = text.rstrip().rpartition("\n")[2]
    found = _HASHES.match(last.strip())
    return (found.group(1).strip(),) if found else ()


def _said(text: str) -> tuple[str, ...]:
    """What follows the last "answer is" or "Answer:", in the same line or below it."""
    below = ""
    for line in reversed(_lines(text)):
        if below and _HEADING.fullmatch(line):
            return (below,)
        for label in reversed(list(_LABEL.finditer(line))):
            said = line[label.end() :].strip() or below
            if said and not _REMARK.match(said):
                return (_SENTENCE_END.split(said, maxsplit=1)[0], said)
        below = line
    return ()
