"""What a loop shows: means over seeds, differences seed by seed, and what must not be read into them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rdpt_ray.method.paired import PairedDifference, Spread, paired, spread
from rdpt_ray.method.provenance import Provenance
from rdpt_ray.publish.loop_facts import LoopFacts, PolicyFacts
from rdpt_ray.publish.palette import ORDER
from rdpt_ray.publish.words import counted

NEARLY_EQUAL = 0.02
"""Token counts of policies that differ by no more than this are called equal."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy with what follows from its seeds."""

    facts: PolicyFacts
    accuracy: Spread | None
    """None where no student is trained yet."""
    shares: Mapping[str, float]
    """Four-way class -> its share of the sentences of all its traced students; empty without any."""
    teacher_difference: Spread | None
    """Teacher share in right answers less that in wrong ones at equal position, over seeds."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two policies over the seeds that both have."""

    first: str
    second: str
    difference: PairedDifference | None
    """None where they have no seed in common."""

    @property
    def verdict(self) -> str:
        """In words, by the interval over seeds alone."""
        if self.difference is None or self.difference.spread.low is None:
            return "undecided: too few seeds"
        if self.difference.spread.low > 0:
            return "first is better"
        high = self.difference.spread.high
        return "second is better" if high is not None and high < 0 else "undecided"


def policy_rows(facts: LoopFacts) -> list[PolicyRow]:
    """The policies in the order of the facts."""
    return [_row(policy, facts.confidence) for policy in facts.policies]


def pair_rows(facts: LoopFacts) -> list[PairRow]:
    """The pairs of policies that are compared."""
    by_name = {each.policy: each for each in facts.policies}
    others = [(facts.policies[0].policy, each.policy) for each in facts.policies[1:]]
    return [
        PairRow(first, second, _difference(by_name[first], by_name[second], facts.confidence))
        for first, second in facts.pairs or others
    ]


def class_names(facts: LoopFacts) -> list[str]:
    """Classes that some student's sentences have, in the order they are shown."""
    seen = {name for policy in facts.policies for seed in policy.seeds for name in seed.classes}
    known = [str(name) for name in ORDER["trace"] if name in seen]
    return [*known, *sorted(seen - set(known))]


def cautions(facts: LoopFacts) -> list[str]:
    """What the numbers themselves do not carry, in sentences; the facts' own remarks come before them."""
    found: list[str] = []
    pairs = [row.difference for row in pair_rows(facts) if row.difference is not None]
    if pairs:
        fewest = min(each.spread.seeds for each in pairs)
        found.append(
            f"With {counted(fewest, 'seed')} no p-value of the sign-flip test can be below"
            f" {2.0 ** (1 - fewest):.2g}, whatever the difference; none is corrected for the number of pairs."
        )
    tokens = [each.tokens for each in facts.policies if each.tokens]
    if tokens and max(tokens) > (1 + NEARLY_EQUAL) * min(tokens):
        found.append(
            f"The policies did not select equally many tokens ({min(tokens):,} to {max(tokens):,}):"
            " a difference in accuracy may be one in the amount of training."
        )
    seeds = [seed for policy in facts.policies for seed in policy.seeds]
    unknown = sum(seed.accuracy.unknown for seed in seeds)
    if unknown:
        samples = sum(seed.accuracy.samples for seed in seeds)
        found.append(
            f"Of {unknown:,} of {samples:,} answers it is not known whether they are right; none of them"
            " counts as right, so the accuracies are lower bounds."
        )
    if seeds:
        found.append(
            "Intervals of a policy are over seeds of the training on one selection and one set of evaluation"
            " prompts: another selection, set or model can fall outside them."
        )
    return found


def computed(facts: LoopFacts) -> dict[str, Any]:
    """Everything above as plain values for JSON, beside the facts that it follows from."""
    return {
        "facts": facts.to_dict(),
        "policies": {
            row.facts.policy: {
                "accuracy": None if row.accuracy is None else asdict(row.accuracy),
                "shares": dict(row.shares),
                "teacher_difference": (
                    None if row.teacher_difference is None else asdict(row.teacher_difference)
                ),
            }
            for row in policy_rows(facts)
        },
        "pairs": [
            {
                "first": row.first,
                "second": row.second,
                "verdict": row.verdict,
                "difference": None if row.difference is None else asdict(row.difference),
            }
            for row in pair_rows(facts)
        ],
        "cautions": cautions(facts),
    }


def _row(policy: PolicyFacts, confidence: float) -> PolicyRow:
    counts: Counter[str] = Counter()
    for seed in policy.seeds:
        counts.update(seed.classes)
    accuracies = [seed.accuracy.accuracy for seed in policy.seeds]
    teacher = [
        seed.differences[Provenance.TEACHER]
        for seed in policy.seeds
        if Provenance.TEACHER in seed.differences
    ]
    return PolicyRow(
        facts=policy,
        accuracy=_within_bounds(spread(accuracies, confidence=confidence)) if accuracies else None,
        shares={name: count / counts.total() for name, count in counts.items()},
        teacher_difference=spread(teacher, confidence=confidence) if teacher else None,
    )


def _within_bounds(found: Spread) -> Spread:
    """Without what no accuracy can be: the t interval of a few seeds can reach below 0 and above 1."""
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


def _difference(
    first: PolicyFacts, second: PolicyFacts, confidence: float
) -> PairedDifference | None:
    one, other = (
        {seed.seed: seed.accuracy.accuracy for seed in policy.seeds} for policy in (first, second)
    )
    common = sorted(one.keys() & other.keys())
    if not common:
        return None
    return paired(
        [one[seed] for seed in common], [other[seed] for seed in common], confidence=confidence
    )
