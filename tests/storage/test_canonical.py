"""Raw rows to canonical traces: every shape of row, every fault, and what is kept exactly."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.canonical import to_trace
from rdpt_ray.storage.faults import Fault

USER = {"role": "user", "content": "2+2?"}
ASSISTANT = {"role": "assistant", "content": "<think>two twos</think>4"}
ROW = {"prompt": "2+2?", "response": "<think>two twos</think>4"}
CANONICAL = "two twos\n\n4"


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        {"prompt": "2+2?", "reasoning": " two twos\n", "answer": "4"},
        {"prompt": "2+2?", "reasoning": "<think>two twos</think>", "answer": "4"},
        {"prompt": "2+2?", "response": None, "reasoning": "two twos", "answer": "4"},
        {"messages": [USER], "response": "two twos</think>4"},
        {"messages": [USER, ASSISTANT]},
        {"messages": [USER, ASSISTANT], "response": None},
        {"messages": None, "conversations": [USER, ASSISTANT]},
        {
            "conversations": [
                {"from": "human", "value": "2+2?"},
                {"from": "gpt", "value": "<think>two twos</think>4"},
            ]
        },
        {"messages": [{**USER, "from": None, "value": None}], "response": ROW["response"]},
        {"prompt": "2+2?", "messages": [USER, ASSISTANT]},
        {**ROW, "messages": "not needed, so not read"},
        {**ROW, "answer": "4", "system": "  ", "metadata": None},
    ],
)
def test_every_shape_of_row_gives_the_same_trace(row):
    trace = to_trace(row)
    assert trace.messages == [("user", "2+2?")]
    assert (trace.response, trace.answer_start, trace.complete) == (CANONICAL, 10, True)
    assert trace.trace_id == to_trace(ROW).trace_id
    assert trace.prompt_id == to_trace(ROW).prompt_id
    assert trace.num_bytes == len("user2+2?") + len(CANONICAL)


def test_facts_are_carried_over():
    facts = {
        "reference_answer": "4",
        "correct": False,
        "teacher_name": "T",
        "source": "",
        "license": "mit",
    }
    trace = to_trace({**ROW, **facts, "metadata": {"b": 1, "a": "x"}})
    assert {name: getattr(trace, name) for name in facts} == facts
    assert trace.metadata == '{"a":"x","b":1}'
    plain = to_trace(ROW)
    assert all(getattr(plain, name) is None for name in [*facts, "metadata"])
    assert plain.trace_id == trace.trace_id


@pytest.mark.parametrize(
    ("row", "complete"),
    [
        ({**ROW, "complete": True}, True),
        ({**ROW, "complete": False}, False),
        ({**ROW, "complete": None}, True),
        ({**ROW, "response": "a<|end_of_thought|><|begin_of_solution|>b"}, False),
        (
            {**ROW, "response": "a<|end_of_thought|><|begin_of_solution|>b", "complete": True},
            False,
        ),
        ({**ROW, "response": "<think>closed, no answer</think>"}, True),
    ],
)
def test_complete(row, complete):
    assert to_trace(row).complete is complete


def test_closed_reasoning_without_an_answer_is_kept():
    trace = to_trace({**ROW, "response": "<think> hm </think>\n"})
    assert (trace.response, trace.answer_start) == ("hm", 2)
    trace = to_trace({"prompt": "q", "reasoning": "hm", "answer": ""})
    assert (trace.response, trace.answer_start) == ("hm", 2)


def test_no_reasoning_starts_the_answer_at_zero():
    for row in (
        {"prompt": "q", "response": " yes "},
        {"prompt": "q", "response": "<think>\n\n</think>\n\nyes"},
        {"prompt": "q", "reasoning": None, "answer": "yes"},
    ):
        trace = to_trace(row)
        assert (trace.response, trace.answer_start, trace.complete) == ("yes", 0, True)


def test_system_column_becomes_the_first_message():
    expected = [("system", "Be brief."), ("user", "2+2?")]
    own = {"messages": [{"role": "system", "content": "Be brief."}, USER, ASSISTANT]}
    assert to_trace({**ROW, "system": "Be brief."}).messages == expected
    assert to_trace(own).messages == expected
    assert to_trace({**own, "system": "Be brief."}).messages == expected


def test_history_is_part_of_the_prompt():
    history = [USER, {"role": "assistant", "content": "4"}, {"role": "tool", "content": ""}, USER]
    trace = to_trace({"messages": [*history, ASSISTANT]})
    assert [role for role, _ in trace.messages] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "\ufeffa",
        "\u202ea\u202c",
        "a\r\nb\u2028c\x85d",
        "e\u0301 \u00e9",
        "\U0001f468\u200d\U0001f469",
        "  a",
    ],
)
def test_text_is_kept_exactly(text):
    trace = to_trace({"prompt": text, "response": f"<think>x{text}x</think>y{text}y"})
    assert trace.messages == [("user", text)]
    assert trace.response == f"x{text}x\n\ny{text}y"


FAULTS = [
    ({}, "missing_column", "response"),
    ({"prompt": "q"}, "missing_column", "response"),
    ({"response": "r"}, "missing_column", "prompt"),
    ({"prompt": "q", "response": None}, "null_value", "response"),
    ({"prompt": None, "response": "r"}, "null_value", "prompt"),
    ({"prompt": "q", "reasoning": "r", "answer": None}, "null_value", "answer"),
    ({"messages": None, "response": "r"}, "null_value", "messages"),
    ({"messages": None}, "null_value", "messages"),
    ({"messages": [USER], "response": None}, "null_value", "response"),
    ({"prompt": "q", "response": ""}, "empty_text", "response"),
    ({"prompt": "q", "response": " \n\t\u3000"}, "empty_text", "response"),
    ({"prompt": "q", "response": "<think> </think> "}, "empty_text", "response"),
    ({"prompt": "q", "reasoning": " ", "answer": "\n"}, "empty_text", "answer"),
    ({"prompt": "", "response": "r"}, "empty_text", "prompt"),
    ({"prompt": " \n", "response": "r"}, "empty_text", "prompt"),
    ({"messages": [{**USER, "content": " "}, ASSISTANT]}, "empty_text", "messages"),
    ({"messages": [USER, {**ASSISTANT, "content": ""}]}, "empty_text", "messages"),
    ({"prompt": 1, "response": "r"}, "wrong_type", "prompt"),
    ({"prompt": "q", "response": 1}, "wrong_type", "response"),
    ({"prompt": "q", "response": ["r"]}, "wrong_type", "response"),
    ({"prompt": "q", "response": {"text": "r"}}, "wrong_type", "response"),
    ({"prompt": "q", "response": True}, "wrong_type", "response"),
    ({"prompt": "q", "response": b"r"}, "wrong_type", "response"),
    ({"prompt": "q", "reasoning": 1, "answer": "a"}, "wrong_type", "reasoning"),
    ({"messages": "q", "response": "r"}, "wrong_type", "messages"),
    ({"messages": {"role": "user"}, "response": "r"}, "wrong_type", "messages"),
    ({"messages": ["q"], "response": "r"}, "wrong_type", "messages"),
    ({"messages": [{**USER, "content": 1}], "response": "r"}, "wrong_type", "messages"),
    ({"messages": [{**USER, "role": 1}], "response": "r"}, "wrong_type", "messages"),
    ({**ROW, "correct": 1}, "wrong_type", "correct"),
    ({**ROW, "complete": "yes"}, "wrong_type", "complete"),
    ({**ROW, "source": 7}, "wrong_type", "source"),
    ({**ROW, "system": []}, "wrong_type", "system"),
    ({"messages": [{**USER, "content": None}], "response": "r"}, "null_value", "messages"),
    ({"messages": [{"content": "q"}], "response": "r"}, "null_value", "messages"),
    ({"messages": [], "response": "r"}, "empty_messages", "messages"),
    ({"conversations": []}, "empty_messages", "conversations"),
    ({"messages": [{**USER, "role": "narrator"}], "response": "r"}, "unknown_role", "messages"),
    ({"messages": [{**USER, "role": "\ud800"}], "response": "r"}, "unknown_role", "messages"),
    ({"messages": [ASSISTANT]}, "no_user_message", "messages"),
    (
        {"messages": [{"role": "system", "content": "s"}], "response": "r"},
        "no_user_message",
        "messages",
    ),
    ({"messages": [USER, ASSISTANT], "response": "r"}, "bad_turns", "messages"),
    ({"messages": [USER, ASSISTANT, ASSISTANT]}, "bad_turns", "messages"),
    ({"messages": [USER]}, "no_response", "messages"),
    (
        {"messages": [{"role": "system", "content": "s"}, USER, ASSISTANT], "system": "t"},
        "conflicting_system",
        "system",
    ),
    ({"prompt": "q", "response": "<think>cut"}, "unclosed_reasoning", "response"),
    ({"messages": [USER, {**ASSISTANT, "content": "<think>"}]}, "unclosed_reasoning", "messages"),
    ({"prompt": "q", "response": "</think>a<think>"}, "ambiguous_markup", "response"),
    (
        {"prompt": "q", "reasoning": "<think>a</think>b", "answer": "c"},
        "ambiguous_markup",
        "reasoning",
    ),
    ({"prompt": "q", "reasoning": "a", "answer": "b</think>c"}, "ambiguous_markup", "answer"),
    ({"prompt": "q", "response": "a\ud800"}, "invalid_unicode", "response"),
    ({"prompt": "\udfffq", "response": "a"}, "invalid_unicode", "prompt"),
    (
        {"conversations": [{**USER, "content": "\ud83d"}, ASSISTANT]},
        "invalid_unicode",
        "conversations",
    ),
    ({**ROW, "license": "\ud800"}, "invalid_unicode", "license"),
    ({**ROW, "metadata": {"\ud800": 1}}, "invalid_unicode", "metadata"),
]


@pytest.mark.parametrize(("row", "reason", "column"), FAULTS)
def test_faults(row, reason, column):
    with pytest.raises(Fault) as caught:
        to_trace(row)
    assert (caught.value.reason, caught.value.column) == (reason, column)
    assert set(caught.value.detail) <= {*string.printable}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "gpt", "system", "x"]) | json_values},
        optional={"content": st.text(max_size=9) | json_values, "value": st.text(max_size=9)},
    ),
    max_size=3,
)
rows = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.text(max_size=5) | json_values,
        "messages": messages | json_values,
        "conversations": messages | json_values,
        "system": st.text(max_size=5) | json_values,
        "response": st.text(max_size=9) | json_values,
        "reasoning": st.text(max_size=9) | json_values,
        "answer": st.text(max_size=9) | json_values,
        "correct": st.booleans() | json_values,
        "complete": st.booleans() | json_values,
        "license": st.text(max_size=5) | json_values,
        "metadata": json_values,
    },
)


@given(rows)
def test_any_row_is_a_trace_or_a_fault(row):
    try:
        trace = to_trace(row)
    except Fault:
        return
    assert trace.response.strip() == trace.response != ""
    assert 0 <= trace.answer_start <= len(trace.response)
    assert trace.messages[-1][0] != "assistant"
    again = to_trace(
        {
            "messages": [{"role": role, "content": text} for role, text in trace.messages],
            "response": trace.response,
        }
    )
    assert (again.trace_id, again.response) == (trace.trace_id, trace.response)


@pytest.mark.parametrize(
    ("own", "metadata"),
    [
        ({}, '{"uuid":"u1"}'),
        ({"metadata": None}, '{"uuid":"u1"}'),
        ({"metadata": {"b": 2}}, '{"b":2,"uuid":"u1"}'),
        ({"metadata": {"uuid": "old"}}, '{"uuid":"u1"}'),
        ({"metadata": "text"}, '{"metadata":"text","uuid":"u1"}'),
    ],
)
def test_columns_that_the_config_sends_there_are_keys_of_the_metadata(own, metadata):
    assert to_trace({**ROW, **own, "metadata.uuid": "u1"}).metadata == metadata
