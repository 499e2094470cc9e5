import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.model_config import EnvelopeConfig, ModelConfig
from rdpt_ray.scoring.envelopes import (
    ENVELOPES,
    NONE,
    THINK,
    Envelope,
    before_answer,
    before_reasoning,
    configured_envelope,
    envelope_of,
    halves,
    is_closed,
)

GLM, HARMONY = ENVELOPES["glm4"], ENVELOPES["gpt_oss"]
TIGHT = Envelope("own", "<think>", "</think>")
TEXT = st.text(alphabet="ab. \n\t\u00a0\U0001f600", max_size=12)


def test_the_config_knows_every_row_and_nothing_else():
    named = {name: configured_envelope(name) for name in ENVELOPES}
    assert named == ENVELOPES
    for name in ENVELOPES:
        assert ModelConfig(model="m", envelope=name).envelope == name
    assert configured_envelope(ModelConfig(model="m").envelope) is None


def test_an_envelope_written_out():
    own = EnvelopeConfig(think_open="[THINK]", think_close="[/THINK]", answer_open="")
    assert configured_envelope(own) == Envelope("config", "[THINK]", "[/THINK]", "")
    same = EnvelopeConfig(think_open="<think>\n", think_close="\n</think>\n\n")
    assert configured_envelope(same) == THINK
    assert configured_envelope(EnvelopeConfig(think_open="", think_close="")) == NONE


def test_an_answer_behind_an_empty_block_is_the_same_envelope_said_twice():
    assert envelope_of(("<think>\n", "\n</think>\n\n", "<think>\n\n</think>\n\n"), "x") == THINK
    assert envelope_of(("<think>\n", "\n</think>\n\n", ""), "x").name == "x"
    assert len({row.texts for row in ENVELOPES.values()}) == len(ENVELOPES)


@pytest.mark.parametrize(
    ("prompt", "envelope", "missing"),
    [
        ("assistant\n", THINK, "<think>\n"),
        ("assistant\n<think>\n", THINK, ""),
        ("assistant\n<think>", THINK, "\n"),
        ("assistant\n<think>\n\n", THINK, ""),
        ("assistant\n<think>\n", TIGHT, ""),
        ("assistant\n<think> ", THINK, ""),
        ("<|assistant|>", GLM, "\n<think>"),
        ("<|assistant|><think>", GLM, ""),
        ("<|assistant|>\n<think>\n", GLM, ""),
        ("<|start|>assistant", HARMONY, "<|channel|>analysis<|message|>"),
        ("assistant\n", NONE, ""),
    ],
)
def test_an_opener_is_not_repeated(prompt, envelope, missing):
    assert before_reasoning(prompt, envelope) == missing


@pytest.mark.parametrize(
    ("prompt", "envelope", "markup"),
    [
        ("assistant\n", THINK, "<think>\n\n</think>\n\n"),
        ("assistant\n<think>\n", THINK, "\n</think>\n\n"),
        ("assistant\n<think>", THINK, "\n\n</think>\n\n"),
        ("<|start|>assistant", HARMONY, "<|channel|>final<|message|>"),
        ("assistant\n", ENVELOPES["lfm2_5"], ""),
        ("assistant\n<think>", ENVELOPES["lfm2_5"], "</think>"),
    ],
)
def test_an_answer_alone_stands_where_the_family_has_it(prompt, envelope, markup):
    assert before_answer(prompt, envelope) == markup


@pytest.mark.parametrize(
    ("prompt", "closed"),
    [
        ("assistant\n<think>\n\n</think>\n\n", True),
        ("<|assistant|></think>", True),
        ("assistant\n<think>\n", False),
        ("</think> assistant\n", False),
        ("", False),
    ],
)
def test_a_prompt_that_is_over_with_reasoning(prompt, closed):
    assert is_closed(prompt, THINK) is closed
    assert not is_closed(prompt, NONE)
    assert not is_closed(prompt, Envelope("own", "Thoughts: ", "\n\n")), "a blank is no markup"


@given(TEXT, TEXT)
def test_halves_hold_what_was_joined(reasoning, answer):
    reasoning, answer = reasoning.strip(), answer.strip()
    text = f"{reasoning}\n\n{answer}" if reasoning and answer else reasoning + answer
    first, second = halves(text, len(text) - len(answer))
    assert text[slice(*first)] == reasoning
    assert text[slice(*second)] == answer


@given(st.text(alphabet=string.whitespace + "ab", max_size=12), st.integers(0, 14))
def test_halves_lose_nothing_but_white_space(text, answer_start):
    (start, middle), (begin, end) = halves(text, answer_start)
    assert 0 == start <= middle <= begin <= end == len(text)
    assert not text[middle:begin].strip()
