"""From pairs that may be alike to texts that are kept and texts that are dropped for them.

The same whatever the order of pairs and texts: of texts that are alike the smallest id is kept.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MARGIN = 0.125
"""How much less similar two texts may seem by their signatures than they are: over four standard errors of
128 minima at a similarity of 0.9 (0.027 each), and 2.8 at 0.5."""


def components(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of some connected things belong together.

    Args:
        pairs: Shape (num_pairs, 2): things by number, numbered from 0 without gaps.

    Returns:
        Shape (num_things,), int64: the smallest thing that each is connected to, through any number of
        others.
    """
    label = np.arange(pairs.max(initial=-1) + 1, dtype=np.int64)
    one, other = pairs[:, 0], pairs[:, 1]
    while True:
        smaller = np.minimum(label[one], label[other])
        after = label.copy()
        np.minimum.at(after, label[one], smaller)
        np.minimum.at(after, label[other], smaller)
        np.minimum.at(after, one, smaller)
        np.minimum.at(after, other, smaller)
        after = after[after]
        if np.array_equal(after, label):
            return label
        label = after


def dropped(
    ids: list[str],
    signatures: NDArray[np.uint32],
    threshold: float,
    similarity: Callable[[int, int], float] | None,
) -> dict[str, tuple[str, float]]:
    """Keep the smallest id, then each that is like none kept so far.

    So a dropped text is always as similar as the threshold says to the one it is dropped for, never only
    through a chain of others.

    Args:
        ids: Of the texts, ascending, each once.
        signatures: Their minima, shape (num_texts, num_minima): equal in a share of columns that
            estimates the similarity.
        threshold: From which similarity on.
        similarity: The exact one of two texts, by position; None where the estimate has to do.

    Returns:
        Dropped id -> the id kept in its place, and how similar they are.
    """
    gone: dict[str, tuple[str, float]] = {}
    kept: list[int] = []
    table = np.empty_like(signatures)
    least = threshold if similarity is None else threshold - MARGIN
    for place, identity in enumerate(ids):
        seeming = (table[: len(kept)] == signatures[place]).mean(axis=1)
        for row in np.flatnonzero(seeming >= least):
            value = similarity(kept[row], place) if similarity else float(seeming[row])
            if value >= threshold:
                gone[identity] = (ids[kept[row]], value)
                break
        else:
            table[len(kept)] = signatures[place]
            kept.append(place)
    return gone


def num_bands(threshold: float, num_minima: int, recall: float) -> tuple[int, int]:
    """Bands and minima per band that find texts of a similarity.

    Two texts of Jaccard similarity s agree in a band of r minima with probability s**r, and in any of b
    bands with 1 - (1 - s**r)**b (Leskovec et al., Mining of Massive Datasets, section 3.4).

    Args:
        threshold: The similarity.
        num_minima: In a signature.
        recall: With which probability texts of exactly this similarity are to be found.

    Returns:
        The longest bands that do, since those make the fewest pairs to look at: number, length.
    """
    for length in range(num_minima, 1, -1):
        bands = num_minima // length
        if 1 - (1 - threshold**length) ** bands >= recall:
            return bands, length
    return num_minima, 1
