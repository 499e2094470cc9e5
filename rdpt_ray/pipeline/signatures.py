"""Texts to MinHash signatures, and signatures to the bands that similar texts share.

The minima are computed by rensa: on equal input about 4.5 times faster than datasketch (40 times where it
may take a NumPy buffer, as here), with the same error of the estimate, no dependency, and equal in every
process for one seed (docs/duplicates.md has the figures).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.clusters import num_bands
from rdpt_ray.method.ngrams import Hashes, ngram_hashes, word_hashes

try:
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]
except ImportError:  # the extra `duplicates` is not installed
    RMinHash = None

NUM_MINIMA = 128
RECALL = 0.9995
"""Pairs exactly as similar as the threshold that are looked at; those more alike are missed less often."""

_SEED = 1


def check_library() -> None:
    """See that signatures can be computed.

    Raises:
        ConfigError: if the library is not installed.
    """
    if RMinHash is None:
        raise ConfigError(
            "selection.filters.duplicates needs the library rensa: pip install 'rdpt_ray[duplicates]'"
        )


def signatures(sets: Sequence[Hashes]) -> NDArray[np.uint32]:
    """One signature per set.

    Args:
        sets: From `method.ngrams.shingles`.

    Returns:
        Shape (num_sets, NUM_MINIMA); two are equal in a share of columns that estimates the Jaccard
        similarity of their sets.
    """
    check_library()
    if not sets:
        return np.zeros((0, NUM_MINIMA), np.uint32)
    edges = np.cumsum([0, *(len(each) for each in sets)], dtype=np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(  # pyright: ignore[reportOptionalMemberAccess]
        np.concatenate(sets), edges, num_perm=NUM_MINIMA, seed=_SEED
    )
    return np.array(matrix.to_rows(), np.uint32)


def bands(minima: NDArray[np.uint32], threshold: float, keys: Sequence[str]) -> Hashes:
    """What similar texts share: they are equal in at least one band.

    Args:
        minima: From `signatures`, shape (num_texts, NUM_MINIMA).
        threshold: The similarity to find.
        keys: Per text; texts of different keys share no band.

    Returns:
        Shape (num_texts, num_bands), uint64. A band of one number never equals one of another.
    """
    number, length = num_bands(threshold, NUM_MINIMA, RECALL)
    key = word_hashes(keys)
    columns: list[Hashes] = []
    for band in range(number):
        own = minima[:, band * length : (band + 1) * length].astype(np.uint64)
        tagged = np.column_stack([key, np.full(len(key), band, np.uint64), own])
        columns.append(ngram_hashes_by_row(tagged))
    return np.column_stack(columns)


def ngram_hashes_by_row(values: Hashes) -> Hashes:
    """One hash per row of a matrix, shape (num_rows,), uint64."""
    width = values.shape[1]
    return (
        ngram_hashes(values.reshape(-1), width)[::width] if len(values) else np.zeros(0, np.uint64)
    )
