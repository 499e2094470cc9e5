"""Where a budget ends, found by looking again and again: nobody ever holds all selected traces.

A look asks for exact sums over a window of the order, and for the entries in it or a random share of them.
The share tells about where the budget ends, a narrower window follows, and the last look holds all entries
of one that is small. Whether a window was too narrow is known from its exact sums, so chance costs a look
and never the result, which is that of `cut_at_budget` over all entries.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from zlib import crc32

from rdpt_ray.method.budget import Cut, Entry, cut_at_budget
from rdpt_ray.method.pruning import Key

MOST = 500_000
"""Entries that are held at once; so many selected traces are looked at in one go."""

GROWTH = 4
"""How much larger a share is than the one before, at least, so that there is a last look."""

SAFETY = 6.0
"""Standard deviations of a sampled sum that a window leaves on either side."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked of every worker."""

    after: Key | None = None
    """Entries up to this one are only summed; None: there are none."""
    until: Key | None = None
    """The last entry of the window; None: no end."""
    share: float = 1.0
    """Of the window's entries, by a hash of their ids."""

    def takes(self, entry: Entry) -> bool:
        """Whether an entry is in the share."""
        return self.share >= 1 or crc32(entry.trace_id.encode()) < self.share * 2**32


@dataclass(slots=True)
class Seen:
    """What workers found; add it up over all of them."""

    rows_before: int = 0
    """Entries before the window."""
    tokens_before: int = 0
    rows: int = 0
    """Entries in the window, all of them."""
    tokens: int = 0
    entries: list[Entry] = field(default_factory=list[Entry])
    """Those in the share."""

    def add(self, other: "Seen") -> None:
        """Count what another worker found."""
        self.rows_before += other.rows_before
        self.tokens_before += other.tokens_before
        self.rows += other.rows
        self.tokens += other.tokens
        self.entries += other.entries


@dataclass(frozen=True, slots=True)
class Budget:
    """The most to keep; infinite where there is no limit."""

    rows: float
    tokens: float

    def holds(self, rows: float, tokens: float) -> bool:
        """Whether so much fits."""
        return rows <= self.rows and tokens <= self.tokens

    def less(self, rows: float, tokens: float) -> "Budget":
        """What is left."""
        return Budget(self.rows - rows, self.tokens - tokens)


def see(entries: Iterable[Entry], look: Look) -> Seen:
    """A worker's answer to a look.

    Args:
        entries: All that the worker has, in any order.
        look: What is asked.
    """
    seen = Seen()
    for entry in entries:
        if look.after is not None and entry.key <= look.after:
            seen.rows_before += 1
            seen.tokens_before += entry.num_tokens
        elif look.until is None or entry.key <= look.until:
            seen.rows += 1
            seen.tokens += entry.num_tokens
            if look.takes(entry):
                seen.entries.append(entry)
    return seen


def find_cut(
    ask: Callable[[Look], Seen],
    num_entries: int,
    *,
    rows: int | None = None,
    tokens: int | None = None,
    most: int = MOST,
) -> Cut:
    """Where a budget ends; `kept` holds ids only where one look was enough.

    Args:
        ask: Gives the sum of all workers' answers to a look.
        num_entries: At least about how many entries there are.
        rows: The most traces to keep; None: any number.
        tokens: The most tokens to keep; None: any number.
        most: Entries to hold at once, about.
    """
    budget = Budget(math.inf if rows is None else rows, math.inf if tokens is None else tokens)
    low: Key | None = None  # all up to here fits
    high: Key | None = None  # all up to here does not fit
    look = Look(share=_share(num_entries, most))
    while True:
        seen = ask(look)
        left = budget.less(seen.rows_before, seen.tokens_before)
        if not left.holds(0, 0):
            high = look.after
        elif look.until is not None and left.holds(seen.rows, seen.tokens):
            low = look.until
        elif look.share >= 1:
            return _ended(look, seen, left)
        else:
            low, high = look.after, look.until
            look = _narrower(look, seen, left, most)
            continue
        look = Look(low, high, min(1.0, GROWTH * look.share))


def _share(num_entries: float, most: int) -> float:
    return min(1.0, most / max(num_entries, 1))


def _ended(look: Look, seen: Seen, left: Budget) -> Cut:
    """The cut, with every entry of a window that it lies in at hand."""
    cut = cut_at_budget(
        seen.entries,
        rows=None if math.isinf(left.rows) else int(left.rows),
        tokens=None if math.isinf(left.tokens) else int(left.tokens),
    )
    last = look.after if cut.last is None else cut.last
    return Cut(cut.kept, last, seen.tokens_before + cut.num_tokens)


def _narrower(look: Look, seen: Seen, left: Budget, most: int) -> Look:
    """The next window: from where the budget surely does not end yet to where it surely has."""
    after, until = look.after, look.until
    first, last = 0, len(seen.entries)
    tokens = squares = 0.0
    for place, entry in enumerate(sorted(seen.entries, key=lambda each: each.key), start=1):
        tokens += entry.num_tokens
        squares += entry.num_tokens**2
        row_error, token_error = (
            SAFETY * math.sqrt(1 + each * (1 - look.share)) for each in (place, squares)
        )
        if left.holds((place + row_error) / look.share, (tokens + token_error) / look.share):
            after, first = entry.key, place
        elif not left.holds((place - row_error) / look.share, (tokens - token_error) / look.share):
            until, last = entry.key, place
            break
    share = max(_share((last - first) / look.share, most), GROWTH * look.share)
    return Look(after, until, min(1.0, share))
