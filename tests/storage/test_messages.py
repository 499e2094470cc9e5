"""Messages: roles, and reasoning beside the content."""

import pytest

from rdpt_ray.storage.canonical import to_trace
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.messages import REASONING_FIELDS, own_reasoning, read_messages

USER = {"role": "user", "content": "2+2?"}


def trace(**last):
    return to_trace({"messages": [USER, {"role": "assistant", **last}]})


def refused(**last):
    with pytest.raises(Fault) as caught:
        trace(**last)
    return caught.value.reason


@pytest.mark.parametrize("field", REASONING_FIELDS)
def test_reasoning_in_a_field_of_its_own(field):
    found = trace(content="4", **{field: " two twos "})
    assert (found.response, found.answer_start, found.complete) == ("two twos\n\n4", 10, True)
    assert trace(content="<think>two twos</think>4", **{field: "two twos"}).response == (
        found.response
    )
    assert trace(content="4", **{field: "<think>two twos</think>"}).response == found.response


@pytest.mark.parametrize("nothing", [None, "", " \n", True, 3, ["x"]])
def test_a_field_without_text_is_no_reasoning(nothing):
    found = trace(content="<think>two twos</think>4", thinking=nothing)
    assert found.response == "two twos\n\n4"


def test_the_same_twice_is_one():
    assert own_reasoning({"thinking": "a", "reasoning": "a "}, "messages") == "a"
    assert own_reasoning({"thinking": None}, "messages") is None


def test_a_message_cut_before_its_answer():
    assert trace(content=None, thinking="two").response == "two"


def test_different_reasoning_is_ambiguous():
    assert refused(content="4", thinking="a", reasoning="b") == "ambiguous_markup"
    assert refused(content="<think>b</think>4", thinking="a") == "ambiguous_markup"
    assert refused(content="4", thinking="<think>a</think>b") == "ambiguous_markup"
    assert refused(content=None) == "null_value"


def test_reasoning_of_earlier_turns_is_not_part_of_the_prompt():
    history = [USER, {"role": "assistant", "content": "4", "thinking": "x"}, USER]
    found = to_trace({"messages": [*history, {"role": "gpt", "content": "5"}]})
    assert found.messages == [("user", "2+2?"), ("assistant", "4"), ("user", "2+2?")]
    assert read_messages([{"from": "human", "value": "q"}], "conversations") == [("user", "q")]
