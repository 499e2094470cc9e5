"""What a run found, in counts that add: workers summarise their buckets, the driver merges, in any order.

Everything in a `Summary` is a sum, or a sample chosen by trace_id (a hash, so the smallest ids are a
uniform random sample) or by a total order; so merging is associative and commutative and the report does
not depend on how the work was cut.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from heapq import nsmallest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.alignment import Span
from rdpt_ray.method.comparison import Comparison
from rdpt_ray.method.correctness import Correctness
from rdpt_ray.method.provenance import NAMES, Provenance
from rdpt_ray.method.sensitivity import Sensitivity

MAX_POSITIONS = 200
"""Sentence positions counted one by one; later ones hold too few traces to read."""

NUM_POINTS = 1500
"""Traces in the length sample; enough for a scatter plot, small enough to carry."""

TOTALS = (
    "rows_read",
    "selected",
    "rejected",
    "quarantined",
    "num_prompts",
    "pruned",
    "chars_to_read",
    "chars_unread",
)
COUNTERS = ("drop_reasons", "quarantine_reasons", "classes", "classes_selected")
ENTRIES = ("points", "most_teacher", "least_teacher")
ANALYSES: dict[str, type[Sensitivity] | type[Comparison] | type[Correctness]] = {
    "sensitivity": Sensitivity,
    "comparison": Comparison,
    "correctness": Correctness,
}
"""Counts with a class of their own; None until something was counted."""

UNSCORED = "UNSCORED"
"""Name in the counts of sentences without a class."""


@dataclass(frozen=True, slots=True)
class Point:
    """One trace in the plot of Teacher count against length."""

    trace_id: str
    num_chars: int
    num_sentences: int
    num_teacher: int
    selected: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One trace to be shown sentence by sentence; lists hold None where a sentence is not scored."""

    trace_id: str
    prompt: str
    """The last user message."""
    response: str
    sentences: list[Span]
    classes: list[str | None]
    teacher_prob: list[float | None]
    student_prob: list[float | None]
    distilled_prob: list[float | None] | None
    num_teacher: int
    selected: bool
    reference_answer: str | None = None

    @property
    def teacher_share(self) -> float:
        """Share of the trace's sentences that are TEACHER: how teacher-like it is."""
        return self.num_teacher / max(len(self.sentences), 1)


