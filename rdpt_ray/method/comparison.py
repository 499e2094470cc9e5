"""All policies on one set of stored scores: what each would pick, and how much of it is length.

The Teacher count grows with the length of a trace, so length is the known confounder of the paper's
selection: its correlation is counted over all candidates and within prompts, and every pick is compared with
candidates of its own prompt that are about as long. Ours; the figures are in `method.comparison_figures`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.candidate import Candidate
from rdpt_ray.method.correlation import PairSums, pair_sums
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.picks import Picks, count_all, count_picks, facts
from rdpt_ray.method.prompt_groups import PromptGroups, by_prompt, num_incomplete
from rdpt_ray.method.provenance import CODES, Provenance
from rdpt_ray.method.score_columns import ScoreColumns
from rdpt_ray.method.selection import POLICIES, Policy, needs, policy_named

Overlap = tuple[int, int]
"""Prompts where both policies pick, and those where they pick the same trace."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sums over prompts with a choice (two or more eligible candidates); add two buckets' to merge them."""

    settings: dict[str, Any]
    """divergence, alpha, beta, seed; the same in all that are merged."""
    traces: int = 0
    teacher_missing: int = 0
    """Traces that the teacher has not read to the end; policies that need it do not see them."""
    prompts: int = 0
    incomplete: int = 0
    """Prompts with an eligible candidate of that kind."""
    pool: Picks = field(default_factory=Picks)
    """Every candidate of those prompts counted once."""
    policies: dict[str, Picks] = field(default_factory=dict[str, Picks])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    """Policies whose signal was not measured for some of the traces, and what is missing."""
    overlaps: dict[str, dict[str, Overlap]] = field(default_factory=dict[str, dict[str, Overlap]])
    """Two policies by name, the smaller name first."""
    chars: PairSums = field(default_factory=PairSums)
    """Teacher count against characters, over all eligible candidates that the teacher has read."""
    sentences: PairSums = field(default_factory=PairSums)
    """Teacher count against sentences, over the same."""

    def __add__(self, other: "Comparison") -> "Comparison":
        if self.settings != other.settings:
            raise ValueError(
                f"comparisons of different settings do not add up: {self.settings} and {other.settings}"
            )
        names = sorted(self.policies.keys() | other.policies.keys())
        none = Picks()
        return Comparison(
            settings=self.settings,
            traces=self.traces + other.traces,
            teacher_missing=self.teacher_missing + other.teacher_missing,
            prompts=self.prompts + other.prompts,
            incomplete=self.incomplete + other.incomplete,
            pool=self.pool + other.pool,
            policies={
                name: self.policies.get(name, none) + other.policies.get(name, none)
                for name in names
            },
            left_out=dict(sorted({**self.left_out, **other.left_out}.items())),
            overlaps=_added(self.overlaps, other.overlaps, names),
            chars=self.chars + other.chars,
            sentences=self.sentences + other.sentences,
        )

    @property
    def measured(self) -> list[str]:
        """Policies that could be asked everywhere, in a fixed order."""
        return sorted(self.policies.keys() - self.left_out.keys())

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["pool"] = asdict(self.pool)
        values["policies"] = {name: asdict(picks) for name, picks in self.policies.items()}
        values["overlaps"] = {
            first: {second: list(counts) for second, counts in row.items()}
            for first, row in self.overlaps.items()
        }
        values["chars"], values["sentences"] = self.chars.to_dict(), self.sentences.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Comparison":
        """The inverse of `to_dict`."""
        parsed = dict(values)
        parsed["pool"] = Picks(**values["pool"])
        parsed["policies"] = {name: Picks(**picks) for name, picks in values["policies"].items()}
        parsed["overlaps"] = {
            first: {second: (both, same) for second, (both, same) in row.items()}
            for first, row in values["overlaps"].items()
        }
        for name in ("chars", "sentences"):
            parsed[name] = PairSums.from_dict(values[name])
        return cls(**parsed)


