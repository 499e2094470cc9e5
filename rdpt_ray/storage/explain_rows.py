"""What the first rows of an input file come to: counts, facts, faults, and the first trace."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rdpt_ray.storage.canonical import Trace
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.ingested import Ingested, ingest_row
from rdpt_ray.storage.input_spec import InputSpec
from rdpt_ray.storage.markup import name_markup
from rdpt_ray.storage.messages import REASONING_FIELDS
from rdpt_ray.storage.reading import Reading, read_rows
from rdpt_ray.storage.sources import InputFile, open_input

NUM_ROWS = 100
"""How many rows of each file are looked at."""

NOT_STATED = "not stated"
STATED = "stated"

FACTS = ("license", "teacher_name", "source", "correct", "complete", "reference_answer")

_SHOWN_CHARS = 400
_MOST_VALUES = 5


@dataclass(frozen=True, slots=True)
class FirstTrace:
    """The first candidate that becomes a trace; texts are beginnings, numbers are characters."""

    row: int | None
    item: int | None
    num_messages: int
    prompt: str
    reasoning: str
    num_reasoning: int
    answer: str
    num_answer: int


@dataclass(slots=True)
class Rows:
    """The first rows of a file.

    Attributes:
        num_rows: At most `NUM_ROWS`.
        num_candidates: What they hold, faults included.
        fewest, most: Candidates per row.
        markup: How the reasoning is marked -> how many candidates.
        facts: Canonical name -> value, or that none is stated -> how many traces.
        faults: Reason -> how many candidates would be quarantined.
        details: Reason -> what the first such fault says.
        first: The first trace, if there is one.
    """

    num_rows: int = 0
    num_candidates: int = 0
    fewest: int = 0
    most: int = 0
    markup: dict[str, int] = field(default_factory=dict)
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    first: FirstTrace | None = None


def look_at(file: InputFile, config: InputSpec, reading: Reading) -> Rows:
    """Read the first rows of a file as ingestion will.

    Raises:
        InputError: if the file has changed or gone since it was listed, or its file system fails.
    """
    rows, per_row = Rows(), list[int]()
    markup, faults = Counter[str](), Counter[str]()
    facts = {name: Counter[str]() for name in FACTS}
    limit = min(NUM_ROWS, config.limit or NUM_ROWS)
    with open_input(file) as source:
        for raw in read_rows(file, source, reading.names, limit):
            entries = ingest_row(raw, reading, _whole)
            per_row.append(len(entries))
            if not isinstance(raw[1], Fault):
                found = reading.candidates(raw[1])
                markup.update(_name(one.values) for one in found if isinstance(one.values, dict))
            for entry in entries:
                if entry.fault is not None:
                    faults[entry.fault.reason] += 1
                    rows.details.setdefault(entry.fault.reason, _tell(entry.fault))
                elif entry.trace is not None:
                    rows.first = rows.first or _first(entry, entry.trace)
                    for name in FACTS:
                        facts[name][_state(entry.trace, name, config)] += 1
    rows.num_rows, rows.num_candidates = len(per_row), sum(per_row)
    rows.fewest, rows.most = min(per_row, default=0), max(per_row, default=0)
    rows.markup, rows.faults = dict(markup.most_common()), dict(faults.most_common())
    rows.facts = {name: _commonest(values) for name, values in facts.items()}
    return rows


def _whole(text: str) -> list[tuple[int, int]]:
    """Sentences do not matter here."""
    return [(0, len(text))]


def _name(values: Mapping[str, Any]) -> str:
    """How a candidate's reasoning is marked, or `no text` where there is nothing to look at."""
    response, messages = values.get("response"), values.get("messages")
    if messages is None:
        messages = values.get("conversations")
    if isinstance(response, str):
        return name_markup(response)
    if isinstance(values.get("answer"), str) and "reasoning" in values:
        return "columns of their own" if values["reasoning"] else "none"
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict):
        return "no text"
    beside = [name for name in REASONING_FIELDS if isinstance(last.get(name), str) and last[name]]
    content = last.get("content") if last.get("content") is not None else last.get("value")
    if beside:
        return f"message field {beside[0]}"
    return name_markup(content) if isinstance(content, str) else "no text"


def _state(trace: Trace, name: str, config: InputSpec) -> str:
    """The value of a fact as text; of a reference answer only that there is one."""
    value = getattr(trace, name)
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or not value.strip():
        default = getattr(config.defaults, name, None)
        return f"{default} (input.defaults)" if default else NOT_STATED
    return STATED if name == "reference_answer" else value[:_SHOWN_CHARS]


def _commonest(values: Counter[str]) -> dict[str, int]:
    found = values.most_common()
    kept = dict(found[:_MOST_VALUES])
    left = sum(count for _, count in found[_MOST_VALUES:])
    return {**kept, f"{len(found) - _MOST_VALUES} more": left} if left else kept


def _tell(fault: Fault) -> str:
    return f"{fault.column}: {fault.detail}" if fault.column else fault.detail


def _first(entry: Ingested, trace: Trace) -> FirstTrace:
    reasoning = trace.response[: trace.answer_start].strip()
    answer = trace.response[trace.answer_start :]
    asked = [content for role, content in trace.messages if role == "user"]
    return FirstTrace(
        row=entry.row,
        item=entry.item,
        num_messages=len(trace.messages),
        prompt=asked[-1][:_SHOWN_CHARS],
        reasoning=reasoning[:_SHOWN_CHARS],
        num_reasoning=len(reasoning),
        answer=answer[:_SHOWN_CHARS],
        num_answer=len(answer),
    )
