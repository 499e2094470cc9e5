"""Untrusted text for a terminal: nothing acts, nothing is too wide."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.printable import clip, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\t b", "a b"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb\u200b\ufeff", "a\\u202eb\\u200b\\ufeff"),
        ("\ud800\U000e0001", "\\ud800\\U000e0001"),
        ("caf\u00e9 \u4e2d e\u0301", "caf\u00e9 \u4e2d e\u0301"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_acts(text):
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("\u4e2d\u6587\u4e2d", 6, "\u4e2d\u6587\u4e2d"),
        ("\u4e2d\u6587\u4e2d\u6587", 6, "\u4e2d..."),
        ("e\u0301" * 6, 6, "e\u0301" * 6),
    ],
)
def test_clip(text, width, shown):
    assert clip(text, width) == shown


@given(st.text(st.characters(codec="utf-8")).map(printable), st.integers(3, 30))
def test_never_too_wide(text, width):
    shown = clip(text, width)
    wide = sum(unicodedata.east_asian_width(char) in ("W", "F") for char in shown)
    marks = sum(unicodedata.combining(char) > 0 for char in shown)
    assert len(shown) + wide - marks <= width
