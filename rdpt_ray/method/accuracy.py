"""How often a model is right, with an interval over prompts.

Every prompt counts the same, however many samples it has: the accuracy is the mean over prompts of the share
of right ones among a prompt's samples. Samples of one prompt are alike, so the interval is Wilson's for as
many independent answers as the spread over prompts is worth (the effective sample size of surveys: Korn and
Graubard 1998). With one sample each that is the number of prompts, and the interval is Wilson's own.

An answer of which it is not known whether it is right is never taken for right. It stays in the denominator,
so the accuracy is a lower bound: a model that gives no answer that can be read gains nothing by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb, fsum, sqrt
from statistics import NormalDist
from typing import Any

Verdict = bool | None
"""Right, wrong, or not known."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of one model on one set of prompts."""

    prompts: int
    samples: int
    correct: int
    wrong: int
    unknown: int
    """Samples of which it is not known; none of them is in `correct`."""
    accuracy: float
    """Mean over prompts of the share of right samples."""
    low: float
    high: float
    """Interval of the confidence asked for, over prompts; always within 0 and 1."""
    pass_at: Mapping[int, float]
    """k -> probability that at least one of k samples is right, mean over prompts (unbiased)."""
    confidence: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "pass_at": {str(k): share for k, share in self.pass_at.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Accuracy":
        """The inverse of `to_dict`."""
        parsed = dict(values)
        parsed["pass_at"] = {int(k): share for k, share in values["pass_at"].items()}
        return cls(**parsed)


def accuracy(
    verdicts: Iterable[Sequence[Verdict]],
    *,
    confidence: float = 0.95,
    ks: Iterable[int] | None = None,
) -> Accuracy:
    """Accuracy over prompts.

    Args:
        verdicts: Per prompt one verdict per sample; neither order matters.
        confidence: Of the interval.
        ks: For `pass_at`; those above the fewest samples of a prompt are left out. None: 1, 2, 4, ...

    Raises:
        ValueError: if there is no prompt, one has no sample, or `confidence` is not between 0 and 1.
    """
    counted = [(len(each), each.count(True), each.count(None)) for each in map(list, verdicts)]
    sizes = [size for size, _, _ in counted]
    if not sizes or not min(sizes):
        raise ValueError(
            f"expected at least one prompt, each with a sample: {len(sizes)} prompts came, "
            f"{sizes.count(0)} of them without"
        )
    samples, correct, unknown = (sum(column) for column in zip(*counted, strict=True))
    shares = [right / size for size, right, _ in counted]
    mean = fsum(shares) / len(shares)
    low, high = wilson(mean, _worth(shares, mean, samples), confidence=confidence)
    wanted = _powers_of_two(min(sizes)) if ks is None else sorted({k for k in ks if k >= 1})
    return Accuracy(
        prompts=len(shares),
        samples=samples,
        correct=correct,
        wrong=samples - correct - unknown,
        unknown=unknown,
        accuracy=mean,
        low=low,
        high=high,
        pass_at={
            k: fsum(pass_at(size, right, k) for size, right, _ in counted) / len(counted)
            for k in wanted
            if k <= min(sizes)
        },
        confidence=confidence,
    )


def wilson(share: float, answers: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share (1927).

    Args:
        share: 0 to 1.
        answers: Independent ones that it rests on, above 0; need not be whole.
        confidence: Of the interval.

    Raises:
        ValueError: if `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    square = NormalDist().inv_cdf((1 + confidence) / 2) ** 2 / answers
    centre = share + square / 2
    reach = sqrt(square * (share * (1 - share) + square / 4))
    # The share itself is inside but for rounding, which shows at 0 and at 1.
    low, high = (centre - reach) / (1 + square), (centre + reach) / (1 + square)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def pass_at(size: int, right: int, k: int) -> float:
    """Probability that k of a prompt's samples, drawn without putting back, hold a right one.

    The unbiased estimate of Chen et al. (arXiv 2107.03374): 1 - C(size - right, k) / C(size, k).

    Args:
        size: Samples of the prompt, at least k.
        right: How many of them are right.
        k: At least 1.
    """
    return 1 - comb(size - right, k) / comb(size, k)


def _worth(shares: Sequence[float], mean: float, samples: int) -> float:
    """How many independent answers would give a mean that varies as much as this one does."""
    spread = fsum((share - mean) ** 2 for share in shares)
    within = mean * (1 - mean)
    if within <= 0:
        return len(shares)  # all alike: nothing tells how alike samples of one prompt are
    # Rounding aside no fewer than the prompts; chance alone could make it more than the samples.
    worth = within * len(shares) ** 2 / spread if spread > 0 else samples
    return min(max(worth, len(shares)), samples)


def _powers_of_two(end: int) -> list[int]:
    return [1 << power for power in range(end.bit_length())]
