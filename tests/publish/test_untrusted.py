import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.publish.untrusted import clip, shorten, visible
from rdpt_ray.storage.files import public_uri

ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, \u00e9\u4e2d\n\ttext", "plain, \u00e9\u4e2d\n\ttext"),
        ("nul\0", "nul<U+0000>"),
        ("\x1b[31mred", "<U+001B>[31mred"),
        ("line\r\nline\rlost", "line\nline<U+000D>lost"),
        ("abc\u202edcba", "abc<U+202E>dcba"),
        ("\u2066isolated\u2069", "<U+2066>isolated<U+2069>"),
        ("\ufefftext\u200b", "<U+FEFF>text<U+200B>"),
        ("lone \ud800", "lone <U+D800>"),
        ("tag \U000e0041", "tag <U+E0041>"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
    ],
)
def test_what_hides_is_made_visible_and_the_rest_is_kept(text, shown):
    assert visible(text) == shown


@given(ANY_TEXT)
def test_visible_text_can_be_encoded_and_hides_nothing_more(text):
    shown = visible(text)
    shown.encode()
    assert visible(shown) == shown


@given(ANY_TEXT, st.integers(0, 400))
def test_clip_never_shows_more_than_the_limit_and_counts_every_character(text, limit):
    shown, left_out = clip(text, limit)
    assert len(shown) <= limit
    assert shown == visible(text[: len(text) - left_out])


def test_clip_counts_the_characters_of_the_text_not_of_its_marks():
    assert clip("abc" * 1000, 10) == ("abcabcabca", 2990)
    assert clip("\0" * 1000, 90) == ("<U+0000>" * 10, 990)


def test_a_label_stays_on_one_line_and_says_that_it_was_cut():
    assert shorten("two\nlines", 20) == "two lines"
    assert shorten("x" * 30, 10) == "x" * 9 + "\u2026"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("data/traces.parquet", "data/traces.parquet"),
        ("C:\\data\\a?b#c.parquet", "C:\\data\\a?b#c.parquet"),
        ("s3://key:secret@bucket/a.parquet", "s3://bucket/a.parquet"),
        ("https://host/a.parquet?X-Amz-Signature=abc#f", "https://host/a.parquet"),
        ("hf://datasets/org/name@main/a.parquet", "hf://datasets/org/name@main/a.parquet"),
        ("http://user:pass@[broken/a?token=1", "[broken/a"),
    ],
)
def test_a_shown_uri_holds_no_secret(uri, shown):
    assert public_uri(uri) == shown
