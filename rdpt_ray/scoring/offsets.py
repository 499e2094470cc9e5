"""Character offsets as tokenizers give them, brought to what each token really covers."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def repair(text: str, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Undo what would put a token into another sentence than the one of its first character.

    Two habits of the `tokenizers` library:

    - `trim_offsets` cuts blanks off a span, which leaves an all-blank token the empty span behind them:
      the place where the next sentence starts. It gets the last of its blanks back.
    - Byte fallback under Unigram gives every byte of a run of unknown characters the span of the whole
      run, over sentence ends. Where a span holds as many bytes as tokens share it, each gets its own
      character.

    Args:
        text: What was tokenised.
        spans: [tokens, 2] half-open character offsets.

    Returns:
        [tokens, 2] the same, repaired.
    """
    repaired = spans.copy()
    for index in np.flatnonzero((spans[:, 0] == spans[:, 1]) & (spans[:, 0] > 0)):
        if text[spans[index, 0] - 1].isspace():
            repaired[index, 0] -= 1
    changes = np.flatnonzero((spans[1:] != spans[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(spans)]
    for first, last in pairwise(edges):
        if last - first > 1:
            start, end = spans[first].tolist()
            owners = [place for place in range(start, end) for _ in text[place].encode()]
            if len(owners) == last - first:
                repaired[first:last, 0] = owners
                repaired[first:last, 1] = repaired[first:last, 0] + 1
    return repaired
