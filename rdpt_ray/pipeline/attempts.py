"""When a process dies on a part: what it left behind, and how the next one goes about it.

Nothing in Python can catch an abort in C, a segmentation fault or the kernel's memory killer; Ray starts
the actor anew and gives it the same part, for ever. So an actor leaves a record before it works on a part:

    STORE/attempts/<model-key>/<part-key>.json     there while a part is worked on, and after a death

Who finds a record of the same run works carefully: with nothing else in the process, one trace at a time,
each written down before it begins. A kill from outside hits any trace, once; so a trace is to blame only
if the process died twice with it in flight alone. A part then costs at most 1 + 2n deaths for n such
traces. A record of another run says nothing: its processes ended with their driver.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from rdpt_ray.errors import StoreError
from rdpt_ray.pipeline.gate import Gate
from rdpt_ray.scoring.scorer import Trace, TraceTokens
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import read_json, write_json

MAX_ALONE = 2
"""Deaths with one trace in flight alone that make it the cause."""

MAX_DEATHS = 12
"""Deaths on one part after which a single one is enough."""

ScoreTraces = Callable[[Sequence[Trace]], list[TraceTokens | str]]
"""What `Scorer.tokens` is."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of the processes that worked on a part."""

    run: str
    """Which driver they worked for."""
    in_flight: str | None = None
    """The trace_id that the process is scoring, with nothing else beside it."""
    alone: dict[str, int] = field(default_factory=dict)
    """trace_id -> how many processes died while scoring it alone."""
    unexplained: int = 0
    """How many died with no single trace in flight."""

    def after_death(self) -> "Attempt":
        """The same, with the death of the process that wrote it counted."""
        if self.in_flight is None:
            return replace(self, unexplained=self.unexplained + 1)
        deaths = self.alone.get(self.in_flight, 0) + 1
        return replace(self, in_flight=None, alone={**self.alone, self.in_flight: deaths})

    def verdict(self, trace_id: str) -> str | None:
        """The trace's error, if it is to blame."""
        deaths = self.alone.get(trace_id, 0)
        total = self.unexplained + sum(self.alone.values())
        if deaths < (MAX_ALONE if total < MAX_DEATHS else 1):
            return None
        times = "time" if deaths == 1 else "times"
        return f"actor_died: the process died {deaths} {times} while scoring this trace alone"


class Attempts:
    """One actor's work on its parts, in view of the processes that died on them before."""

    def __init__(self, store: Root, model_key: str, *, run: str, width: int) -> None:
        """Know where the records are.

        Args:
            store: Where they are left.
            model_key: Whose scores the actor makes.
            run: Names the driver it works for.
            width: How many parts it has in hand at once.
        """
        self._store, self._model_key, self._run = store, model_key, run
        self._gate = Gate(width)

    @contextmanager
    def on(self, part_key: str, score: ScoreTraces) -> Iterator[ScoreTraces]:
        """Work on a part: its scores are read, made and written inside this `with` block.

        Args:
            part_key: Which part.
            score: Scores traces together.

        Yields:
            What to score with: `score`, or after a death the same, one trace at a time.

        Raises:
            StoreError: if process after process died on the part with no trace in flight.
        """
        name = attempt_name(self._model_key, part_key)
        attempt = earlier_attempt(self._store, name, self._run)
        if attempt is None:
            with self._gate.beside_others():
                self._note(name, Attempt(self._run))
                yield score
        else:
            with self._gate.alone():
                self._note(name, attempt)
                yield lambda traces: one_by_one(
                    traces, attempt, score=score, note=lambda now: self._note(name, now)
                )
        self._store.delete(name)

    def _note(self, name: str, attempt: Attempt) -> None:
        write_json(self._store, name, asdict(attempt))


def attempt_name(model_key: str, part_key: str) -> str:
    """Where the record of a part lies, while there is one."""
    return f"attempts/{model_key}/{part_key}.json"


def earlier_attempt(store: Root, name: str, run: str) -> Attempt | None:
    """What a process of the same run left behind when it died, its death counted; None: nothing.

    Raises:
        StoreError: if process after process died with no trace in flight: no trace is to blame.
    """
    if not store.exists(name):
        return None
    found = Attempt(**read_json(store, name))
    if found.run != run:
        return None
    attempt = found.after_death()
    if attempt.unexplained >= MAX_DEATHS:
        raise StoreError(
            f"{store.show(name)}: {attempt.unexplained} processes died while reading this part or writing"
            " its scores, none of them while scoring a trace; look at the workers' memory and disk and"
            " at Ray's logs, then rerun"
        )
    return attempt


def one_by_one(
    traces: Sequence[Trace],
    attempt: Attempt,
    *,
    score: ScoreTraces,
    note: Callable[[Attempt], None],
) -> list[TraceTokens | str]:
    """Score a part after a death: each trace alone, and none that is to blame.

    Suspects come first: if one kills again, nothing was scored in vain before it.

    Args:
        traces: The part's traces.
        attempt: What is known, all deaths counted.
        score: Scores traces together.
        note: Keeps an attempt where the next process finds it.

    Returns:
        Per trace what `score` gave, or its error.
    """
    results: dict[int, TraceTokens | str] = {}
    for place in sorted(
        range(len(traces)), key=lambda place: -attempt.alone.get(traces[place].trace_id, 0)
    ):
        trace_id = traces[place].trace_id
        error = attempt.verdict(trace_id)
        if error is None:
            note(replace(attempt, in_flight=trace_id))
            (results[place],) = score([traces[place]])
        else:
            results[place] = error
    note(attempt)
    return [results[place] for place in range(len(traces))]
