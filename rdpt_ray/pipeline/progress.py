"""Progress of long stages: a live bar with ETA on a terminal, a line now and then in a log."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rdpt_ray.pipeline.logs import tell, wants_json
from rdpt_ray.publish.findings_cost import duration

LOG_INTERVAL_S = 10.0
"""Between two lines of a log, at first."""

LOG_SHARE = 0.05
"""Later they come after so much more of the time that the stage has taken; a day leaves about a hundred."""

LOG_LONGEST_S = 600.0

PACE_WINDOW_S = 600.0
"""A rate is of so long ago at most: pools grow, and spot machines go."""

PACE_MARK_S = 1.0
NUM_FIRST_MARKS = 5
"""After so many, the time before the first item, in which models are loaded, no longer counts."""

Advance = Callable[[int, str], None]
"""Called with how many more items are done, and a short remark such as a rate."""


class Pace:
    """How fast the items of a stage are done lately, and so when it ends."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now.

        Args:
            total: Items in all.
            clock: Seconds that never go back.
        """
        self.total, self.done = total, 0
        self._clock, self._begun = clock, clock()
        self._marks = deque([(self._begun, 0)])
        self._num_marks = 0

    def advance(self, count: int) -> None:
        """So many more are done."""
        now = self._clock()
        self.done += count
        if self._num_marks and now - self._marks[-1][0] < PACE_MARK_S:
            self._marks[-1] = (self._marks[-1][0], self.done)
            return
        self._marks.append((now, self.done))
        self._num_marks += 1
        if self._num_marks == NUM_FIRST_MARKS:
            self._marks.popleft()
        while len(self._marks) > 2 and now - self._marks[1][0] >= PACE_WINDOW_S:
            self._marks.popleft()

    @property
    def running_s(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._begun

    @property
    def per_s(self) -> float | None:
        """Items per second; None before the first."""
        since, before = self._marks[0]
        elapsed = self._clock() - since
        return (self.done - before) / elapsed if self.done > before and elapsed > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until all are done; None as long as nobody can say."""
        rate = self.per_s
        return None if rate is None else max(0, self.total - self.done) / rate

    def told(self) -> dict[str, float | None]:
        """The same for machines."""
        values = {"running_s": self.running_s, "per_s": self.per_s, "eta_s": self.eta_s}
        return {name: None if each is None else round(each, 3) for name, each in values.items()}


@contextmanager
def stage(console: Console, title: str, total: int) -> Iterator[Advance]:
    """Show one stage while it runs.

    Args:
        console: Where to show it; a live bar if that is a terminal.
        title: What the stage does, for example "score teacher".
        total: Items in all; the callback counts them off.

    Yields:
        The callback that advances it.
    """
    show = _bar if console.is_terminal else _lines
    with show(console, title, total) as advance:
        yield advance


@contextmanager
def _bar(console: Console, title: str, total: int) -> Iterator[Advance]:
    columns = (
        SpinnerColumn(finished_text="-"),
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    # Rich forgets after 30 s by itself, and then has no ETA where a part takes minutes.
    with Progress(*columns, console=console, speed_estimate_period=PACE_WINDOW_S) as progress:
        task = progress.add_task(escape(title), total=total, remark="")
        yield lambda count, remark: progress.update(task, advance=count, remark=remark)


@contextmanager
def _lines(console: Console, title: str, total: int) -> Iterator[Advance]:
    pace, shown = Pace(total), 0.0

    def say(told: str) -> None:
        if wants_json() and not console.quiet:
            rate, left_s = (pace.told()[name] for name in ("per_s", "eta_s"))
            tell(f"{title}: {told}", done=pace.done, total=total, per_s=rate, eta_s=left_s)
        else:
            console.print(f"{title}: {told}", highlight=False, markup=False, soft_wrap=True)

    say(f"0/{total}")

    def advance(count: int, remark: str) -> None:
        nonlocal shown
        pace.advance(count)
        running = pace.running_s
        wait = min(LOG_LONGEST_S, max(LOG_INTERVAL_S, LOG_SHARE * running))
        if running - shown >= wait and 0 < pace.done < total:
            say(f"{pace.done}/{total}, eta {duration(pace.eta_s)} {remark}")
            shown = running

    yield advance
    say(f"{pace.done}/{total} in {pace.running_s:.1f} s")
