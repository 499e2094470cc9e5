"""The stored scores of many traces, flat: what every analysis after scoring reads, and no model.

Each array lies once for all traces, per trace or per sentence; `offsets` says which sentences are whose. So
a sweep over thresholds is arithmetic on whole columns, and a policy still gets its `Candidate`, whose arrays
are views.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.divergence import Divergence
from rdpt_ray.method.provenance import classify_codes

Value = TypeVar("Value", bound=np.generic)

UNKNOWN, WRONG, CORRECT = -1, 0, 1
"""Values of `ScoreColumns.correct`."""

PER_TRACE = ("trace_ids", "prompt_ids", "num_chars", "correct", "eligible", "teacher_known")
SIGNALS = ("first", "ranks", "briers")


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """Traces and what each model said of their sentences.

    Raises:
        ValueError: if arrays that go together differ in length, or the teacher or the student is missing.
    """

    trace_ids: NDArray[np.str_]
    """[traces], each once."""
    prompt_ids: NDArray[np.str_]
    """[traces]"""
    num_chars: NDArray[np.int64]
    """[traces] characters of the response."""
    correct: NDArray[np.int8]
    """[traces] 1: the answer is right, 0: wrong, -1: not known."""
    eligible: NDArray[np.bool_]
    """[traces] whether the trace passes the filters and may be selected."""
    teacher_known: NDArray[np.bool_]
    """[traces] False where the teacher did not read all of the trace (pruned): nothing of what it said there
    is used."""
    offsets: NDArray[np.int64]
    """[traces + 1] trace i has the sentences offsets[i] to offsets[i + 1]."""
    sentence_chars: NDArray[np.int64]
    """[sentences] characters."""
    roles: Mapping[str, RoleScores]
    """teacher, student and, where measured, distilled and unprompted; their arrays are [sentences] of all
    traces. A sentence without a token has sum NaN and 0 tokens."""

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in PER_TRACE}
        lengths["offsets - 1"] = len(self.offsets) - 1
        _all_equal("traces", lengths)
        lengths = {"the last offset": int(self.offsets[-1]), "chars": len(self.sentence_chars)}
        for role, scores in self.roles.items():
            for name in ("sums", "tokens", *SIGNALS):
                if (column := getattr(scores, name)) is not None:
                    lengths[f"{role} {name}"] = len(column)
        _all_equal("sentences", lengths)
        for role in ("teacher", "student"):
            if role not in self.roles:
                raise ValueError(f"no scores of the {role}: expected both teacher and student")

    def __len__(self) -> int:
        return len(self.trace_ids)

    @property
    def num_sentences(self) -> NDArray[np.int64]:
        """[traces] sentences of each."""
        return np.diff(self.offsets)

    @property
    def four_way(self) -> bool:
        """Whether a distilled model was scored too."""
        return "distilled" in self.roles

    def values(self, role: str, divergence: Divergence) -> NDArray[np.float64]:
        """One model's value of each sentence; NaN without a token, and where the teacher is not known.

        Returns:
            [sentences] float64 in the divergence's unit.
        """
        scores = self.roles[role]
        values = divergence.values(scores.sums, scores.tokens, self.sentence_chars)
        if role == "teacher" and not self.teacher_known.all():
            return np.where(self.per_sentence(self.teacher_known), values, np.nan)
        return values

    def classes(self, divergence: Divergence, *, alpha: float, beta: float) -> NDArray[np.int8]:
        """The class of each sentence, four-way where the distilled model was scored.

        Returns:
            [sentences] codes of `method.provenance`; -1 without a class.
        """
        distilled = self.values("distilled", divergence) if self.four_way else None
        return classify_codes(
            self.values("teacher", divergence),
            self.values("student", divergence),
            distilled,
            alpha=alpha,
            beta=beta,
        )

    def per_sentence(self, values: NDArray[Value]) -> NDArray[Value]:
        """[traces] -> [sentences]: each sentence gets the value of its trace."""
        return np.repeat(values, self.num_sentences)

    def per_trace(self, values: NDArray[np.bool_] | NDArray[np.int64]) -> NDArray[np.int64]:
        """[sentences] -> [traces]: the sum over each trace, 0 for one without a sentence."""
        # Not reduceat, which gives an empty slice the next element. Integers: the differences are exact.
        running = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(values, out=running[1:])
        return np.diff(running[self.offsets])

    def candidate(self, index: int, classes: NDArray[np.int8]) -> Candidate:
        """One trace as the policies see it.

        Args:
            index: Of the trace.
            classes: [sentences] of all traces, as `classes` gives them.

        Returns:
            Views of the columns.
        """
        span = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        unprompted = self.roles.get("unprompted")
        return Candidate(
            trace_id=str(self.trace_ids[index]),
            num_chars=int(self.num_chars[index]),
            classes=classes[span],
            teacher=_slice(self.roles["teacher"], span),
            student=_slice(self.roles["student"], span),
            unprompted=None if unprompted is None else _slice(unprompted, span),
        )


def concat(parts: Sequence[ScoreColumns]) -> ScoreColumns:
    """Several columns as one, in their order.

    A signal (first, ranks, briers) that one of the parts lacks is left out of all; the policies that need it
    then say so.

    Args:
        parts: At least one.

    Raises:
        ValueError: if there is none, or they were not scored by the same roles.
    """
    if not parts:
        raise ValueError("no score columns to put together: expected at least one")
    roles = parts[0].roles.keys()
    for part in parts:
        if part.roles.keys() != roles:
            raise ValueError(
                f"scores of {', '.join(sorted(part.roles))} cannot be put together with scores of "
                f"{', '.join(sorted(roles))}: score all traces by the same roles"
            )
    ends = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    shifted = [part.offsets[:-1] + end for part, end in zip(parts, ends, strict=False)]
    return ScoreColumns(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in PER_TRACE},
        offsets=np.concatenate([*shifted, ends[-1:]]).astype(np.int64),
        sentence_chars=np.concatenate([part.sentence_chars for part in parts]),
        roles={role: joined([part.roles[role] for part in parts]) for role in roles},
    )


def take(columns: ScoreColumns, indices: Sequence[int]) -> ScoreColumns:
    """Some of the traces, in the order given."""
    chosen = np.asarray(indices, dtype=np.int64)
    sizes = columns.num_sentences[chosen]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    shift = np.repeat(columns.offsets[chosen] - offsets[:-1], sizes)
    sentences: NDArray[np.int64] = shift + np.arange(len(shift))
    return ScoreColumns(
        **{name: getattr(columns, name)[chosen] for name in PER_TRACE},
        offsets=offsets,
        sentence_chars=columns.sentence_chars[sentences],
        roles={role: _slice(scores, sentences) for role, scores in columns.roles.items()},
    )


def _slice(scores: RoleScores, which: slice | NDArray[np.int64]) -> RoleScores:
    def part(column: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        return None if column is None else column[which]

    return RoleScores(
        sums=scores.sums[which],
        tokens=scores.tokens[which],
        first=part(scores.first),
        ranks=part(scores.ranks),
        briers=part(scores.briers),
    )


def joined(parts: Sequence[RoleScores]) -> RoleScores:
    """One role's scores of several traces as one; a signal that a part lacks is left out of all."""

    def whole(columns: list[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
        measured = [column for column in columns if column is not None]
        return np.concatenate(measured) if len(measured) == len(columns) else None

    return RoleScores(
        sums=np.concatenate([part.sums for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        first=whole([part.first for part in parts]),
        ranks=whole([part.ranks for part in parts]),
        briers=whole([part.briers for part in parts]),
    )


def _all_equal(what: str, lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"columns of one length were expected ({what}), these came: {listed}")
