"""Datasets whose messages hold more than a role and a content: AM-DeepSeek-R1-Distilled, gpt-oss recipes."""

from collections.abc import Iterator
from typing import Any

from rdpt_ray.storage.column_types import conversation, conversation_with, text
from rdpt_ray.storage.layouts.layout import Layout, Values
from rdpt_ray.storage.messages import REASONING_FIELDS


def _from_info(values: Values) -> Values:
    """Facts from the messages' `info`; the last one's two texts where its content has no answer."""
    infos = list(_infos(values.get("messages")))
    for name in ("reference_answer", "source"):
        values[name] = next((info[name] for info in infos if info.get(name) is not None), None)
    last = values["messages"][-1] if infos else None
    if isinstance(last, dict) and isinstance(info := last.get("info"), dict):
        texts = info.get("think_content"), info.get("answer_content")
        if last.get("content") is None and isinstance(texts[1], str):
            values["messages"] = values["messages"][:-1]
            values |= {"reasoning": texts[0], "answer": texts[1]}
    return values


def _infos(messages: Any) -> Iterator[dict[str, Any]]:
    if isinstance(messages, list):
        for message in messages:
            if isinstance(message, dict) and isinstance(message.get("info"), dict):
                yield message["info"]


AM_DEEPSEEK_R1 = Layout(
    name="am-deepseek-r1-distilled",
    dataset="a-m-team/AM-DeepSeek-R1-Distilled-1.4M",
    needs={"messages": conversation_with("info")},
    columns={"messages": "messages"},
    finish=_from_info,
    note="reference_answer and source come from the messages' info; no column names the teacher;"
    " test_case is not carried",
)


def _from_channels(values: Values) -> Values:
    """The messages, or where they are null or hold no reasoning the columns that repeat them."""
    repeated = {name: values.pop(f"messages.{name}", None) for name in _REPEATED}
    if repeated["final"] is None:
        return values
    written = {"reasoning": repeated["analysis"], "answer": repeated["final"]}
    messages = values.get("messages")
    if messages is None:
        values |= {"system": repeated["developer"], "prompt": repeated["user"], **written}
    elif repeated["analysis"] and isinstance(messages, list) and messages:
        *asked, last = messages
        if isinstance(last, dict) and not any(last.get(name) for name in REASONING_FIELDS):
            ends = last.get("role") == "assistant"
            values |= {"messages": asked if ends else messages, **written}
    return values


_REPEATED = ("developer", "user", "analysis", "final")


MULTILINGUAL_THINKING = Layout(
    name="multilingual-thinking",
    dataset="HuggingFaceH4/Multilingual-Thinking",
    needs={"messages": conversation, "reasoning_language": text},
    also=_REPEATED,
    columns={
        "messages": "messages",
        **{f"messages.{name}": name for name in _REPEATED},
        "metadata.reasoning_language": "reasoning_language",
    },
    finish=_from_channels,
    note="the reasoning is the field thinking of the assistant's message; the columns developer, user,"
    " analysis and final repeat the messages and are read where those are null or hold no reasoning",
)
