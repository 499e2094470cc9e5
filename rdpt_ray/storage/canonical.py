"""One raw row -> one canonical trace, or the fault that keeps it from being one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rdpt_ray.storage.columns import INTO_METADATA, explain_type
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.identity import Messages, encode_text, identify
from rdpt_ray.storage.json_text import dump_json
from rdpt_ray.storage.markup import join_canonical, split_markup
from rdpt_ray.storage.messages import own_reasoning, read_messages


@dataclass(frozen=True, slots=True)
class Trace:
    """A canonical trace: what models read, and what the input says about it.

    Attributes:
        trace_id, prompt_id: See `identity.identify`.
        messages: The prompt.
        response: Reasoning and answer without markup.
        answer_start: Where the answer starts in `response`, in characters.
        complete: The reasoning is closed and the answer is not cut.
        metadata: Canonical JSON; the others are as in the input. All may be None.
        num_bytes: Size of all this text in UTF-8.
    """

    trace_id: str
    prompt_id: str
    messages: Messages
    response: str
    answer_start: int
    complete: bool
    reference_answer: str | None
    correct: bool | None
    teacher_name: str | None
    source: str | None
    license: str | None
    metadata: str | None
    num_bytes: int


_TEXT_FACTS = ("reference_answer", "teacher_name", "source", "license")


def to_trace(values: Mapping[str, Any]) -> Trace:
    """Make a canonical trace of one row.

    Args:
        values: Canonical column name (see `columns.COLUMNS`) -> value, as JSON or Arrow gave it.
            Null and absent are the same, except in what the fault says.

    Raises:
        Fault: with the canonical name of the column at fault.
    """
    cut = _flag(values, "complete") is False
    if (found := _response_columns(values, cut)) is not None:
        column, (reasoning, answer, whole) = found
        messages, prompt_column = _prompt(values)
    else:
        column = prompt_column = _conversation_column(values)
        if values.get(column) is None:
            raise _absent(values, "response", ("response", "answer", column))
        *messages, last = read_messages(values[column], column)
        if last[0] != "assistant":
            null = "response" in values
            raise Fault("null_value", "response") if null else Fault("no_response", column)
        reasoning, answer, whole = _last_turn(values[column][-1], last[1], column, cut)
        _check_prompt(messages, column)
    response, answer_start = join_canonical(reasoning, answer)
    if not response:
        raise Fault("empty_text", column, "the response is empty")
    messages = _with_system(messages, _text(values, "system"))
    trace_id, prompt_id, num_bytes = identify(messages, response, prompt_column, column)
    facts = {name: _fact(values, name) for name in _TEXT_FACTS}
    facts["metadata"] = dump_json(_metadata(values), "metadata")
    return Trace(
        trace_id=trace_id,
        prompt_id=prompt_id,
        messages=messages,
        response=response,
        answer_start=answer_start,
        complete=whole and not cut,
        correct=_flag(values, "correct"),
        num_bytes=num_bytes + sum(len(fact.encode()) for fact in facts.values() if fact),
        **facts,
    )


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked, and what the input says about it; the fields are those of a `Trace`."""

    prompt_id: str
    messages: Messages
    reference_answer: str | None
    source: str | None
    license: str | None
    metadata: str | None


def to_prompt(values: Mapping[str, Any]) -> Prompt:
    """The prompt of one row, whether it has a response or not; a trace of it has the same prompt_id.

    Args:
        values: As for `to_trace`. Messages that end with the assistant's turn are asked without it.

    Raises:
        Fault: with the canonical name of the column at fault.
    """
    if values.get("prompt") is not None:
        messages, column = _prompt(values)
    else:
        column = _conversation_column(values)
        if values.get(column) is None:
            raise _absent(values, "prompt", ("prompt", column))
        messages = read_messages(values[column], column)
        if messages[-1][0] == "assistant":
            messages.pop()
        _check_prompt(messages, column)
    messages = _with_system(messages, _text(values, "system"))
    _, prompt_id, _ = identify(messages, "", column, column)
    return Prompt(
        prompt_id=prompt_id,
        messages=messages,
        reference_answer=_fact(values, "reference_answer"),
        source=_fact(values, "source"),
        license=_fact(values, "license"),
        metadata=dump_json(_metadata(values), "metadata"),
    )