def compare(
    columns: ScoreColumns,
    *,
    divergence: str = "prob_difference",
    alpha: float = 0.1,
    beta: float = 0.1,
    seed: int = 0,
    names: Iterable[str] = POLICIES,
) -> Comparison:
    """Ask every policy for its pick of each prompt.

    Args:
        columns: All candidates of their prompts; no prompt may be cut in two.
        divergence: A key of `DIVERGENCES`.
        alpha: For four-way classes, where the distilled model was scored.
        beta: Of the run.
        seed: Of the policy `random`.
        names: Policies, an installed distribution's too.

    Raises:
        KeyError, ConfigError: as `policy_named`.
        ValueError: if a policy gives more or fewer numbers than it was given candidates.
    """
    classes = columns.classes(DIVERGENCES[divergence], alpha=alpha, beta=beta)
    teacher = columns.per_trace(classes == CODES[Provenance.TEACHER])
    choices = by_prompt(columns, columns.eligible, at_least=2)
    those = facts(columns, teacher, choices)
    candidates = [columns.candidate(row, classes) for row in choices.rows.tolist()]
    left_out: dict[str, str] = {}
    picks: dict[str, NDArray[np.int64]] = {}
    for name in sorted(names):
        if (reason := _missing(name, columns)) is not None:
            left_out[name] = reason
            continue
        sees = those.known if "teacher" in needs(name) else np.ones(len(candidates), dtype=bool)
        scores = _scores(name, policy_named(name, seed=seed), choices, candidates, sees)
        best = choices.best(scores, those.sentences)
        picks[name] = np.where(np.isnan(scores[best]), -1, best)
    read = by_prompt(columns, columns.eligible & columns.teacher_known)
    return Comparison(
        settings={"divergence": divergence, "alpha": alpha, "beta": beta, "seed": seed},
        traces=len(columns),
        teacher_missing=int(np.count_nonzero(~columns.teacher_known)),
        prompts=len(choices.sizes),
        incomplete=num_incomplete(columns),
        pool=count_all(those),
        policies={name: count_picks(those, best) for name, best in picks.items()},
        left_out=left_out,
        overlaps=_overlaps(picks),
        chars=pair_sums(teacher[read.rows], columns.num_chars[read.rows], read),
        sentences=pair_sums(teacher[read.rows], columns.num_sentences[read.rows], read),
    )


def _missing(name: str, columns: ScoreColumns) -> str | None:
    """What a policy needs and the scores lack."""
    student = columns.roles["student"]
    measured = {
        "rank": student.ranks is not None,
        "brier": student.briers is not None,
        "unprompted": "unprompted" in columns.roles,
    }
    lacking = sorted(signal for signal in needs(name) if not measured.get(signal, True))
    if lacking:
        signals = ", ".join(lacking)
        return f"not measured: {signals}; add {signals} to models.student.signals"
    if name == "aslec" and student.first is None:
        return (
            "the student's scores lack the log-probability of each sentence's first token; "
            "score the student again"
        )
    return None


def _scores(
    name: str,
    policy: Policy,
    groups: PromptGroups,
    candidates: list[Candidate],
    sees: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """[candidates] the policy's numbers, NaN for those that it does not see."""
    scores = np.full(len(candidates), np.nan)
    for start, stop in pairwise(groups.starts.tolist()):
        seen = [index for index in range(start, stop) if sees[index]]
        if not seen:
            continue
        given = policy([candidates[index] for index in seen])
        if len(given) != len(seen):
            raise ValueError(
                f"the policy {name} gave {len(given)} numbers for {len(seen)} candidates: "
                "expected one each"
            )
        scores[seen] = given
    return scores


def _overlaps(picks: dict[str, NDArray[np.int64]]) -> dict[str, dict[str, Overlap]]:
    found: dict[str, dict[str, Overlap]] = {}
    for first, second in combinations(sorted(picks), 2):
        both = (picks[first] >= 0) & (picks[second] >= 0)
        same = both & (picks[first] == picks[second])
        counts = int(np.count_nonzero(both)), int(np.count_nonzero(same))
        found.setdefault(first, {})[second] = counts
    return found


def _added(
    left: dict[str, dict[str, Overlap]], right: dict[str, dict[str, Overlap]], names: list[str]
) -> dict[str, dict[str, Overlap]]:
    added: dict[str, dict[str, Overlap]] = {}
    for first, second in combinations(names, 2):
        counts = [table[first][second] for table in (left, right) if second in table.get(first, {})]
        if counts:
            both, same = (sum(numbers) for numbers in zip(*counts, strict=True))
            added.setdefault(first, {})[second] = (both, same)
    return added
