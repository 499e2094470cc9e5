"""One part, one process at a time; and when processes die on a part, how the next one goes about it.

Nothing in Python can catch an abort in C, a segmentation fault or the kernel's memory killer; Ray starts
the actor anew and gives it the same part, for ever. So an actor holds a part while it works on it
(`storage.attempts`), and who finds what a process of the same session left behind works carefully: with
nothing else in the process, one trace at a time, each written down before it begins. A kill from outside
hits any trace, once; so a trace is to blame only if the process died twice with it in flight alone. A part
then costs at most 1 + 2n deaths for n such traces. What another session left says nothing: its processes
ended with their driver. Nor does a process whose node went away with it, unless that goes on and on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from rdpt_ray.errors import StoreError
from rdpt_ray.pipeline.gate import Gate
from rdpt_ray.storage.attempts import Attempt, Held, attempts_folder, hold, note, read_attempts
from rdpt_ray.storage.attempts import release as release_part
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.sessions import Watch, read_session, this_process

MAX_ALONE = 2
"""Deaths with one trace in flight alone that make it the cause."""

MAX_DEATHS = 12
"""Deaths on one part after which a single one is enough, and a lost node is one too."""

ASK_AGAIN_S = 2.0
"""How often to look whether another session has finished a part, or ended."""


class HasId(Protocol):
    """A trace to score, or a response to sample."""

    @property
    def trace_id(self) -> str:
        """Names it."""
        ...


Item = TypeVar("Item", bound=HasId)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Work(Generic[Item, Result]):
    """A part in hand."""

    tokens: Callable[[Sequence[Item]], list[Result | str]]
    """What to score its traces with, as `Scorer.tokens`, or to sample its responses."""
    was_lost: bool
    """Whether an earlier attempt of the same run was lost, so that this one may read traces again."""


@dataclass(frozen=True, slots=True)
class Deaths:
    """What is known of the processes that died on a part."""

    alone: dict[str, int] = field(default_factory=dict)
    """trace_id -> how many died while scoring it alone."""
    unexplained: int = 0
    """How many died with no single trace in flight."""

    def verdict(self, trace_id: str) -> str | None:
        """The trace's error, if it is to blame."""
        deaths = self.alone.get(trace_id, 0)
        total = self.unexplained + sum(self.alone.values())
        if deaths < (MAX_ALONE if total < MAX_DEATHS else 1):
            return None
        times = "time" if deaths == 1 else "times"
        return f"actor_died: the process died {deaths} {times} over this trace alone"


def deaths_of(attempts: Sequence[Attempt], is_gone: Callable[[str], bool]) -> Deaths:
    """Count deaths.

    Args:
        attempts: Of one session, none of them finished.
        is_gone: Whether a node is no longer there.
    """
    counted = [each for each in attempts if not is_gone(each.node)]
    if len(attempts) > MAX_DEATHS:
        counted = list(attempts)
    alone: dict[str, int] = {}
    for each in counted:
        if each.in_flight is not None:
            alone[each.in_flight] = alone.get(each.in_flight, 0) + 1
    return Deaths(alone, sum(each.in_flight is None for each in counted))


class Attempts:
    """One actor's work on its parts, in view of other sessions and of processes that died before it."""

    def __init__(
        self,
        store: Root,
        model_key: str,
        *,
        session: str,
        width: int,
        node: str = "",
        is_gone: Callable[[str], bool] = lambda node: False,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Know who asks.

        Args:
            store: Where the records are.
            model_key: Whose scores the actor makes.
            session: The file of the driver that it works for.
            width: How many parts it has in hand at once.
            node: Where it is.
            is_gone: Whether another node is no longer there.
            waiting: Called now and then while another session is waited for.
        """
        self._store, self._model_key = store, model_key
        self._is_gone, self._waiting = is_gone, waiting
        self._me = Attempt(session, node, this_process())
        self._watch, self._gate = Watch(store), Gate(width)
        self._leaves = False

    @contextmanager
    def on(
        self, part_key: str, score: Callable[[Sequence[Item]], list[Result | str]]
    ) -> Iterator[Work[Item, Result] | None]:
        """Work on a part: its scores are read, made and written inside this `with` block.

        Waits while another session that lives holds the part.

        Args:
            part_key: Which part.
            score: Scores traces together.

        Yields:
            What to score with: `score`, or after a death the same, one trace at a time. None if the
            session is not to begin anything new.

        Raises:
            StoreError: if process after process died on the part with no trace in flight.
        """
        held = self._hold(part_key)
        if held is None:
            yield None
            return
        lost = list(held.earlier.values())
        ours = [each for each in lost if each.session == self._me.session]
        deaths = deaths_of(ours, self._is_gone)
        was_lost = any(each.run == self._me.run for each in lost)
        if deaths == Deaths():
            with self._gate.beside_others():
                yield Work(score, was_lost)
        else:
            self._check(deaths, part_key)
            with self._gate.alone():
                yield Work(
                    lambda traces: one_by_one(
                        traces, deaths, score=score, note=lambda trace_id: self._say(held, trace_id)
                    ),
                    was_lost,
                )
        release_part(self._store, held)

    def _hold(self, part_key: str) -> Held | None:
        while not self._is_leaving():
            found = read_attempts(self._store, self._model_key, part_key)
            if all(self._is_over(attempt) for _, attempt in found):
                held = hold(self._store, self._model_key, part_key, self._me, found)
                if held is not None:
                    return held
            else:
                self._waiting()
                time.sleep(ASK_AGAIN_S)
        return None

    def _is_over(self, attempt: Attempt) -> bool:
        """Ray gives a part of one session to one process at a time, so an earlier one has ended."""
        return attempt.session == self._me.session or self._watch.is_over(attempt.session)

    def _is_leaving(self) -> bool:
        if not self._leaves and self._store.exists(self._me.session):
            self._leaves = read_session(self._store, self._me.session).leaving
        return self._leaves

    def _say(self, held: Held, trace_id: str | None) -> None:
        note(self._store, held, replace(held.attempt, in_flight=trace_id))

    def _check(self, deaths: Deaths, part_key: str) -> None:
        if deaths.unexplained >= MAX_DEATHS:
            where = self._store.show(f"{attempts_folder(self._model_key)}/{part_key}")
            raise StoreError(
                f"{where}: {deaths.unexplained} processes died while reading this part or writing"
                " its scores, none of them while scoring a trace; look at the workers' memory and disk"
                " and at Ray's logs, then rerun"
            )


def one_by_one(
    traces: Sequence[Item],
    deaths: Deaths,
    *,
    score: Callable[[Sequence[Item]], list[Result | str]],
    note: Callable[[str | None], None],
) -> list[Result | str]:
    """Score a part after a death: each trace alone, and none that is to blame.

    Suspects come first: if one kills again, nothing was scored in vain before it.

    Args:
        traces: The part's traces.
        deaths: What is known.
        score: Scores traces together.
        note: Writes down which trace is in flight, where the next process finds it.

    Returns:
        Per trace what `score` gave, or its error.
    """
    results: dict[int, Result | str] = {}
    for place in sorted(
        range(len(traces)), key=lambda place: -deaths.alone.get(traces[place].trace_id, 0)
    ):
        trace_id = traces[place].trace_id
        error = deaths.verdict(trace_id)
        if error is None:
            note(trace_id)
            (results[place],) = score([traces[place]])
        else:
            results[place] = error
    note(None)
    return [results[place] for place in range(len(traces))]
