"""Untrusted text on a terminal: what acts or hides is spelled out, and lines keep to a width."""

import unicodedata


def printable(text: str) -> str:
    """The text on one line: white space as single spaces, all that is not printable as an escape.

    Control characters, bidirectional overrides, invisible characters and lone surrogates are not.
    """
    return "".join(char if char.isprintable() else _escape(char) for char in " ".join(text.split()))


def clip(text: str, width: int) -> str:
    """A printable text in at most `width` terminal columns, ending in `...` if it was cut."""
    if _width(text) <= width:
        return text
    while text and _width(text) > width - 3:
        text = text[:-1]
    return text + "..."


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _width(text: str) -> int:
    """Terminal columns: two for a wide character, none for a mark that combines."""
    wide = sum(unicodedata.east_asian_width(char) in ("W", "F") for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
