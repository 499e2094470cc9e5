import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.method.sentences import split_sentences
from rdpt_ray.publish.release_rows import FORMATS, content_of, reasoning_and_answer
from rdpt_ray.storage.canonical import to_trace
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.identity import identify
from rdpt_ray.storage.markup import join_canonical


def row(reasoning="", answer="", *, messages=None, complete=True, **facts):
    response, answer_start = join_canonical(reasoning, answer)
    messages = messages or [{"role": "user", "content": "What is 2 + 2?"}]
    turns = [(each["role"], each["content"]) for each in messages]
    trace_id, prompt_id, _ = identify(turns, response, "messages", "response")
    return {
        "trace_id": trace_id,
        "prompt_id": prompt_id,
        "messages": messages,
        "response": response,
        "answer_start": answer_start,
        "sentences": [{"start": a, "end": b} for a, b in split_sentences(response)],
        "complete": complete,
        "metadata": json.dumps({"topic": "sums"}),
        **facts,
    }


def made(name, given_row, classes=None):
    """The row as it comes back from a table of the format."""
    kind = FORMATS[name]
    table = pa.Table.from_pylist([kind.row(given_row, classes)], schema=kind.schema())
    return table.to_pylist()[0]


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "2 + 2?"},
]


def test_messages_hold_the_prompt_and_the_turn_with_its_reasoning_inline():
    out = made("messages", row("Two and two.\nSo four.", "It is 4.", messages=TALK))
    assert out["messages"][:-1] == TALK
    assert out["messages"][-1] == {
        "role": "assistant",
        "content": "<think>\nTwo and two.\nSo four.\n</think>\n\nIt is 4.",
    }
    assert out["question"] == "2 + 2?"
    assert (out["reasoning"], out["answer"]) == ("Two and two.\nSo four.", "It is 4.")
    assert out["metadata"] == '{"topic": "sums"}'


def test_no_reasoning_no_markup():
    out = made("messages", row("", "It is 4."))
    assert out["messages"][-1]["content"] == out["answer"] == "It is 4."
    assert out["reasoning"] == ""


def test_reasoning_that_was_cut_is_not_closed():
    """Closed, it would teach to stop thinking where the sampler ran out of tokens."""
    assert content_of(row("Two and", complete=False)) == "<think>\nTwo and"
    assert content_of(row("Two and", complete=True)) == "<think>\nTwo and\n</think>\n\n"
    assert content_of(row("Two", "It is", complete=False)) == "<think>\nTwo\n</think>\n\nIt is"


def test_no_format_has_what_trl_takes_for_a_prompt_without_its_completion():
    for kind in FORMATS.values():
        names = set(kind.schema(rejected=True).names)
        assert ("prompt" in names) == ("completion" in names), names


def test_prompt_and_completion_are_the_same_conversation():
    given_row = row("Two.", "4.", messages=TALK)
    out = made("prompt_completion", given_row)
    assert out["prompt"] + out["completion"] == made("messages", given_row)["messages"]


def test_reasoning_content_stands_beside_the_answer():
    out = made("reasoning_content", row("Two.", "4."))
    assert out["messages"][-1] == {
        "role": "assistant",
        "content": "4.",
        "reasoning_content": "Two.",
    }
    assert out["messages"][0]["reasoning_content"] is None


def test_sharegpt_names_its_speakers():
    messages = [*TALK, {"role": "tool", "content": "4"}, {"role": "user", "content": "So?"}]
    out = made("sharegpt", row("Two.", "4.", messages=messages))
    assert [turn["from"] for turn in out["conversations"]] == [
        *("system", "human", "gpt", "human"),
        *("observation", "human", "gpt"),
    ]
    assert out["conversations"][-1]["value"] == "<think>\nTwo.\n</think>\n\n4."


def test_alpaca_has_the_last_question_and_what_was_said_before():
    out = made("alpaca", row("Two.", "4.", messages=TALK))
    assert out["system"] == "Be brief."
    assert out["history"] == [["Hi.", "Hello."]]
    assert (out["instruction"], out["input"]) == ("2 + 2?", "")
    assert out["output"] == "<think>\nTwo.\n</think>\n\n4."


@pytest.mark.parametrize(
    ("roles", "history", "instruction"),
    [
        ("uu", [], "0\n\n1"),
        ("uatu", [["0", "1"]], "2\n\n3"),
        ("au", [["", "0"]], "1"),
        ("sud", [], "1"),
    ],
)
def test_alpaca_of_prompts_that_do_not_alternate(roles, history, instruction):
    names = {"u": "user", "a": "assistant", "s": "system", "t": "tool", "d": "developer"}
    messages = [{"role": names[role], "content": str(at)} for at, role in enumerate(roles)]
    out = made("alpaca", row("", "4.", messages=messages))
    assert (out["history"], out["instruction"]) == (history, instruction)


TEXTS = st.text(max_size=60)


@given(TEXTS, TEXTS, st.booleans())
def test_a_published_row_read_back_is_the_same_trace(reasoning, answer, complete):
    """The identity of a trace outlives its publication, so what was published can be scored again."""
    given_row = row(reasoning, answer, complete=complete)
    if not given_row["response"]:
        return
    try:
        to_trace(
            {"prompt": "What is 2 + 2?", "response": content_of(given_row), "complete": complete}
        )
    except Fault:
        return
    out = made("messages", given_row)
    again = to_trace({"messages": out["messages"], "complete": out["complete"]})
    assert (again.trace_id, again.prompt_id) == (given_row["trace_id"], given_row["prompt_id"])
    assert again.response == given_row["response"]


@given(TEXTS, TEXTS)
def test_both_halves_are_those_of_the_response(reasoning, answer):
    given_row = row(reasoning, answer)
    assert reasoning_and_answer(given_row) == (reasoning.strip(), answer.strip())
