"""Traces as the viewer shows them, cut so that a page of a thousand keeps its size.

What a text costs is counted in the bytes of its JSON. All traces share one limit, the largest under which
they fit; a trace above it keeps its beginning and its end, where the answer is, and says what is missing in
between.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring

from rdpt_ray.publish.untrusted import clip

MAX_SENTENCE_CHARS = 4_000
"""A sentence is cut there, so that one of a megabyte does not keep all others out."""

HEAD_SHARE = 0.7
"""How much of a trace that is cut is its beginning."""


@dataclass(frozen=True, slots=True)
class ShownSentence:
    """One sentence, ready to be shown."""

    number: int
    """1 is the first of the response."""
    num_chars: int
    """Of the whole sentence."""
    text: str
    """White space included; hidden characters are spelled out."""
    left_out: int
    """Characters that are not shown."""
    name: str
    """Its class, or UNSCORED."""
    probs: tuple[float | None, ...]
    """One per role."""
    num_bytes: int
    """At most what it takes in the page: text, class, one number per role."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What is left out of a trace between its beginning and its end."""

    after: int
    """Sentences shown before it."""
    sentences: int
    chars: int


@dataclass(frozen=True, slots=True)
class ShownText:
    """A response cut to what is shown."""

    sentences: tuple[ShownSentence, ...]
    gap: Gap | None = None


def json_text(value: object) -> str:
    """A value as JSON that can stand in a script element: no character of it ends the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def text_bytes(text: str) -> int:
    """The bytes of a text's `json_text`."""
    marks = text.count("<") + text.count(">") + text.count("&")
    lines = text.count("\u2028") + text.count("\u2029")
    return len(encode_basestring(text).encode()) + 5 * marks + 3 * lines


def hundredths(prob: float | None) -> int | None:
    """A probability as the page holds it."""
    return None if prob is None else round(100 * prob)


def _probs_bytes(probs: Sequence[float | None]) -> int:
    """At most what they take, with a comma behind each: "100," or "null,"."""
    return 4 * len(probs) + probs.count(None)


def shown_text(
    response: str,
    spans: Sequence[tuple[int, int]],
    names: Sequence[str],
    probs: Sequence[Sequence[float | None]],
    max_bytes: int,
) -> ShownText:
    """A response's sentences, cut to `max_bytes`; what is left out is never looked at.

    Args:
        response: The canonical response.
        spans: Half-open character spans.
        names: A class or UNSCORED, one per span.
        probs: Per role one probability per span.
        max_bytes: How much may be shown.
    """

    def sentence(index: int) -> ShownSentence:
        start, end = spans[index]
        text, left_out = clip(response[start:end], min(MAX_SENTENCE_CHARS, max(max_bytes // 4, 40)))
        shown = tuple(values[index] for values in probs)
        return ShownSentence(
            number=index + 1,
            num_chars=end - start,
            text=text,
            left_out=left_out,
            name=names[index],
            probs=shown,
            num_bytes=2 + text_bytes(text) + _probs_bytes(shown) + (24 if left_out else 0),
        )

    head: list[ShownSentence] = []
    left = max_bytes
    for index in range(len(spans)):
        each = sentence(index)
        head.append(each)
        left -= each.num_bytes
        if left < 0:
            break
    else:
        return ShownText(tuple(head))
    head = list(_fitting(head, round(HEAD_SHARE * max_bytes)))
    left = max_bytes - sum(each.num_bytes for each in head)
    backwards = (sentence(index) for index in reversed(range(len(head), len(spans))))
    tail = list(_fitting(backwards, left))[::-1]
    return _with_gap(head, tail, spans)


def _with_gap(
    head: list[ShownSentence], tail: list[ShownSentence], spans: Sequence[tuple[int, int]]
) -> ShownText:
    missing = spans[len(head) : len(spans) - len(tail)]
    if not missing:
        return ShownText((*head, *tail))
    gap = Gap(len(head), len(missing), missing[-1][1] - missing[0][0])
    return ShownText((*head, *tail), gap)


def _fitting(sentences: Iterable[ShownSentence], max_bytes: int) -> Iterable[ShownSentence]:
    """The first sentences that take at most `max_bytes` together."""
    for sentence in sentences:
        max_bytes -= sentence.num_bytes
        if max_bytes < 0:
            return
        yield sentence


def cut_text(shown: ShownText, max_bytes: int) -> ShownText:
    """The same text, cut once more if it takes more than `max_bytes`."""
    if num_bytes(shown) <= max_bytes:
        return shown
    gap = shown.gap or Gap(len(shown.sentences), 0, 0)
    before, after = shown.sentences[: gap.after], shown.sentences[gap.after :]
    head = list(_fitting(before, round(HEAD_SHARE * max_bytes)))
    left = max_bytes - sum(each.num_bytes for each in head)
    pool = after if shown.gap else before[len(head) :]
    tail = list(_fitting(reversed(pool), left))[::-1]
    missing = [*before[len(head) :], *after]
    missing = missing[: len(missing) - len(tail)]
    chars = gap.chars + sum(each.num_chars for each in missing)
    return ShownText((*head, *tail), Gap(len(head), gap.sentences + len(missing), chars))


def num_bytes(shown: ShownText) -> int:
    """What a text takes in the page."""
    return sum(each.num_bytes for each in shown.sentences)


def common_limit(sizes: Sequence[int], total: int) -> int:
    """The largest limit under which these sizes, each cut to it, add up to at most `total`."""
    left = total
    for place, size in enumerate(sorted(sizes)):
        if size * (len(sizes) - place) > left:
            return max(left, 0) // (len(sizes) - place)
        left -= size
    return max(sizes, default=0)
