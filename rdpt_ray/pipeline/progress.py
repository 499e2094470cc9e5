"""Progress of long stages: a live bar with ETA on a terminal, a line every few seconds in a log."""

import time
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

LOG_INTERVAL_S = 10.0

Advance = Callable[[int, str], None]
"""Called with how many more items are done, and a short remark such as a rate."""


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
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(escape(title), total=total, remark="")
        yield lambda count, remark: progress.update(task, advance=count, remark=remark)


@contextmanager
def _lines(console: Console, title: str, total: int) -> Iterator[Advance]:
    begun = shown = time.monotonic()
    done = 0
    console.print(f"{title}: 0/{total}", highlight=False, markup=False)

    def advance(count: int, remark: str) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - shown >= LOG_INTERVAL_S and 0 < done < total:
            left = (now - begun) * (total - done) / done
            console.print(
                f"{title}: {done}/{total}, eta {left:.0f} s {remark}", highlight=False, markup=False
            )
            shown = now

    yield advance
    elapsed = time.monotonic() - begun
    console.print(f"{title}: {done}/{total} in {elapsed:.1f} s", highlight=False, markup=False)
