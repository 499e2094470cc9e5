"""NVIDIA's post-training datasets: one trace per row, most with a licence and a generator of their own."""

import json
from typing import Any

from rdpt_ray.storage.column_types import conversation, text, text_or_conversation
from rdpt_ray.storage.json_text import is_too_deep
from rdpt_ray.storage.layouts.layout import Layout, Values


def prompt_or_messages(values: Values) -> Values:
    """`input` is one string in some files and a list of messages in others; both names hold it here."""
    del values["messages" if not isinstance(values.get("prompt"), list) else "prompt"]
    return values


def _with_own_metadata(values: Values) -> Values:
    values["metadata"] = parsed(values.get("metadata"))
    return values


def parsed(value: Any) -> Any:
    """What a string of JSON says; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return value if is_too_deep(found) else found


ACEREASON = Layout(
    name="acereason-1.1-sft",
    dataset="nvidia/AceReason-1.1-SFT",
    needs={"category": text, "source": text, "input": text_or_conversation, "output": text},
    columns={
        "prompt": "input",
        "messages": "input",
        "response": "output",
        "source": "source",
        "metadata.category": "category",
    },
    finish=lambda values: prompt_or_messages({"prompt": None, "messages": None, **values}),
    note="prompts repeat over rows; no column names the teacher",
)

LLAMA_NEMOTRON = Layout(
    name="llama-nemotron-post-training",
    dataset="nvidia/Llama-Nemotron-Post-Training-Dataset",
    needs={"input": text_or_conversation, "output": text, "generator": text},
    also=("license", "category", "reasoning", "used_in_training", "version", "system_prompt"),
    columns={
        "prompt": "input",
        "messages": "input",
        "system": "system_prompt",
        "response": "output",
        "license": "license",
        "teacher_name": "generator",
        "metadata.category": "category",
        "metadata.reasoning": "reasoning",
        "metadata.version": "version",
        "metadata.used_in_training": "used_in_training",
    },
    finish=lambda values: prompt_or_messages({"prompt": None, "messages": None, **values}),
    note="the licence is each row's own; the column reasoning says on or off and goes to metadata",
)

NEMOTRON_V1_V2 = Layout(
    name="nemotron-post-training",
    dataset="nvidia/Nemotron-Post-Training-Dataset-v1 and -v2",
    needs={"messages": conversation, "generator": text, "license": text},
    also=("uuid", "version", "category", "reasoning", "metadata"),
    columns={
        "messages": "messages",
        "license": "license",
        "teacher_name": "generator",
        "metadata": "metadata",
        "metadata.uuid": "uuid",
        "metadata.category": "category",
        "metadata.reasoning": "reasoning",
        "metadata.version": "version",
    },
    finish=_with_own_metadata,
    note="the licence is each row's own; the column reasoning says on or off and goes to metadata",
)
