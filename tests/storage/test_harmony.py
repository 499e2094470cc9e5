"""The harmony format: channels in order, cut or whole, and everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.harmony import is_harmony, split_harmony
from rdpt_ray.storage.markup import split_markup

ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
NEXT = "<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{ANALYSIS}why{NEXT}{FINAL}so<|return|>", ("why", "so", True)),
        (f"<|start|>assistant{ANALYSIS}why{NEXT}{FINAL}so<|end|>\n", ("why", "so", True)),
        (f"{ANALYSIS}why{NEXT}{FINAL}so", ("why", "so", True)),
        (f"{ANALYSIS}why<|end|>", ("why", "", True)),
        (f"{ANALYSIS}a{NEXT}{ANALYSIS}b{NEXT}{FINAL}so", ("a\n\nb", "so", True)),
        (f"{FINAL}so<|return|>", ("", "so", True)),
        (f" \n{ANALYSIS}a < b{NEXT}{FINAL}<b>", ("a < b", "<b>", True)),
    ],
)
def test_split_harmony(text, expected):
    assert is_harmony(text)
    assert split_harmony(text, "response") == split_markup(text, "response") == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{ANALYSIS}why", "unclosed_reasoning"),
        (f"{ANALYSIS}a{NEXT}{ANALYSIS}b", "unclosed_reasoning"),
        (f"{FINAL}so{NEXT}{ANALYSIS}why<|end|>", "ambiguous_markup"),
        (f"{FINAL}so{NEXT}{FINAL}so", "ambiguous_markup"),
        (f"{ANALYSIS}why<|end|>so", "ambiguous_markup"),
        (f"{ANALYSIS}why{FINAL}so", "ambiguous_markup"),
        (f"{ANALYSIS}<think>why</think><|end|>", "ambiguous_markup"),
        ("<|channel|>commentary<|message|>{}<|call|>", "ambiguous_markup"),
        ("<|channel|>", "ambiguous_markup"),
    ],
)
def test_refused(text, reason):
    with pytest.raises(Fault) as caught:
        split_markup(text, "output")
    assert (caught.value.reason, caught.value.column) == (reason, "output")


def test_what_the_input_says_is_cut_is_kept():
    assert split_harmony(f"{ANALYSIS}why", "r", cut=True) == ("why", "", False)
    assert split_harmony(f"{ANALYSIS}why{NEXT}{FINAL}s", "r", cut=True) == ("why", "s", False)


def test_a_quoted_channel_is_plain_text():
    text = f"gpt-oss writes {ANALYSIS} before it thinks"
    assert not is_harmony(text)
    assert split_markup(text, "response") == ("", text, True)


@pytest.mark.parametrize("text", [f"{ANALYSIS}a{NEXT}" * 30_000, FINAL * 200_000])
def test_hostile_length_is_refused_at_once(text):
    with pytest.raises(Fault):
        split_harmony(text, "response")


pieces = st.sampled_from([ANALYSIS, FINAL, NEXT, "<|end|>", "<|return|>", "<think>", "a", " "])


@given(st.lists(pieces, max_size=8).map("".join), st.booleans())
def test_split_or_refused_and_no_channel_survives(text, cut):
    try:
        reasoning, answer, whole = split_markup(text, "response", cut=cut)
    except Fault:
        return
    if is_harmony(text):
        assert "<|channel|>" not in reasoning + answer
        assert whole is not cut
