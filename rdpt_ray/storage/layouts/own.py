"""What this program writes, read back: a run's tables with or without their scores, and what it published."""

from rdpt_ray.storage.column_types import anything, conversation, text
from rdpt_ray.storage.columns import COLUMNS
from rdpt_ray.storage.layouts.layout import Layout, Values
from rdpt_ray.storage.layouts.nemotron import parsed


def _split_at_answer(values: Values) -> Values:
    """The response cut where the answer starts, so that the trace keeps its identity."""
    response, start = values.get("response"), values.pop("response.answer_start", None)
    if isinstance(response, str) and type(start) is int and 0 <= start <= len(response):
        del values["response"]
        values |= {"reasoning": response[:start], "answer": response[start:]}
    values["metadata"] = parsed(values.get("metadata"))
    return values


_FACTS = ("reference_answer", "correct", "complete", "teacher_name", "source", "license")

OWN = Layout(
    name="rdpt",
    dataset="traces that rdpt wrote",
    needs={
        "messages": conversation,
        "response": text,
        "answer_start": anything,
        "trace_id": text,
    },
    columns={
        "messages": "messages",
        "response": "response",
        "response.answer_start": "answer_start",
        "metadata": "metadata",
        **{name: name for name in COLUMNS if name in _FACTS},
    },
    finish=_split_at_answer,
    note="the same trace gets the same trace_id and prompt_id again; scores and selection are not read",
)


def _without_the_turn(values: Values) -> Values:
    """The prompt alone: reasoning and answer stand in columns of their own, where nothing marks them."""
    match values.get("messages"):
        case [*prompt, {"role": "assistant"}]:
            values["messages"] = prompt
    values["metadata"] = parsed(values.get("metadata"))
    return values


PUBLISHED = Layout(
    name="rdpt-published",
    dataset="a dataset that rdpt published",
    needs={
        "messages": conversation,
        "question": text,
        "reasoning": text,
        "answer": text,
        "trace_id": text,
    },
    columns={
        "messages": "messages",
        "reasoning": "reasoning",
        "answer": "answer",
        "metadata": "metadata",
        **{name: name for name in COLUMNS if name in _FACTS},
    },
    finish=_without_the_turn,
    note="the same trace gets the same trace_id and prompt_id again; scores and selection are not read",
)
