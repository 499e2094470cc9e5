"""Which candidates of a prompt to keep: a policy by name, and the order in which its numbers put them.

`POLICIES` are those of `method.policies`; an installed distribution adds its own in the entry point group
`rdpt_ray.policies`: a function from all candidates of a prompt to one number each, with an attribute
`needs` if it does not read the teacher or reads more. Ties are always broken the same way: fewer sentences
first, then the smaller trace_id.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import cast

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.budget import Cut, Entry, cut_at_budget
from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.extensions import extension, extension_names, unknown_name
from rdpt_ray.method.policies import (
    Policy,
    aslec,
    fewest,
    grape,
    ifd,
    lark,
    length_matched,
    longest,
    miniplm_difference,
    random,
    rsr,
    shortest,
    teacher_count,
    teacher_ratio,
)
from rdpt_ray.method.pruning import rank_key

__all__ = [
    "NEEDS",
    "POLICIES",
    "Candidate",
    "Cut",
    "Entry",
    "Policy",
    "Ranked",
    "RoleScores",
    "aslec",
    "cut_at_budget",
    "fewest",
    "grape",
    "ifd",
    "lark",
    "length_matched",
    "longest",
    "miniplm_difference",
    "needs",
    "policy_named",
    "random",
    "rank_candidates",
    "rsr",
    "shortest",
    "teacher_count",
    "teacher_ratio",
]

GROUP = "rdpt_ray.policies"

POLICIES: dict[str, Policy] = {
    "teacher_count": teacher_count,
    "teacher_ratio": teacher_ratio,
    "fewest": fewest,
    "longest": longest,
    "shortest": shortest,
    "length_matched": length_matched,
    "random": random,
    "grape": grape,
    "rsr": rsr,
    "ifd": ifd,
    "lark": lark,
    "aslec": aslec,
    "miniplm_difference": miniplm_difference,
}

NEEDS: dict[str, frozenset[str]] = {
    "teacher_count": frozenset({"teacher"}),
    "teacher_ratio": frozenset({"teacher"}),
    "fewest": frozenset({"teacher"}),
    "longest": frozenset(),
    "shortest": frozenset(),
    "length_matched": frozenset({"teacher"}),
    "random": frozenset(),
    "grape": frozenset(),
    "rsr": frozenset({"rank"}),
    "ifd": frozenset({"unprompted"}),
    "lark": frozenset({"brier"}),
    "aslec": frozenset(),
    "miniplm_difference": frozenset({"teacher"}),
}
"""What each policy reads beyond lengths and the student's log-probabilities."""

SIGNALS = frozenset({"teacher", "rank", "brier", "unprompted"})
"""What a policy can need."""

OUTRANKED = "outranked"
BELOW_MIN_SCORE = "below_min_score"
NOT_CHOOSABLE = "not_choosable"


def policy_named(name: str, *, seed: int = 0) -> Policy:
    """The policy called `name`, built in or from an installed distribution.

    Args:
        name: A key of `POLICIES`, or an entry point's name; the built-in one wins.
        seed: Bound to the policy `random`; no other takes one.

    Raises:
        KeyError: if there is no such policy; names the nearest.
        ConfigError: if a distribution's policy cannot be loaded.
    """
    if name == "random":
        return partial(random, seed=seed)
    return POLICIES[name] if name in POLICIES else _from_distribution(name)


def needs(name: str) -> frozenset[str]:
    """What a policy reads beyond lengths and the student's log-probabilities.

    Returns:
        A subset of {"teacher", "rank", "brier", "unprompted"}. A distribution's policy says it in an
        attribute `needs`; without one it is given the teacher.

    Raises:
        KeyError, ConfigError: as `policy_named`.
    """
    if name in NEEDS:
        return NEEDS[name]
    declared = frozenset(getattr(_from_distribution(name), "needs", {"teacher"}))
    if not declared <= SIGNALS:
        raise ConfigError(
            f"the policy {name} says that it needs {', '.join(sorted(declared - SIGNALS))}: "
            f"expected some of {', '.join(sorted(SIGNALS))}"
        )
    return declared


def _from_distribution(name: str) -> Policy:
    declared = extension_names(GROUP)
    if name not in declared:
        raise KeyError(f"no policy {name!r}; {unknown_name(name, [*POLICIES, *declared])}")
    policy, origin = extension(GROUP, name)
    if callable(policy):
        return cast(Policy, policy)
    raise ConfigError(
        f"{origin} declares the policy {name}, an object of type {type(policy).__name__}: expected a "
        "function from a prompt's candidates to one number each"
    )


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate's place among those of its prompt."""

    trace_id: str
    selection_score: float
    rank: int
    """1 is best."""
    drop_reason: str | None
    """None: selected. Otherwise "not_choosable" (the score is NaN), "below_min_score" or "outranked"; the
    first of these that holds."""

    @property
    def selected(self) -> bool:
        """Whether the candidate is kept."""
        return self.drop_reason is None


def rank_candidates(
    candidates: Iterable[Candidate],
    policy: Policy,
    *,
    per_prompt: int = 1,
    min_score: float | None = None,
) -> list[Ranked]:
    """Rank one prompt's candidates by a policy and keep the first `per_prompt`.

    Ties: fewer sentences, then the smaller trace_id. A score that is not a number ranks last.

    Args:
        candidates: All candidates of one prompt; their order does not matter.
        policy: Gives each candidate its score; the largest wins, NaN is not to be chosen.
        per_prompt: The most to select.
        min_score: The least score of a selected candidate, or None.

    Returns:
        One `Ranked` per candidate, best first.

    Raises:
        ValueError: if the policy gives more or fewer numbers than there are candidates, or needs a
            signal that was not measured.
    """
    # Sorted first, so that not even a policy that adds up its candidates depends on their order.
    group = sorted(candidates, key=lambda candidate: candidate.trace_id)
    scores = [float(score) for score in policy(group)]
    if len(scores) != len(group):
        raise ValueError(
            f"the policy gave {len(scores)} numbers for {len(group)} candidates: expected one each"
        )
    keys = [
        rank_key(score, candidate.num_sentences, candidate.trace_id)
        for score, candidate in zip(scores, group, strict=True)
    ]
    return [
        _ranked(group[index].trace_id, scores[index], place, per_prompt, min_score)
        for place, index in enumerate(sorted(range(len(group)), key=keys.__getitem__), start=1)
    ]


def _ranked(
    trace_id: str, score: float, place: int, per_prompt: int, min_score: float | None
) -> Ranked:
    reason = None
    if score != score:
        reason = NOT_CHOOSABLE
    elif min_score is not None and score < min_score:
        reason = BELOW_MIN_SCORE
    elif place > per_prompt:
        reason = OUTRANKED
    return Ranked(trace_id, score, place, reason)
