"""A beta from the data, without training: OUR rule (`beta: auto`), not the paper's.

The paper chooses beta "adaptively" by a rule that we could not read. Ours is Otsu's threshold on |D_TS| over
all sentences: the cut that leaves the two sides, close and far apart, as different as possible. There is
always such a cut, also where nothing separates them, so it comes with its evidence and a word on how far to
trust it. Everything is read off a histogram, and histograms of buckets add.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rdpt_ray.method.divergence import DIVERGENCES, Divergence
from rdpt_ray.method.otsu import otsu

NUM_BINS = 1000
BINS_PER_BETA = 100
"""Bins in one default beta: 0.001 wide for prob_difference, whose range then fits exactly. What is further
apart than all bins, under a divergence without a limit, is counted in the last."""

NUM_FOLDS = 32
"""Groups of prompts. The interval resamples groups, because the sentences of one prompt are alike."""

NEAR_BINS = 20
"""What counts as near beta, to either side: 0.02 for prob_difference."""

NUM_RESAMPLES = 500

MIN_SEPARABILITY = 0.75
"""That of differences spread evenly, which have no valley."""

MAX_VALLEY = 0.5
MIN_DEPTH = 3.0
"""Standard errors by which the valley must be below its sides."""

MAX_WIDTH = 0.5
"""Of the interval, as a share of beta. Within a wide empty valley any cut is as good."""

MIN_FOLDS = NUM_FOLDS // 2

RULE = (
    f"clear: more than {MIN_SEPARABILITY:g} of the variance lies between the two sides, the sentences near "
    f"beta are at most {MAX_VALLEY:g} of the fullest window on either side and fewer by more than "
    f"{MIN_DEPTH:g} standard errors, and the interval is at most {MAX_WIDTH:g} of beta wide, over at least "
    f"{MIN_FOLDS} of {NUM_FOLDS} groups of prompts. Otherwise weak: the data do not ask for this beta"
)
"""What the words of confidence mean, for reports."""

Confidence = Literal["clear", "weak"]


@dataclass(frozen=True, slots=True)
class DifferenceHistogram:
    """Sentences by |D_TS|; add those of two buckets to merge them."""

    divergence: str
    counts: NDArray[np.int64]
    """[NUM_FOLDS, NUM_BINS] bin i holds i * width <= |D_TS| < (i + 1) * width."""

    @classmethod
    def of(
        cls,
        teacher: ArrayLike,
        student: ArrayLike,
        divergence: Divergence,
        folds: NDArray[np.int64] | None = None,
    ) -> "DifferenceHistogram":
        """Count sentences.

        Args:
            teacher: [sentences] values of the divergence under the teacher; NaN where not scored.
            student: [sentences] the same under the student.
            divergence: Sets the width of the bins.
            folds: [sentences] the group of each sentence's prompt, as `prompt_folds` deals them. Without it
                sentences are dealt one by one, as if those of a prompt were independent, and the interval
                is too narrow.
        """
        gaps = np.abs(np.asarray(teacher, np.float64) - np.asarray(student, np.float64))
        fold = np.arange(len(gaps)) % NUM_FOLDS if folds is None else folds
        known = ~np.isnan(gaps)
        # Rounded, so that a binary fraction just below a bin's edge, like 0.3 / 0.1 * 100, falls on it.
        bins = np.floor(np.round(gaps[known] * BINS_PER_BETA / divergence.beta, 9))
        cells = fold[known] * NUM_BINS + np.minimum(bins, NUM_BINS - 1).astype(np.int64)
        counts = np.bincount(cells, minlength=NUM_FOLDS * NUM_BINS).astype(np.int64)
        return cls(divergence.name, counts.reshape(NUM_FOLDS, NUM_BINS))

    @classmethod
    def empty(cls, divergence: Divergence) -> "DifferenceHistogram":
        """Of no sentence: adding it changes nothing."""
        return cls(divergence.name, np.zeros((NUM_FOLDS, NUM_BINS), np.int64))

    @property
    def width(self) -> float:
        """Of a bin, in the divergence's unit."""
        return DIVERGENCES[self.divergence].beta / BINS_PER_BETA

    @property
    def num_sentences(self) -> int:
        """Sentences counted: those that both models scored."""
        return int(self.counts.sum())

    def __add__(self, other: "DifferenceHistogram") -> "DifferenceHistogram":
        if self.divergence != other.divergence:
            raise ValueError(
                f"histograms of different divergences do not add up: {self.divergence} and "
                f"{other.divergence}"
            )
        return DifferenceHistogram(self.divergence, self.counts + other.counts)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; empty bins are left out."""
        folds = [
            {str(place): int(fold[place]) for place in np.flatnonzero(fold)} for fold in self.counts
        ]
        return {"divergence": self.divergence, "folds": folds}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DifferenceHistogram":
        """The inverse of `to_dict`."""
        found = cls.empty(DIVERGENCES[values["divergence"]])
        for fold, filled in zip(found.counts, values["folds"], strict=True):
            for place, count in filled.items():
                fold[int(place)] = count
        return found


@dataclass(frozen=True, slots=True)
class AutoBeta:
    """The chosen beta and what speaks for it."""

    beta: float
    """In the divergence's unit; a multiple of the histogram's bin width."""
    separability: float
    """Otsu's eta in [0, 1]: the share of the variance of |D_TS| that lies between the two sides. 0.75 for
    differences spread evenly."""
    interval: tuple[float, float]
    """95 % of the betas of resampled groups of prompts."""
    near_share: float
    """Share of the sentences within 0.02 of beta (0.2 default betas)."""
    valley: float
    """Sentences near beta over those in the fullest window as wide on either side, whichever side's is
    smaller: below 1 there is a valley at beta; 1 where there is none."""
    confidence: Confidence
    """See `RULE`."""
    num_sentences: int


def prompt_folds(prompt_ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """[traces] the group that each trace's prompt is dealt to, by its id alone."""
    prompts, which = np.unique(prompt_ids, return_inverse=True)
    dealt = [zlib.crc32(prompt.encode()) % NUM_FOLDS for prompt in prompts.tolist()]
    return np.array(dealt, dtype=np.int64)[which]


