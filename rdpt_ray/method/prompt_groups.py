"""Candidates of many prompts in one order, and the best of each prompt at once.

The order is that of `method.selection.rank_candidates`: largest score, then fewer sentences, then the smaller
trace_id; a score that is not a number comes last. Only the loop over prompts is gone.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.score_columns import ScoreColumns

Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class PromptGroups:
    """Some of the traces of `ScoreColumns`, by prompt_id and then by trace_id."""

    rows: NDArray[np.int64]
    """[candidates] indices of traces in the columns."""
    starts: NDArray[np.int64]
    """[prompts + 1] prompt p has the candidates starts[p] to starts[p + 1], at least one."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """[prompts] candidates of each."""
        return np.diff(self.starts)

    @property
    def prompt_of(self) -> NDArray[np.int64]:
        """[candidates] the number of each candidate's prompt."""
        return np.repeat(np.arange(len(self.starts) - 1), self.sizes)

    def sums(self, values: NDArray[Number]) -> NDArray[Number]:
        """[candidates] -> [prompts]: the sum over each prompt."""
        return np.add.reduceat(values, self.starts[:-1])

    def best(
        self, scores: NDArray[np.float64], num_sentences: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The first candidate of each prompt in the order of `rank_candidates`.

        Args:
            scores: [candidates] the largest wins, NaN comes last.
            num_sentences: [candidates] the first tie-break; the second is the candidates' own order.

        Returns:
            [prompts] positions among the candidates.
        """
        # The last key counts first. NaN sorts last, equal keys stay in the candidates' order.
        return np.lexsort((num_sentences, -scores, self.prompt_of))[self.starts[:-1]]

    def tied(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """[prompts] whether two or more candidates share the largest score."""
        largest = np.maximum.reduceat(scores, self.starts[:-1])
        return self.sums((scores == np.repeat(largest, self.sizes)).astype(np.int64)) > 1


def by_prompt(
    columns: ScoreColumns, takes_part: NDArray[np.bool_], *, at_least: int = 1
) -> PromptGroups:
    """Group traces by prompt.

    Args:
        columns: All traces.
        takes_part: [traces] which to group.
        at_least: Prompts with fewer of these are left out.
    """
    rows = np.flatnonzero(takes_part)
    rows = rows[np.lexsort((columns.trace_ids[rows], columns.prompt_ids[rows]))]
    prompts = columns.prompt_ids[rows]
    firsts = np.flatnonzero(np.append(True, prompts[1:] != prompts[:-1])[: len(prompts)])
    sizes = np.diff(np.append(firsts, len(rows)))
    enough = sizes >= at_least
    starts = np.concatenate([[0], np.cumsum(sizes[enough])]).astype(np.int64)
    return PromptGroups(rows[np.repeat(enough, sizes)], starts)


def num_incomplete(columns: ScoreColumns) -> int:
    """Prompts some of whose eligible candidates the teacher did not read to the end."""
    missing = columns.eligible & ~columns.teacher_known
    return len(np.unique(columns.prompt_ids[missing]))