def _response_columns(
    values: Mapping[str, Any], cut: bool
) -> tuple[str, tuple[str, str, bool]] | None:
    """The column that holds the response, and what `split_markup` says of it; None if none does."""
    response = _text(values, "response")
    if response is not None:
        return "response", split_markup(response, "response", cut=cut)
    reasoning, answer = _text(values, "reasoning"), _text(values, "answer")
    if "reasoning" in values and answer is not None:
        return "answer", _separate(reasoning or "", answer, cut)
    return None


def _last_turn(
    message: Mapping[str, Any], content: str, column: str, cut: bool
) -> tuple[str, str, bool]:
    """Reasoning and answer of the assistant's turn: from its content, or its reasoning's own field."""
    inside, answer, whole = split_markup(content, column, cut=cut)
    beside = own_reasoning(message, column)
    if beside is None:
        return inside, answer, whole
    before, after, _ = split_markup(beside, column, cut=cut)
    reasoning = before if before.strip() else after
    if before.strip() and after.strip():
        raise Fault(
            "ambiguous_markup", column, "the reasoning of a message holds an answer as well"
        )
    if inside.strip() and inside.strip() != reasoning.strip():
        raise Fault("ambiguous_markup", column, "a message holds two different reasonings")
    return reasoning, answer, whole


def _separate(reasoning: str, answer: str, cut: bool) -> tuple[str, str, bool]:
    """Reasoning and answer from two columns, of which each may still carry its own tags."""
    inside, outside, _ = split_markup(reasoning, "reasoning", cut=cut)
    if inside.strip() and outside.strip():
        raise Fault("ambiguous_markup", "reasoning", "the reasoning column holds an answer as well")
    before, answer, whole = split_markup(answer, "answer")
    if before.strip():
        raise Fault("ambiguous_markup", "answer", "the answer column holds reasoning as well")
    return inside if inside.strip() else outside, answer, whole


def _prompt(values: Mapping[str, Any]) -> tuple[Messages, str]:
    """The prompt of a row whose response has a column of its own, and the prompt's column."""
    prompt = _text(values, "prompt")
    column = "prompt" if prompt is not None else _conversation_column(values)
    if prompt is not None:
        messages = [("user", prompt)]
    elif values.get(column) is not None:
        messages = read_messages(values[column], column)
    else:
        raise _absent(values, "prompt", ("prompt", column))
    _check_prompt(messages, column)
    return messages, column


def _check_prompt(messages: Messages, column: str) -> None:
    asked = [content for role, content in messages if role == "user"]
    if not asked:
        raise Fault("no_user_message", column)
    if not all(content.strip() for content in asked):
        raise Fault("empty_text", column, "the prompt is empty")
    if messages[-1][0] == "assistant":
        raise Fault("bad_turns", column)


def _with_system(messages: Messages, system: str | None) -> Messages:
    if system is None or not system.strip():
        return messages
    own = [content for role, content in messages if role == "system"]
    if not own:
        return [("system", system), *messages]
    if own[0] != system:
        raise Fault("conflicting_system", "system")
    return messages


def _conversation_column(values: Mapping[str, Any]) -> str:
    """The column that the messages come from: the first of the two that is not null."""
    if values.get("messages") is None and "conversations" in values:
        return "conversations"
    return "messages"


def _absent(values: Mapping[str, Any], what: str, columns: tuple[str, ...]) -> Fault:
    """The fault of a row in which all these columns are null or not there."""
    for column in columns:
        if column in values:
            return Fault("null_value", column, f"the {what} is null")
    return Fault("missing_column", what)


def _metadata(values: Mapping[str, Any]) -> Any:
    """The input's own metadata, with the columns in it that the config puts there."""
    own = values.get("metadata")
    added = {
        name.removeprefix(INTO_METADATA): value
        for name, value in values.items()
        if name.startswith(INTO_METADATA)
    }
    if not added:
        return own
    return {**(own if isinstance(own, dict) else {} if own is None else {"metadata": own}), **added}


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Fault("wrong_type", name, explain_type(name, type(value).__name__))
    return value


def _fact(values: Mapping[str, Any], name: str) -> str | None:
    value = _text(values, name)
    if value is not None:
        encode_text(value, name)
    return value


def _flag(values: Mapping[str, Any], name: str) -> bool | None:
    value = values.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise Fault("wrong_type", name, explain_type(name, type(value).__name__))
