"""How much the outcome hangs on beta: classes and picks over a grid, from the stored scores alone.

The thresholds are set by hand and that is the paper's first criticism, so a run says how many sentences lie
close to beta and how many picks another beta would change. Everything is a count, so buckets add up.
Ours; the grid is around the paper's 0.1.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.prompt_groups import by_prompt, num_incomplete
from rdpt_ray.method.provenance import CODES, NAMES, Provenance, classify_codes
from rdpt_ray.method.score_columns import ScoreColumns

FACTORS = (0.1, 0.2, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0)
"""The grid in units of the divergence's default beta: .01 to .3 for prob_difference."""

NEAR = 0.2
"""How far from beta is near, in units of the default beta: .02 for prob_difference."""

DIGITS = 12
"""Grid values are rounded to these decimals: 0.1 * 1.2 is then 0.12."""


@dataclass(frozen=True, slots=True)
class AtBeta:
    """What one beta makes of the same scores."""

    beta: float
    classes: dict[str, int]
    """Class -> sentences; sentences without a class are not in it."""
    near: int
    """Sentences with a class whose difference between teacher and student is near beta."""
    same_pick: int
    """Prompts with a choice whose most Teacher sentences are in the same trace as at the run's beta."""
    tied: int
    """Prompts with a choice where two or more candidates share the largest Teacher count."""

    def __add__(self, other: "AtBeta") -> "AtBeta":
        return AtBeta(
            self.beta,
            _ordered(Counter(self.classes) + Counter(other.classes)),
            self.near + other.near,
            self.same_pick + other.same_pick,
            self.tied + other.tied,
        )


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """A sweep over beta; alpha stays as it is. Add those of two buckets to merge them."""

    divergence: str
    alpha: float
    beta: float
    """The run's own."""
    traces: int
    teacher_missing: int
    """Traces among them that take no part: the teacher did not read them to the end."""
    prompts: int
    """Prompts with a choice: two or more eligible candidates that the teacher has read."""
    incomplete: int
    """Prompts some of whose eligible candidates take no part: a pick at another beta may be among them."""
    rows: tuple[AtBeta, ...]
    """In ascending order of beta, the run's own among them."""

    def __add__(self, other: "Sensitivity") -> "Sensitivity":
        if _settings(self) != _settings(other):
            raise ValueError(
                f"sweeps of different settings do not add up: {_settings(self)} and {_settings(other)}"
            )
        return Sensitivity(
            self.divergence,
            self.alpha,
            self.beta,
            self.traces + other.traces,
            self.teacher_missing + other.teacher_missing,
            self.prompts + other.prompts,
            self.incomplete + other.incomplete,
            tuple(mine + theirs for mine, theirs in zip(self.rows, other.rows, strict=True)),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Sensitivity":
        """The inverse of `to_dict`."""
        parsed: dict[str, Any] = dict(values)
        parsed["rows"] = tuple(AtBeta(**row) for row in values["rows"])
        return cls(**parsed)

    @property
    def near_within(self) -> float:
        """How far from beta still counts as near, in the divergence's unit."""
        return near_within(self.divergence)

    def class_share(self, row: AtBeta, name: str) -> float | None:
        """Share of a class among the sentences that have one; None without any."""
        return _share(row.classes.get(name, 0), sum(row.classes.values()))

    def near_share(self, row: AtBeta) -> float | None:
        """Share of the sentences that lie near beta; None without any."""
        return _share(row.near, sum(row.classes.values()))

    def same_pick_share(self, row: AtBeta) -> float | None:
        """Share of the prompts with a choice whose pick stays; None without any."""
        return _share(row.same_pick, self.prompts)

    def tied_share(self, row: AtBeta) -> float | None:
        """Share of the prompts with a choice that tie at the top; None without any."""
        return _share(row.tied, self.prompts)


def beta_grid(divergence: str, beta: float) -> tuple[float, ...]:
    """The betas of a sweep, ascending: `FACTORS` times the divergence's default, and the run's own."""
    default = DIVERGENCES[divergence].beta
    return tuple(sorted({*(round(factor * default, DIGITS) for factor in FACTORS), beta}))


def near_within(divergence: str) -> float:
    """How far from beta counts as near: 0.02 for prob_difference, the others in proportion."""
    return round(NEAR * DIVERGENCES[divergence].beta, DIGITS)


def sweep(
    columns: ScoreColumns,
    *,
    divergence: str = "prob_difference",
    alpha: float = 0.1,
    beta: float = 0.1,
    betas: Iterable[float] | None = None,
) -> Sensitivity:
    """Classify and pick anew at each beta.

    The pick is that of teacher_count with its tie rule: fewer sentences, then the smaller trace_id.

    Args:
        columns: All candidates of their prompts; no prompt may be cut in two.
        divergence: A key of `DIVERGENCES`.
        alpha: Fixed throughout.
        beta: The run's own.
        betas: The grid, `beta_grid` by default; the run's own is always among them.
    """
    ways = DIVERGENCES[divergence]
    values = [columns.values(role, ways) for role in ("teacher", "student")]
    if columns.four_way:
        values.append(columns.values("distilled", ways))
    gaps = np.abs(values[0] - values[1])
    gaps = gaps[~np.isnan(sum(values))]
    choices = by_prompt(columns, columns.eligible & columns.teacher_known, at_least=2)
    num_sentences = columns.num_sentences[choices.rows]
    grid = sorted({*(beta_grid(divergence, beta) if betas is None else betas), beta})

    def picks(codes: NDArray[np.int8]) -> tuple[NDArray[np.int64], int]:
        counts = columns.per_trace(codes == CODES[Provenance.TEACHER])[choices.rows]
        scores = counts.astype(np.float64)
        return choices.best(scores, num_sentences), int(choices.tied(scores).sum())

    own, _ = picks(classify_codes(*values, alpha=alpha, beta=beta))
    rows: list[AtBeta] = []
    for each in grid:
        codes = classify_codes(*values, alpha=alpha, beta=each)
        best, tied = picks(codes)
        near = int(np.count_nonzero(np.abs(gaps - each) <= near_within(divergence)))
        rows.append(AtBeta(each, _named(codes), near, int(np.count_nonzero(best == own)), tied))
    return Sensitivity(
        divergence=divergence,
        alpha=alpha,
        beta=beta,
        traces=len(columns),
        teacher_missing=int(np.count_nonzero(~columns.teacher_known)),
        prompts=len(choices.sizes),
        incomplete=num_incomplete(columns),
        rows=tuple(rows),
    )


def _named(codes: NDArray[np.int8]) -> dict[str, int]:
    counts = np.bincount(codes + 1, minlength=len(NAMES))[1:]
    return _ordered({str(name): int(counts[code]) for name, code in CODES.items()})


def _ordered(classes: Mapping[str, int]) -> dict[str, int]:
    """In the order of `Provenance` and without zeros, so that merging in any order gives the same JSON."""
    return {str(name): classes[name] for name in Provenance if classes.get(name)}


def _settings(sweep: Sensitivity) -> tuple[str, float, float, tuple[float, ...]]:
    return sweep.divergence, sweep.alpha, sweep.beta, tuple(row.beta for row in sweep.rows)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
