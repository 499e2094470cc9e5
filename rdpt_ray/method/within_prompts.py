"""How a class goes with right answers among the answers to one prompt, at equal position.

`method.equal_position` leaves it open whether hard prompts bring both fewer of a class and more wrong
answers. Where a prompt has right and wrong answers they can be compared with each other: every position of
every such prompt is then a stratum, and the difference is Mantel and Haenszel's over all of them,

    difference = sum(w (p1 - p0)) / sum(w)        w = n1 n0 / (n1 + n0), over positions and prompts

which takes out all that is the same for the answers to one prompt. It is computed from the sample of whole
prompts, with an interval from drawing these again. What differs between the answers to one prompt can still
bring both, so it is no cause either.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.correctness import Correctness
from rdpt_ray.method.correctness_intervals import MIN_PROMPTS
from rdpt_ray.method.equal_position import strata
from rdpt_ray.method.provenance import CODES, Provenance
from rdpt_ray.method.resampling import PERCENTILES, prompt_counts


@dataclass(frozen=True, slots=True)
class WithinPrompts:
    """One class: its share in right answers less that in wrong ones to the same prompt, 95 % interval."""

    difference: float
    low: float
    high: float


def num_mixed(counted: Correctness) -> int:
    """Prompts of the sample with both right and wrong answers."""
    return sum(bool(wrong and right) for wrong, right in counted.sample.values())


def within_prompts(
    counted: Correctness, *, seed: int = 0, resamples: int = 1000
) -> dict[str, WithinPrompts]:
    """The difference of every class, by its name in `Provenance`.

    Args:
        counted: Of all the data.
        seed: Of the resampling.
        resamples: How many times the prompts are drawn.

    Returns:
        Empty where fewer than `MIN_PROMPTS` prompts have both right and wrong answers. Deterministic.
    """
    if num_mixed(counted) < MIN_PROMPTS:
        return {}
    above, below = (
        part.sum(axis=-1) for part in strata(prompt_counts(counted).astype(np.float64))[:2]
    )
    prompts = len(above)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    own = _ratio(above.sum(axis=0), below.sum(axis=0))
    # A draw without any prompt of both kinds says nothing, and is taken for no deviation.
    drawn = _ratio(_summed(times, above), _summed(times, below))
    lows, highs = np.percentile(np.where(np.isnan(drawn), own, drawn), PERCENTILES, axis=0)
    return {
        str(name): WithinPrompts(*(float(each[CODES[name]]) for each in (own, lows, highs)))
        for name in Provenance
    }


def _summed(times: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[resamples, codes] each prompt's [codes] as often as it was drawn."""
    return np.einsum("rp,pc->rc", times.astype(np.float64), values)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.broadcast_to(below, above.shape)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
