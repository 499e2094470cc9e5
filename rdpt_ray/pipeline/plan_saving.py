"""What pruning is expected to spare a teacher, before anything is read."""

from dataclasses import dataclass

import numpy as np

from rdpt_ray.method.pruning import ALONE
from rdpt_ray.selection_config import SelectionConfig

SIMULATED = {1: 0.0, 2: 0.124, 4: 0.264, 8: 0.405, 16: 0.539}
"""Candidates of a prompt -> share of the teacher's tokens that is spared (docs/pruning.md, lengths that
differ by 0.5). What a dataset spares hangs on how much the lengths of a prompt's candidates differ: 5 % where
they do not, or more than this."""


@dataclass(frozen=True, slots=True)
class Saving:
    """Expected, not promised."""

    share: float
    """Of the teacher's work."""
    why: str


def expected_saving(selection: SelectionConfig, candidates: float) -> Saving:
    """How much of a teacher's work is spared.

    Args:
        selection: The policy, how many it takes of each prompt, and whether to prune at all.
        candidates: Traces of each prompt, on average.
    """
    if not selection.prune:
        return Saving(0.0, "selection.prune is off")
    taken = min(1.0, selection.per_prompt / max(candidates, 1.0))
    if selection.policy in ALONE:
        return Saving(
            1 - taken, f"{selection.policy} asks no teacher, who reads only what is selected"
        )
    if selection.per_prompt > 1:
        return Saving(0.0, "no figure for more than one trace of each prompt: counted as nothing")
    counts, shares = list(SIMULATED), list(SIMULATED.values())
    share = float(np.interp(np.log2(max(candidates, 1.0)), np.log2(counts), shares))
    return Saving(
        share, f"simulated for {candidates:.3g} candidates, and no promise: docs/pruning.md"
    )