@dataclass(slots=True)
class Summary:
    """Counts over any number of traces; add two to merge them."""

    num_examples: int = 10
    """How many examples are kept at either end; the same in all summaries that are merged."""
    rows_read: int = 0
    selected: int = 0
    rejected: int = 0
    quarantined: int = 0
    num_prompts: int = 0
    pruned: int = 0
    """Rejected traces that the teacher did not read to their end, because they could not be selected."""
    chars_to_read: int = 0
    """Characters of the responses that the teacher would have read without pruning."""
    chars_unread: int = 0
    """Characters among them that it did not read."""
    drop_reasons: Counter[str] = field(default_factory=Counter[str])
    """Rejected traces by drop_reason."""
    quarantine_reasons: Counter[str] = field(default_factory=Counter[str])
    """Quarantined rows by "stage: reason"."""
    classes: Counter[str] = field(default_factory=Counter[str])
    """Sentences of all scored traces by class."""
    classes_selected: Counter[str] = field(default_factory=Counter[str])
    """Sentences of selected traces by class."""
    positions: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Class -> number of sentences at position 0, 1, 2, ... (MAX_POSITIONS) over scored traces."""
    points: list[Point] = field(default_factory=list[Point])
    """The NUM_POINTS traces with the smallest trace_id: a uniform sample."""
    most_teacher: list[Example] = field(default_factory=list[Example])
    """Traces with the largest teacher_share, best first; ties: smaller trace_id."""
    least_teacher: list[Example] = field(default_factory=list[Example])
    """Traces with the smallest teacher_share; ties: smaller trace_id."""
    sensitivity: Sensitivity | None = None
    """What another beta would change."""
    comparison: Comparison | None = None
    """What every policy would select, and how long that is."""
    correctness: Correctness | None = None
    """Classes by position, of traces with a right and with a wrong answer."""

    def add_trace(self, codes: NDArray[np.int8], point: Point, example: Example) -> None:
        """Count one scored trace: its classes (codes of `method.provenance`), its point and its example."""
        names = [UNSCORED if name is None else str(name) for name in NAMES[codes]]
        self.classes.update(names)
        if point.selected:
            self.classes_selected.update(names)
        for position, name in enumerate(names[:MAX_POSITIONS]):
            counts = self.positions.setdefault(name, [])
            counts.extend([0] * (position + 1 - len(counts)))
            counts[position] += 1
        self.points.append(point)
        self.most_teacher.append(example)
        self.least_teacher.append(example)
        if len(self.points) > 2 * NUM_POINTS or len(self.most_teacher) > 4 * self.num_examples + 50:
            self._trim()

    def _trim(self) -> None:
        self.points = nsmallest(NUM_POINTS, self.points, key=lambda point: point.trace_id)
        self.most_teacher = nsmallest(self.num_examples, self.most_teacher, key=_most)
        self.least_teacher = nsmallest(self.num_examples, self.least_teacher, key=_least)

    def __add__(self, other: "Summary") -> "Summary":
        merged = Summary(num_examples=self.num_examples)
        for name in (*TOTALS, *COUNTERS, *ENTRIES):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        for name in ANALYSES:
            setattr(merged, name, _both(getattr(self, name), getattr(other, name)))
        for name in self.positions.keys() | other.positions.keys():
            merged.positions[name] = _add_lists(
                self.positions.get(name, []), other.positions.get(name, [])
            )
        merged._trim()
        return merged

    def finished(self) -> "Summary":
        """This summary trimmed and in a fixed order, ready to be shown or stored."""
        merged = self + Summary(num_examples=self.num_examples)
        for name in COUNTERS:
            setattr(merged, name, Counter(dict(sorted(getattr(merged, name).items()))))
        merged.positions = dict(sorted(merged.positions.items()))
        return merged

    @property
    def teacher_per_trace(self) -> float:
        """Mean number of Teacher sentences per selected trace."""
        return self.classes_selected[Provenance.TEACHER] / max(self.selected, 1)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in COUNTERS:
            values[name] = dict(values[name])
        for name in ENTRIES:
            values[name] = [asdict(entry) for entry in values[name]]
        for name in ANALYSES:
            values[name] = None if values[name] is None else values[name].to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Summary":
        """The inverse of `to_dict`."""
        parsed = dict(values)
        for name in COUNTERS:
            parsed[name] = Counter(parsed[name])
        parsed["points"] = [Point(**point) for point in parsed["points"]]
        for name in ("most_teacher", "least_teacher"):
            parsed[name] = [_example(example) for example in parsed[name]]
        for name, analysis in ANALYSES.items():
            if parsed.get(name) is not None:
                parsed[name] = analysis.from_dict(parsed[name])
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in parsed.items() if name in known})


def merge(summaries: Iterable[Summary], *, num_examples: int = 10) -> Summary:
    """Add up any number of summaries, in any order."""
    return sum(summaries, Summary(num_examples=num_examples)).finished()


def _both(left: Any, right: Any) -> Any:
    """The sum of two analyses of which either may be missing."""
    if left is None or right is None:
        return left if right is None else right
    return left + right


def _most(example: Example) -> tuple[float, str]:
    return (-example.teacher_share, example.trace_id)


def _least(example: Example) -> tuple[float, str]:
    return (example.teacher_share, example.trace_id)


def _example(values: dict[str, Any]) -> Example:
    merged: dict[str, Any] = dict(values)
    merged["sentences"] = [(start, end) for start, end in values["sentences"]]
    return Example(**merged)


def _add_lists(left: Sequence[int], right: Sequence[int]) -> list[int]:
    longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
    return [
        count + (shorter[index] if index < len(shorter) else 0)
        for index, count in enumerate(longer)
    ]
