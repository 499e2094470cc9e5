"""A conversation as datasets write it -> the (role, content) of its messages, and a message's reasoning."""

from collections.abc import Mapping
from typing import Any

from rdpt_ray.storage.columns import explain_type
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.identity import Messages

ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "tool": "tool",
}
"""The input's name of a role -> ours."""

REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")
"""Where a message keeps its reasoning apart from its content; the names that chat templates know
(transformers 5.23, utils/chat_template_utils.py)."""


def read_messages(value: Any, column: str) -> Messages:
    """All messages of a column, at least one.

    Raises:
        Fault: `wrong_type`, `empty_messages`, `null_value` or `unknown_role`.
    """
    if not isinstance(value, list):
        raise Fault("wrong_type", column, explain_type(column, type(value).__name__))
    if not value:
        raise Fault("empty_messages", column)
    return [_message(message, column) for message in value]


def own_reasoning(message: Mapping[str, Any], column: str) -> str | None:
    """The reasoning that a message holds in a field of its own; None if no such field has text.

    Raises:
        Fault: `ambiguous_markup` if two of the fields hold different texts.
    """
    found = {name: message[name] for name in REASONING_FIELDS if _has_text(message.get(name))}
    texts = list(found.values())
    if any(text.strip() != texts[0].strip() for text in texts[1:]):
        names = " and ".join(found)
        raise Fault("ambiguous_markup", column, f"{names} of a message hold different reasoning")
    return texts[0] if texts else None


def _has_text(value: Any) -> bool:
    return isinstance(value, str) and not (value == "" or value.isspace())


def _message(message: Any, column: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise Fault("wrong_type", column, explain_type(column, f"a {type(message).__name__} in it"))
    pair: list[str] = []
    for key, other in (("role", "from"), ("content", "value")):
        text = message[key] if message.get(key) is not None else message.get(other)
        if text is None and key == "content" and own_reasoning(message, column):
            text = ""  # cut before the answer
        if text is None:
            raise Fault("null_value", column, f"a message has no {key!r} (or {other!r})")
        if not isinstance(text, str):
            came = type(text).__name__
            raise Fault("wrong_type", column, f"{key} of a message: expected string, got {came}")
        pair.append(text)
    role = ROLES.get(pair[0])
    if role is None:
        known = ", ".join(ROLES)
        raise Fault("unknown_role", column, f"role {pair[0][:40]!a} is unknown (known: {known})")
    return role, pair[1]
