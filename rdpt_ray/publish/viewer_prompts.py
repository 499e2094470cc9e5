"""What the trace viewer shows of a prompt and its candidates, and how it is made from a run's rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rdpt_ray.method.summary import UNSCORED
from rdpt_ray.publish.untrusted import clip, shorten
from rdpt_ray.publish.viewer_cut import ShownText, common_limit, shown_text
from rdpt_ray.storage.files import public_uri

MAX_CANDIDATES = 64
"""Candidates of one prompt that are shown: those that rank first."""

MAX_MESSAGES = 20
PROMPT_CHARS = 8_000
"""All messages of a prompt are cut to this together."""

ROLES = ("teacher", "student", "distilled")
LABELS = {"teacher": "teacher_name", "source": "source", "licence": "license"}
"""What the input says of a trace, by the name under which it is shown."""

OUTLOOK = ("prompt_id", "candidate", "selection_score", "selected", "drop_reason", "correct")
"""Columns that decide whether a prompt is shown."""

SHOWN = (*OUTLOOK, "trace_id", "file", "row", "messages", "response", "rank", "num_teacher")
SHOWN += ("reference_answer", *LABELS.values())
"""Columns of the tables selected and rejected that are shown."""

TRACED = ("trace_id", "prompt_id", "sentences", "provenance", *(f"{role}_prob" for role in ROLES))
"""The same of the table provenance."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt, cut."""

    role: str
    text: str
    left_out: int
    """Characters that are not shown."""


@dataclass(frozen=True, slots=True)
class ViewerTrace:
    """One candidate, ready to be shown."""

    trace_id: str
    candidate: int
    selected: bool
    drop_reason: str | None
    rank: int | None
    selection_score: float | None
    num_sentences: int
    num_teacher: int | None
    """None where the teacher did not read it to its end."""
    num_chars: int
    correct: bool | None
    answer: str | None
    """The reference answer."""
    origin: str
    """Input file and row."""
    labels: tuple[tuple[str, str], ...]
    """What the input says of it: teacher, source, licence."""
    roles: tuple[str, ...]
    """Whose probabilities there are."""
    tally: tuple[tuple[str, int], ...]
    """Class or UNSCORED -> its sentences, of the whole trace."""
    text: ShownText

    @property
    def is_cut(self) -> bool:
        """Whether something of it is not shown."""
        return self.text.gap is not None or any(each.left_out for each in self.text.sentences)


@dataclass(frozen=True, slots=True)
class ViewerPrompt:
    """One prompt with its candidates: ranked ones first, best first, then the others."""

    prompt_id: str
    messages: tuple[Message, ...]
    stratum: str
    """Why it is shown, of `viewer_sample`."""
    num_candidates: int
    """Of the run, shown or not."""
    traces: tuple[ViewerTrace, ...]


@dataclass(frozen=True, slots=True)
class ViewerTraces:
    """What the viewer holds."""

    prompts: tuple[ViewerPrompt, ...]
    is_all: bool
    """Whether these are all prompts of the run."""

    @property
    def num_traces(self) -> int:
        """Traces that are shown."""
        return sum(len(prompt.traces) for prompt in self.prompts)


def prompt_of_rows(group: Sequence[Row], stratum: str, max_trace_bytes: int) -> ViewerPrompt:
    """One prompt, its texts cut.

    Args:
        group: Its candidates, rows with the columns SHOWN and TRACED.
        stratum: Why it is shown.
        max_trace_bytes: What the text of one trace may take.
    """
    ranked = sorted(group, key=lambda row: (row["rank"] is None, row["rank"], row["candidate"]))
    traces = tuple(_trace(row, max_trace_bytes) for row in ranked[:MAX_CANDIDATES])
    return ViewerPrompt(
        shorten(group[0]["prompt_id"], 80), _messages(group[0]), stratum, len(group), traces
    )


def _messages(row: Row) -> tuple[Message, ...]:
    """A prompt's messages, the longest cut; of very many the first and the last."""
    turns = [(turn["role"] or "", turn["content"] or "") for turn in row["messages"]]
    whole = [Message(shorten(role, 20), *clip(text, PROMPT_CHARS)) for role, text in turns]
    limit = common_limit([len(message.text) for message in whole], PROMPT_CHARS)
    shown = [
        message if len(message.text) <= limit else Message(message.role, *clip(text, limit))
        for message, (_, text) in zip(whole, turns, strict=True)
    ]
    if len(shown) <= MAX_MESSAGES:
        return tuple(shown)
    first, last = shown[:1], shown[1 - MAX_MESSAGES :]
    between = turns[1 : 1 - MAX_MESSAGES]
    chars = sum(len(text) for _, text in between)
    return (*first, Message(f"{len(between):,} messages", "", chars), *last)


def _trace(row: Row, max_bytes: int) -> ViewerTrace:
    spans = [(span["start"], span["end"]) for span in row["sentences"]]
    classes = row["provenance"] or [None] * len(spans)
    probs = {role: row[f"{role}_prob"] for role in ROLES if _is_scored(row[f"{role}_prob"])}
    names = [UNSCORED if name is None else name for name in classes]
    return ViewerTrace(
        trace_id=shorten(row["trace_id"], 80),
        candidate=row["candidate"],
        selected=row["selected"],
        drop_reason=None if row["drop_reason"] is None else shorten(row["drop_reason"], 80),
        rank=row["rank"],
        selection_score=row["selection_score"],
        num_sentences=len(spans),
        num_teacher=row["num_teacher"],
        num_chars=len(row["response"]),
        correct=row["correct"],
        answer=None if row["reference_answer"] is None else shorten(row["reference_answer"], 200),
        origin=_origin(row),
        labels=tuple(
            (name, shorten(row[column], 40))
            for name, column in LABELS.items()
            if row[column] is not None
        ),
        roles=tuple(probs),
        tally=tuple(sorted(Counter(names).items())),
        text=shown_text(row["response"], spans, names, list(probs.values()), max_bytes),
    )


def _is_scored(probs: Sequence[float | None] | None) -> bool:
    return any(prob is not None for prob in probs or ())


def _origin(row: Row) -> str:
    name = public_uri(row["file"]).rpartition("/")[2]
    place = "" if row["row"] is None else f", row {row['row']:,}"
    return shorten(name, 80) + place
