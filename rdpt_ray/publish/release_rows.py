"""A selected trace as a row for a trainer: one function and one schema per format of `publish.formats`.

No row has a flat column `prompt` beside `messages`: TRL's SFTTrainer takes every row with a `prompt` for
prompt and completion, and ends with a KeyError where there is no `completion`. The last question of the
prompt is therefore called `question`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from rdpt_ray.publish.train_spans import DETAIL, train_spans
from rdpt_ray.publish_config import Format
from rdpt_ray.storage.schemas import MESSAGES

Row = Mapping[str, Any]
"""A row of a run's table, as `storage.schemas.SELECTED`."""

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"

FACTS = [
    pa.field("trace_id", pa.string()),
    pa.field("prompt_id", pa.string()),
    pa.field("source", pa.string()),
    pa.field("license", pa.string()),
    pa.field("teacher_name", pa.string()),
    pa.field("reference_answer", pa.string()),
    pa.field("correct", pa.bool_()),
    pa.field("complete", pa.bool_()),
    pa.field("num_sentences", pa.int32()),
    pa.field("num_teacher", pa.int32()),
    pa.field("selection_score", pa.float64()),
    pa.field("metadata", pa.string()),
]
"""What every format carries beside its own columns; no trainer reads them."""

DROPPED = [pa.field("rank", pa.int32()), pa.field("drop_reason", pa.string())]
"""What a rejected trace has more."""

_ROLES = {"user": "human", "tool": "observation", "assistant": "gpt"}
_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How a trainer wants its rows.

    Attributes:
        fields: The columns, without `FACTS`.
        columns: Their values, of a row and of its sentences' classes.
        reads: Who reads it, for the card.
    """

    fields: Sequence[pa.Field]
    columns: Callable[[Row, Sequence[str | None] | None], dict[str, Any]]
    reads: str

    def schema(self, *, rejected: bool = False) -> pa.Schema:
        """All columns of a table of this format."""
        return pa.schema([*self.fields, *FACTS, *(DROPPED if rejected else [])])

    def row(self, row: Row, classes: Sequence[str | None] | None) -> dict[str, Any]:
        """The row to write; columns that the schema does not have may be in it."""
        return {**row, **self.columns(row, classes)}


def reasoning_and_answer(row: Row) -> tuple[str, str]:
    """The two halves of a response, without the blank line between them; either may be empty."""
    response, start = row["response"], row["answer_start"]
    return response[:start].removesuffix("\n\n"), response[start:]


def marked_up(row: Row) -> tuple[str, str, str, str]:
    """What the assistant says: opening tag, reasoning, closing tag, answer; no tags without reasoning.

    Reasoning that was cut off is not closed: nobody is to learn to end there.
    """
    reasoning, answer = reasoning_and_answer(row)
    if not reasoning:
        return "", "", "", answer
    cut = not answer and row["complete"] is False
    return OPEN, reasoning, "" if cut else CLOSE, answer


def content_of(row: Row) -> str:
    """The assistant's turn with its reasoning inline."""
    return "".join(marked_up(row))


def question_of(row: Row) -> str:
    """The last user message of the prompt."""
    asked = [message["content"] for message in row["messages"] if message["role"] == "user"]
    return asked[-1] if asked else row["messages"][-1]["content"]


def _assistant(row: Row) -> dict[str, str]:
    return {"role": "assistant", "content": content_of(row)}


def _messages(row: Row, _: Any) -> dict[str, Any]:
    reasoning, answer = reasoning_and_answer(row)
    return {
        "messages": [*row["messages"], _assistant(row)],
        "question": question_of(row),
        "reasoning": reasoning,
        "answer": answer,
    }


def _prompt_completion(row: Row, _: Any) -> dict[str, Any]:
    return {"prompt": row["messages"], "completion": [_assistant(row)]}


def _reasoning_content(row: Row, _: Any) -> dict[str, Any]:
    reasoning, answer = reasoning_and_answer(row)
    last = {"role": "assistant", "content": answer, "reasoning_content": reasoning or None}
    return {"messages": [*row["messages"], last]}


def _sharegpt(row: Row, _: Any) -> dict[str, Any]:
    turns = [*row["messages"], _assistant(row)]
    return {
        "conversations": [
            {"from": _ROLES.get(turn["role"], "system"), "value": turn["content"]} for turn in turns
        ]
    }


def _alpaca(row: Row, _: Any) -> dict[str, Any]:
    system, turns = _alternating(row["messages"])
    pairs = [[turns[at], turns[at + 1]] for at in range(0, len(turns) - 1, 2)]
    return {
        "instruction": turns[-1],
        "input": "",
        "output": content_of(row),
        "system": system,
        "history": pairs,
    }


def _alternating(messages: Sequence[Mapping[str, str]]) -> tuple[str, list[str]]:
    """System text, and turns that alternate and begin and end with the user's side: all that Alpaca has.

    Messages of one side in a row become one turn; tools are on the user's side.
    """
    system = "\n\n".join(each["content"] for each in messages if each["role"] in _SYSTEM)
    turns: list[str] = []
    rest = [each for each in messages if each["role"] not in _SYSTEM]
    for replies, group in groupby(rest, key=lambda each: each["role"] == "assistant"):
        if replies and not turns:
            turns.append("")
        turns.append("\n\n".join(each["content"] for each in group))
    return system, turns


def _axolotl(row: Row, classes: Sequence[str | None] | None) -> dict[str, Any]:
    spans = train_spans(marked_up(row), row["answer_start"], row["sentences"], classes)
    asked = [{**message, "training_detail": None} for message in row["messages"]]
    return {"messages": [*asked, {**_assistant(row), "training_detail": spans}]}


def _messages_with(name: str, kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct([*MESSAGES.value_type, (name, kind)]))


_TEXT = pa.string()

FORMATS: dict[Format, RowFormat] = {
    "messages": RowFormat(
        [
            pa.field("messages", MESSAGES),
            *(pa.field(name, _TEXT) for name in ("question", "reasoning", "answer")),
        ],
        _messages,
        "TRL, verl, LLaMA-Factory (openai), Axolotl (chat_template)",
    ),
    "prompt_completion": RowFormat(
        [pa.field("prompt", MESSAGES), pa.field("completion", MESSAGES)],
        _prompt_completion,
        "TRL, with the loss on the completion only",
    ),
    "sharegpt": RowFormat(
        [pa.field("conversations", pa.list_(pa.struct([("from", _TEXT), ("value", _TEXT)])))],
        _sharegpt,
        "LLaMA-Factory (sharegpt)",
    ),
    "alpaca": RowFormat(
        [
            *(pa.field(name, _TEXT) for name in ("instruction", "input", "output", "system")),
            pa.field("history", pa.list_(pa.list_(_TEXT))),
        ],
        _alpaca,
        "LLaMA-Factory (alpaca)",
    ),
    "reasoning_content": RowFormat(
        [pa.field("messages", _messages_with("reasoning_content", _TEXT))],
        _reasoning_content,
        "trainers whose chat template renders the field `reasoning_content`",
    ),
    "axolotl": RowFormat(
        [pa.field("messages", _messages_with("training_detail", DETAIL))],
        _axolotl,
        "Axolotl, with the loss on Teacher sentences only",
    ),
}
