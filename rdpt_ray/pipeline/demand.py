"""What of a part a model has to read: all of it, the traces that it wrote, or what a selection needs.

A demand is asked again and again: given what is known of the part's traces, which come next? Nothing means
that the part is done. So the same function tells, before any model is loaded, what is left of a run, and
in the actor, what to read; and a run that was killed, or has another threshold, asks only for the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

import numpy as np

from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.divergence import DIVERGENCES, Divergence
from rdpt_ray.method.pruning import (
    ALONE,
    BOUNDS,
    Contest,
    Half,
    Key,
    Threshold,
    next_wave,
    rank_key,
)
from rdpt_ray.method.selection import policy_named
from rdpt_ray.pipeline.eligible import Ledger, drop_reason
from rdpt_ray.pipeline.score_rows import role_scores, scores_row, sentence_chars
from rdpt_ray.scoring.traces import Trace, TraceTokens, sentence_scores
from rdpt_ray.selection_config import SelectionConfig
from rdpt_ray.storage.scores import Scores, is_pruned, read_scores

Rows = Mapping[str, Scores]
"""trace_id -> what a model has read of it."""


class Reading(Protocol):
    """What a model has to read of one part."""

    @property
    def num_traces(self) -> int:
        """Traces of the part that are the model's to read in this run, sooner or later or not at all."""
        ...

    def wave(self, rows: Rows) -> list[Trace]:
        """The traces to read next, together, given what has been read; none when that is enough."""
        ...

    def num_unread(self, rows: Rows) -> int:
        """How many of the model's traces in this run are not read to their end."""
        ...


@dataclass(frozen=True, slots=True)
class Prune:
    """Read only what the selection needs, by what the student said."""

    student_key: str
    unprompted_key: str | None
    """Scores without the prompt (IFD)."""
    selection: SelectionConfig
    divergence: str
    beta: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What a model has to read of a run's parts; the same for every part."""

    ledger: Ledger
    teacher_name: str | None = None
    """Only traces by this teacher, if others have theirs."""
    others: frozenset[str] = frozenset()
    """Teachers that read their own; without a `teacher_name`, the rest is this model's."""
    prune: Prune | None = None

    def of(self, bucket: int, key: str, traces: Sequence[Trace]) -> Reading:
        """What there is to read of one part.

        Args:
            bucket: Where it lies.
            key: Which part.
            traces: All of its traces.

        Raises:
            StoreError: if the ledger, or the student's scores, cannot be read.
        """
        ids = [trace.trace_id for trace in traces]
        rows = self.ledger.with_verdicts(self.ledger.traces(bucket), key, ids)
        mine = [
            trace
            for trace in traces
            if trace.trace_id in rows and self._reads(rows[trace.trace_id]["teacher_name"])
        ]
        if self.prune is None:
            return AllOf(mine)
        drops = self.ledger.drops(bucket)
        student = {
            row["trace_id"]: row
            for row in read_scores(self.ledger.store, self.prune.student_key, key, ids)
        }
        unprompted: Rows = {}
        if self.prune.unprompted_key is not None:
            found = read_scores(self.ledger.store, self.prune.unprompted_key, key, ids)
            unprompted = {row["trace_id"]: row for row in found}
        eligible = [
            trace
            for trace in mine
            if _is_scored(trace, student)
            and (self.prune.unprompted_key is None or _is_scored(trace, unprompted))
            and drop_reason(
                rows[trace.trace_id], len(trace.response), self.prune.selection.filters, drops
            )
            is None
        ]
        return Contested(mine, eligible, student, unprompted, self.prune)

    def _reads(self, name: str | None) -> bool:
        if self.teacher_name is not None:
            return name == self.teacher_name
        return name not in self.others


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of these traces."""

    traces: Sequence[Trace]

    @property
    def num_traces(self) -> int:
        """How many there are."""
        return len(self.traces)

    def wave(self, rows: Rows) -> list[Trace]:
        """Those that were not read to their end."""
        return [trace for trace in self.traces if not is_read(trace, rows)]

    def num_unread(self, rows: Rows) -> int:
        """How many those are."""
        return len(self.wave(rows))


def _is_scored(trace: Trace, rows: Rows) -> bool:
    return rows[trace.trace_id]["error"] is None


def is_read(trace: Trace, rows: Rows) -> bool:
    """Whether a model has read a trace to its end."""
    row = rows.get(trace.trace_id)
    return row is not None and not is_pruned(row)


class Contested:
    """As many candidates of each prompt as it takes to know which are selected (`method.pruning`)."""

    def __init__(
        self,
        mine: Sequence[Trace],
        traces: Sequence[Trace],
        student: Rows,
        unprompted: Rows,
        prune: Prune,
    ) -> None:
        """Take the candidates that may be selected.

        Args:
            mine: Every trace of the part that the model would read without pruning.
            traces: Those of them that may be selected, of any number of prompts.
            student: The student's scores of them, none of them an error.
            unprompted: The same without the prompt, none of them an error either; or nothing.
            prune: What is asked.
        """
        self._mine = mine
        self._selection = prune.selection
        divergence = DIVERGENCES[prune.divergence]
        self._threshold = Threshold(prune.beta, divergence.highest)
        self._candidates = {
            trace.trace_id: _Candidate(trace, student, unprompted, prune, divergence)
            for trace in traces
        }
        by_prompt = sorted(traces, key=_prompt)
        self._prompts = [
            [trace.trace_id for trace in group] for _, group in groupby(by_prompt, key=_prompt)
        ]

    @property
    def num_traces(self) -> int:
        """How many the model would read without pruning."""
        return len(self._mine)

    def wave(self, rows: Rows) -> list[Trace]:
        """The most promising candidates of every prompt that is not decided, each with when to give up."""
        found: list[Trace] = []
        for prompt in self._prompts:
            contest = Contest(self._selection.per_prompt, self._selection.min_score)
            for trace_id in prompt:
                candidate = self._candidates[trace_id]
                row = rows.get(trace_id)
                if row is None or is_pruned(row):
                    contest.open[trace_id] = candidate.best(row, self._threshold)
                elif row["error"] is None:
                    contest.known.append(candidate.best(row, self._threshold))
            found += [
                replace(
                    self._candidates[trace_id].trace,
                    gives_up=self._candidates[trace_id].until(contest, self._threshold),
                )
                for trace_id in next_wave([contest])
            ]
        return found

    def num_unread(self, rows: Rows) -> int:
        """How many of the model's traces are not read to their end."""
        return sum(not is_read(trace, rows) for trace in self._mine)


