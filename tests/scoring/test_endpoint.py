"""How long a request waits; what it meets on its way is in test_openai_engine.py."""

import pytest
from huggingface_hub.utils import httpx
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.scoring.endpoint import (
    LONGEST_BACKOFF_S,
    LONGEST_RETRY_AFTER_S,
    _message,
    wait_s,
)


@given(
    st.integers(0, 2000),
    st.floats(1e-3, 60),
    st.one_of(st.just(0.0), st.floats(0, 1e12)),
)
def test_a_wait_doubles_with_jitter_and_has_a_limit(attempt, base_s, asked_s):
    backoff_s = min(base_s * 2.0 ** min(attempt, 100), LONGEST_BACKOFF_S)
    asked_s = min(asked_s, LONGEST_RETRY_AFTER_S)
    waited = wait_s(attempt, base_s, asked_s)
    assert asked_s + backoff_s / 2 <= waited <= asked_s + backoff_s


@pytest.mark.parametrize("before", [0, 280, 290, 299, 400])
def test_a_key_is_cut_out_before_the_message_is_cut_short(before):
    key = "sk-ABCDEFGHIJKLMNOP"
    client = httpx.Client(headers={"Authorization": f"Bearer {key}"})
    text = _message(httpx.Response(400, text="x" * before + f" your key {key}"), client)
    assert "sk-" not in text
    assert len(text) <= 300