def choose_beta(histogram: DifferenceHistogram, *, seed: int = 0) -> AutoBeta:
    """Otsu's threshold of a histogram, with a bootstrap over groups of prompts (ours).

    Args:
        histogram: Of all sentences of the data set.
        seed: Of the bootstrap; equal histograms give equal results.

    Raises:
        ValueError: if the histogram holds no sentence, or all in one bin: there is nothing to separate.
    """
    counts, total = histogram.counts.sum(axis=0), histogram.num_sentences
    if np.count_nonzero(counts) < 2:
        raise ValueError(
            f"no differences between teacher and student in {total} sentences that both scored: expected "
            "at least two unlike ones"
        )
    cuts, shares = otsu(counts[None])
    cut, separability = int(cuts[0]), float(shares[0])
    draws = np.random.default_rng(seed).multinomial(
        NUM_FOLDS, np.full(NUM_FOLDS, 1 / NUM_FOLDS), size=NUM_RESAMPLES
    )
    resampled = otsu(draws @ histogram.counts)[0]
    # A resample may have fewer than two filled bins, and so no cut.
    cuts = resampled[resampled > 0] if resampled.any() else cuts
    low, high = np.quantile(cuts, [0.025, 0.975])
    valley, is_deep = _valley(counts, cut)
    clear = (
        separability > MIN_SEPARABILITY
        and valley <= MAX_VALLEY
        and is_deep
        and high - low <= MAX_WIDTH * cut
        and np.count_nonzero(histogram.counts.any(axis=1)) >= MIN_FOLDS
    )
    return AutoBeta(
        beta=_value(cut, histogram),
        separability=separability,
        interval=(_value(float(low), histogram), _value(float(high), histogram)),
        near_share=int(counts[max(cut - NEAR_BINS, 0) : cut + NEAR_BINS].sum()) / total,
        valley=valley,
        confidence="clear" if clear else "weak",
        num_sentences=total,
    )


def _valley(counts: NDArray[np.int64], cut: int) -> tuple[float, bool]:
    """How full the window around the cut is against the lower of its sides, and whether that is no noise."""
    # The last bin is no peak: it also holds all that lies beyond.
    running = np.concatenate([[0], np.cumsum(counts[:-1])])
    windows = running[2 * NEAR_BINS :] - running[: -2 * NEAR_BINS]
    here = min(max(cut - NEAR_BINS, 0), len(windows) - 1)
    near, sides = int(windows[here]), int(min(windows[: here + 1].max(), windows[here:].max()))
    return near / sides if sides else 1.0, sides - near > MIN_DEPTH * (sides + near) ** 0.5


def _value(cut: float, histogram: DifferenceHistogram) -> float:
    """A number of bins in the divergence's unit, without the noise of binary fractions."""
    return round(cut * histogram.width, 12)
