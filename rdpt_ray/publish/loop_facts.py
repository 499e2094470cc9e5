"""What a loop came to: per policy what it selected, per seed how good the student became.

Plain values only, so that they can lie beside the models as JSON. Means, intervals and differences are not
here: `loop_findings` computes them from these, so no page can show one that does not follow.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rdpt_ray.method.accuracy import Accuracy
from rdpt_ray.method.comparison_figures import PolicyFigures

Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class SeedFacts:
    """One student: trained on a policy's selection with one seed, and asked."""

    seed: int
    accuracy: Accuracy
    """Of its answers to the evaluation prompts."""
    classes: Mapping[str, int] = field(default_factory=dict)
    """Sentences of its own responses by four-way class; empty where it was not traced."""
    differences: Mapping[str, float] = field(default_factory=dict)
    """Class -> its share in right answers less that in wrong ones, at equal position
    (`method.equal_position`); without classes for which there are too few of either."""


@dataclass(frozen=True, slots=True)
class LengthControl:
    """A policy's picks against other candidates of the same prompts that are about as long (within 10 %)."""

    relative_length: float | None
    """Mean of a pick's characters over the mean of its prompt's candidates; 1: no longer than those."""
    pairs: int
    teacher: float | None
    """Teacher sentences of a pick less those of the other, mean over the pairs."""
    correct: float | None
    """Share of right picks less that of the others, over pairs of which it is known."""

    @classmethod
    def of(cls, figures: PolicyFigures) -> "LengthControl":
        """From what the comparison of policies found."""
        return cls(
            relative_length=figures.relative_length,
            pairs=figures.matched_pairs,
            teacher=figures.matched_teacher,
            correct=figures.matched_correct,
        )


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What one policy selected, and the students trained on it."""

    policy: str
    traces: int
    tokens: int
    """Response tokens under the student's tokenizer: what the budget counts."""
    sentences: float
    """Per selected trace, mean."""
    teacher: float
    """Teacher sentences (three-way, before training) per selected trace, mean."""
    seeds: tuple[SeedFacts, ...]
    control: LengthControl | None = None

    def __post_init__(self) -> None:
        numbers = [each.seed for each in self.seeds]
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"policy {self.policy}: a seed came twice among {numbers}")


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """The facts of one loop.

    Raises:
        ValueError: if a policy or a seed came twice, or a pair names a policy that is not there.
    """

    name: str
    created_at: str
    """When it was begun, as it is to be shown; no page reads a clock."""
    policies: tuple[PolicyFacts, ...]
    """In the order of the config; the first is compared with each of the others."""
    student: Accuracy | None = None
    """The student before training."""
    teacher: Accuracy | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    """Policies that are compared, the first less the second. Empty: the first less each of the others."""
    length_r: float | None = None
    """r of Teacher sentences with sentences over the candidates that were chosen from, within prompts."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """What decides the outcome, shown in this order: models, prompts, budgets, training."""
    remarks: tuple[str, ...] = ()
    """What the reader has to know to read the table right."""
    confidence: float = 0.95

    def __post_init__(self) -> None:
        names = [each.policy for each in self.policies]
        unknown = {name for pair in self.pairs for name in pair} - set(names)
        if len(set(names)) < len(names) or unknown:
            raise ValueError(
                f"expected each policy once and pairs of them; policies {names}, pairs {self.pairs}"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        values = asdict(self)
        for name in ("student", "teacher"):
            found: Accuracy | None = getattr(self, name)
            values[name] = None if found is None else found.to_dict()
        for policy, own in zip(values["policies"], self.policies, strict=True):
            for seed, mine in zip(policy["seeds"], own.seeds, strict=True):
                seed["accuracy"] = mine.accuracy.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LoopFacts":
        """The inverse of `to_dict`, also after a round trip through JSON."""
        parsed = dict(values)
        for name in ("student", "teacher"):
            if values.get(name) is not None:
                parsed[name] = Accuracy.from_dict(values[name])
        parsed["policies"] = tuple(_policy(each) for each in values["policies"])
        parsed["pairs"] = tuple((first, second) for first, second in values.get("pairs", ()))
        parsed["remarks"] = tuple(values.get("remarks", ()))
        return cls(**parsed)


def _policy(values: Mapping[str, Any]) -> PolicyFacts:
    parsed = dict(values)
    parsed["seeds"] = tuple(
        SeedFacts(**{**each, "accuracy": Accuracy.from_dict(each["accuracy"])})
        for each in values["seeds"]
    )
    if values.get("control") is not None:
        parsed["control"] = LengthControl(**values["control"])
    return PolicyFacts(**parsed)