def _prompt(trace: Trace) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in trace.messages]


class _Candidate:
    """One candidate: what the student says of it, and what it can reach given what the teacher has read."""

    def __init__(
        self,
        trace: Trace,
        student: Rows,
        unprompted: Rows,
        prune: Prune,
        divergence: Divergence,
    ) -> None:
        self.trace = trace
        self._chars = sentence_chars(trace.sentences)
        self._divergence = divergence
        scores = role_scores(student[trace.trace_id])
        self._student = divergence.values(scores.sums, scores.tokens, self._chars)
        self._student_sums = scores.sums
        self._policy = prune.selection.policy
        self._score: float | None = None
        if self._policy in ALONE:
            policy = policy_named(self._policy, seed=prune.selection.seed)
            self._score = float(policy([_unread(trace, scores, unprompted)])[0])

    def best(self, row: Scores | None, threshold: Threshold) -> Key:
        """The best place that it can still reach; the place it has, once it is read."""
        score = self._score
        if score is None:
            score = BOUNDS[self._policy](self._half(row), threshold)
        return rank_key(score, len(self._student), self.trace.trace_id)

    def until(self, contest: Contest, threshold: Threshold) -> Callable[[TraceTokens], bool]:
        """Whether to give up, given the tokens that the teacher has read so far."""

        def hopeless(tokens: TraceTokens) -> bool:
            row = scores_row(self.trace.trace_id, sentence_scores(self.trace, tokens))
            return contest.hopeless(self.best(row, threshold))

        return hopeless

    def _half(self, row: Scores | None) -> Half:
        num_sentences = len(self._student)
        if row is None or row["sum_logprob"] is None:
            nothing = np.full(num_sentences, np.nan)
            read = np.zeros(num_sentences, np.bool_)
            return Half(self._student, self._student_sums, self._num_chars, nothing, nothing, read)
        scores = role_scores(row)
        read = np.array([count is not None for count in row["num_tokens"]], np.bool_)
        return Half(
            self._student,
            self._student_sums,
            self._num_chars,
            self._divergence.values(scores.sums, scores.tokens, self._chars),
            scores.sums,
            read,
        )

    @property
    def _num_chars(self) -> int:
        return len(self.trace.response)


def _unread(trace: Trace, student: RoleScores, unprompted: Rows) -> Candidate:
    """A candidate for the policies that ask no teacher."""
    row = unprompted.get(trace.trace_id)
    num_sentences = len(trace.sentences)
    return Candidate(
        trace_id=trace.trace_id,
        num_chars=len(trace.response),
        classes=np.full(num_sentences, -1, np.int8),
        teacher=RoleScores.unread(num_sentences),
        student=student,
        unprompted=None if row is None else role_scores(row),
    )
