"""Which prompts the trace viewer shows: all of a small run; of a large one some at random, some worth a look.

Half of what is shown of a large run is a uniform sample of its prompts. The other half are prompts where
the selection can be learned from: the winner leads by much, two candidates tie, the selected answer is
wrong, a candidate was dropped for another reason than its rank. A prompt is always shown whole. Everything
is decided by what is in the rows and by hashes, so the same run always shows the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import nsmallest
from itertools import chain, zip_longest

OUTRANKED = "outranked"
RANDOM = "random"
LEAD = "lead"
TIE = "tie"
WRONG = "wrong"

Key = tuple[float, str]
"""A place within a stratum; the smallest is shown first."""


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """What decides whether a prompt is shown."""

    prompt_id: str
    bucket: str
    """File of its rows, the same in every table: bucket=0007.parquet."""
    num_shown: int
    """Candidates that would be shown."""
    lead: float | None = None
    """The best selection_score less the second; None with fewer than two scores."""
    selected_wrong: bool = False
    """Whether the answer of a selected trace is known to be wrong."""
    reasons: frozenset[str] = frozenset()
    """Why candidates were dropped."""


@dataclass(slots=True)
class Draw:
    """Takes prompts in any order, keeps a bounded number, and says which are shown."""

    max_traces: int
    seed: int = 0
    num_prompts: int = 0
    """How many were taken."""
    _kept: dict[str, list[tuple[Key, PromptFacts]]] = field(default_factory=dict)

    def add(self, prompt: PromptFacts) -> None:
        """Take a prompt."""
        self.num_prompts += 1
        draw = sha256(f"{self.seed}:{prompt.prompt_id}".encode()).hexdigest()
        for stratum, place in _strata(prompt).items():
            kept = self._kept.setdefault(stratum, [])
            kept.append(((place, draw), prompt))
            limit = self._limit(stratum)
            if len(kept) > 2 * limit:
                kept[:] = nsmallest(limit, kept, key=_key)

    def shown(self) -> dict[str, tuple[str, PromptFacts]]:
        """prompt_id -> (stratum, prompt), the most wanted first, of `max_traces` traces at most."""
        found: dict[str, tuple[str, PromptFacts]] = {}
        left = self.max_traces
        for stratum, prompt in self._in_turn():
            if prompt.prompt_id not in found and prompt.num_shown <= left:
                found[prompt.prompt_id] = (stratum, prompt)
                left -= prompt.num_shown
        return found

    def _limit(self, stratum: str) -> int:
        return self.max_traces if stratum == RANDOM else max(8, self.max_traces // 40)

    def _in_turn(self) -> Iterator[tuple[str, PromptFacts]]:
        """One of the random sample, then one of the others, whose strata take turns."""
        others = zip_longest(*(self._sorted(name) for name in sorted(self._kept) if name != RANDOM))
        rest = (each for each in chain.from_iterable(others) if each is not None)
        for one, other in zip_longest(self._sorted(RANDOM), rest):
            yield from (each for each in (one, other) if each is not None)

    def _sorted(self, stratum: str) -> list[tuple[str, PromptFacts]]:
        kept = nsmallest(self._limit(stratum), self._kept.get(stratum, []), key=_key)
        return [(stratum, prompt) for _, prompt in kept]


def _key(item: tuple[Key, PromptFacts]) -> Key:
    return item[0]


def _strata(prompt: PromptFacts) -> dict[str, float]:
    """The strata that a prompt is in, and its place in each; equal places go by a draw."""
    found = {RANDOM: 0.0}
    if prompt.lead is not None:
        found |= {LEAD: -prompt.lead} if prompt.lead > 0 else {TIE: 0.0}
    if prompt.selected_wrong:
        found[WRONG] = 0.0
    return found | {f"dropped: {reason}": 0.0 for reason in prompt.reasons - {OUTRANKED}}
