"""A budget over the whole data set: of all selected traces the best, as many as it holds.

Each worker selects within its prompts; the driver gathers one small entry per selected trace and finds the
one key at which the budget ends; each worker then keeps what is not behind that key.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rdpt_ray.method.pruning import Key, rank_key


@dataclass(frozen=True, slots=True)
class Entry:
    """A selected trace, as far as a budget is concerned."""

    selection_score: float
    num_sentences: int
    trace_id: str
    num_tokens: int
    """Under the student's tokenizer."""

    @property
    def key(self) -> Key:
        """Its place among all selected traces: the order within a prompt, over all prompts."""
        return rank_key(self.selection_score, self.num_sentences, self.trace_id)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a budget ends."""

    kept: tuple[str, ...]
    """trace_ids of what is kept, best first."""
    last: Key | None
    """Key of the last that is kept; None if nothing is."""
    num_tokens: int
    """Tokens of what is kept."""

    def keeps(self, key: Key) -> bool:
        """Whether a selected trace with this key is within the budget."""
        return self.last is not None and key <= self.last


def cut_at_budget(
    entries: Iterable[Entry], *, rows: int | None = None, tokens: int | None = None
) -> Cut:
    """Keep the best entries up to the last that still fits (ours).

    The order is that within a prompt: score descending, fewer sentences, smaller trace_id; NaN last. The
    first that does not fit ends it, though a shorter one behind it might fit: what is kept is always all
    that is better than some key, and a larger budget only adds to it.

    Args:
        entries: One per selected trace, in any order.
        rows: The most traces to keep; None: any number.
        tokens: The most tokens to keep, under the student's tokenizer; None: any number.

    Returns:
        What is kept, and the key at which it ends.

    Raises:
        ValueError: if a budget is negative.
    """
    for name, budget in (("rows", rows), ("tokens", tokens)):
        if budget is not None and budget < 0:
            raise ValueError(f"a budget of {budget} {name}: expected 0 or more, or none")
    kept: list[str] = []
    last: Key | None = None
    used = 0
    for entry in sorted(entries, key=lambda entry: entry.key):
        if rows is not None and len(kept) == rows:
            break
        if tokens is not None and used + entry.num_tokens > tokens:
            break
        used += entry.num_tokens
        kept.append(entry.trace_id)
        last = entry.key
    return Cut(tuple(kept), last, used)
