"""The identity of a trace: the documented encoding, and that nothing else collides with it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.identity import identify


def encode(messages, response=None):
    """The encoding as docs/data.md states it, written a second time."""
    parts = [text for message in messages for text in message]
    parts += [] if response is None else [response]
    encoded = [text.encode() for text in parts]
    data = len(messages).to_bytes(8, "big")
    data += b"".join(len(text).to_bytes(8, "big") + text for text in encoded)
    return hashlib.sha256(data).hexdigest()[:32]


def test_known_value():
    assert identify([("user", "2+2?")], "4", "prompt", "response") == (
        "52b530dcc2aaca8f9143789a4903ca5f",
        "c26bdbea686ec1ed29cc670c81fc962e",
        9,
    )


texts = st.text(st.characters(codec="utf-8"), max_size=8)
conversations = st.lists(st.tuples(st.sampled_from(["user", "system"]), texts), max_size=3)


@given(conversations, texts)
def test_matches_the_documented_encoding(messages, response):
    trace_id, prompt_id, num_bytes = identify(messages, response, "prompt", "response")
    assert trace_id == encode(messages, response)
    assert prompt_id == encode(messages)
    assert num_bytes == len("".join([*(r + c for r, c in messages), response]).encode())


@given(conversations, texts, conversations, texts)
def test_different_traces_differ(messages, response, others, other):
    same = (messages, response) == (others, other)
    first = identify(messages, response, "prompt", "response")
    second = identify(others, other, "prompt", "response")
    assert (first[0] == second[0]) is same
    assert (first[1] == second[1]) is (messages == others)


def test_text_is_not_normalised():
    composed = identify([("user", "\u00e9")], "x", "prompt", "response")
    decomposed = identify([("user", "e\u0301")], "x", "prompt", "response")
    assert composed[1] != decomposed[1]


@pytest.mark.parametrize(
    ("content", "response", "column"), [("\ud800", "x", "question"), ("x", "a\udfff", "output")]
)
def test_lone_surrogate_names_the_column(content, response, column):
    with pytest.raises(Fault) as caught:
        identify([("user", content)], response, "question", "output")
    assert (caught.value.reason, caught.value.column) == ("invalid_unicode", column)
