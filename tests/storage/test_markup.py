"""Reasoning markup: every layout, every fault, and the laws of the canonical response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.markup import join_canonical, name_markup, split_markup

BOT, EOT = "<|begin_of_thought|>", "<|end_of_thought|>"
BOS, EOS = "<|begin_of_solution|>", "<|end_of_solution|>"
TAGS = ["<think>", "</think>", BOT, EOT, BOS, EOS]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain answer", ("", "plain answer", True)),
        ("<think>why</think>so", ("why", "so", True)),
        (" \n<think>\nwhy\n</think>\n\nso ", ("\nwhy\n", "\n\nso ", True)),
        ("why</think>so", ("why", "so", True)),
        ("<think></think>so", ("", "so", True)),
        ("<think>why</think>", ("why", "", True)),
        (f"{BOT}why{EOT}{BOS}so{EOS}", ("why", "so", True)),
        (f" {BOT}why{EOT}\n\n{BOS}so{EOS}\n", ("why", "so", True)),
        (f"why{EOT}{BOS}so{EOS}", ("why", "so", True)),
        (f"{BOT}why{EOT}so", ("why", "so", True)),
        (f"why{EOT}so", ("why", "so", True)),
        (f"{BOS}so{EOS}", ("", "so", True)),
        (f"{BOT}why{EOT}{BOS}so fa", ("why", "so fa", False)),
        (f"why{EOT}{BOS}so fa", ("why", "so fa", False)),
        (f"{BOS}so fa", ("", "so fa", False)),
        ("a <thinking> b </ think> <THINK>", ("", "a <thinking> b </ think> <THINK>", True)),
    ],
)
def test_split_markup(text, expected):
    assert split_markup(text, "response") == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<think>cut", "unclosed_reasoning"),
        ("so <think>cut", "unclosed_reasoning"),
        ("<think>a<think>b", "unclosed_reasoning"),
        (f"{BOT}cut", "unclosed_reasoning"),
        (f"{BOT}cut{BOS}so{EOS}", "unclosed_reasoning"),
        ("</think>a<think>", "ambiguous_markup"),
        ("<think>a</think>b<think>c</think>d", "ambiguous_markup"),
        ("<think>a</think>b</think>c", "ambiguous_markup"),
        ("<think>the tag <think> opens</think>b", "ambiguous_markup"),
        ("<think><think>a</think></think>b", "ambiguous_markup"),
        ("Sure. <think>a</think>b", "ambiguous_markup"),
        (f"{BOT}a{EOT}between{BOS}b{EOS}", "ambiguous_markup"),
        (f"{BOT}a{EOT}{BOS}b{EOS}after", "ambiguous_markup"),
        (f"<think>a{EOT}", "unclosed_reasoning"),
        (f"<think>a</think>{BOS}b{EOS}", "ambiguous_markup"),
        (EOS, "ambiguous_markup"),
    ],
)
def test_split_markup_refuses(text, reason):
    with pytest.raises(Fault) as caught:
        split_markup(text, "output")
    assert (caught.value.reason, caught.value.column) == (reason, "output")


def test_many_tags_are_refused_at_once():
    with pytest.raises(Fault) as caught:
        split_markup("</think>" * 200_000, "response")
    assert caught.value.reason == "ambiguous_markup"
    assert len(caught.value.detail) < 300


words = st.text(st.characters(codec="utf-8", exclude_characters="<"), max_size=30)
texts = st.lists(st.one_of(words, st.sampled_from(TAGS)), max_size=7).map("".join)


@given(texts)
def test_a_response_is_split_or_refused_and_no_tag_survives(text):
    try:
        reasoning, answer, _ = split_markup(text, "response")
    except Fault:
        return
    canonical, answer_start = join_canonical(reasoning, answer)
    assert canonical == canonical.strip()
    assert canonical[answer_start:] == answer.strip()
    assert canonical[:answer_start].strip() == reasoning.strip()
    assert not any(tag in reasoning + answer for tag in TAGS)
    assert reasoning in text
    assert answer in text


@given(words)
def test_canonical_without_markup_is_itself_up_to_strip(text):
    once, start = join_canonical(*split_markup(text, "response")[:2])
    assert (once, start) == (text.strip(), 0)
    assert join_canonical(*split_markup(once, "response")[:2]) == (once, 0)


@given(words, words)
def test_every_markup_gives_the_same_canonical_response(reasoning, answer):
    expected = join_canonical(reasoning, answer)
    for text in (
        f"<think>{reasoning}</think>{answer}",
        f"<think>\n{reasoning}\n</think>\n\n{answer}\n",
        f"{reasoning}</think>{answer}",
        f"{BOT}{reasoning}{EOT}\n{BOS}{answer}{EOS}",
        f"{BOT}{reasoning}{EOT}{answer}",
    ):
        assert join_canonical(*split_markup(text, "response")[:2]) == expected


@pytest.mark.parametrize(
    ("reasoning", "answer", "expected"),
    [
        (" a b \n", "\n c ", ("a b\n\nc", 5)),
        ("  ", " c ", ("c", 0)),
        (" a ", " ", ("a", 1)),
        ("", "", ("", 0)),
    ],
)
def test_join_canonical(reasoning, answer, expected):
    assert join_canonical(reasoning, answer) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>why</think><answer>so</answer>", ("why", "so", True)),
        ("<think>why</think>\n<answer>\nso\n</answer>\n", ("why", "\nso\n", True)),
        ("why</think><answer>so</answer>", ("why", "so", True)),
        ("<think>why</think><answer>so fa", ("why", "so fa", False)),
        ("<think>why</think><answer>a</answer>b", ("why", "<answer>a</answer>b", True)),
        (
            "<think>w</think><answer>a</answer><answer>b</answer>",
            ("w", "<answer>a</answer><answer>b</answer>", True),
        ),
        ("<answer>so</answer>", ("", "<answer>so</answer>", True)),
    ],
)
def test_answer_tags_are_markup_only_behind_reasoning(text, expected):
    assert split_markup(text, "response") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nwhy", ("\nwhy", "", False)),
        (f" {BOT}why", ("why", "", False)),
        ("<think>why</think>so", ("why", "so", True)),
        ("so", ("", "so", True)),
    ],
)
def test_reasoning_that_the_input_says_is_cut(text, expected):
    assert split_markup(text, "response", cut=True) == expected


@pytest.mark.parametrize("text", ["so <think>cut", "<think>a<think>b", f"{BOT}cut{BOS}so{EOS}"])
def test_a_cut_excuses_nothing_else(text):
    with pytest.raises(Fault):
        split_markup(text, "response", cut=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("so", "none"),
        ("why</think>so", "only </think>"),
        ("<think>why</think>so", "<think>"),
        (f"{BOT}why{EOT}", BOT),
        ("<|channel|>final<|message|>so", "harmony channels"),
    ],
)
def test_name_markup(text, name):
    assert name_markup(text) == name
