"""What another threshold would change, row by row, and how beta came about."""

from dataclasses import dataclass

from rdpt_ray.method.provenance import Provenance
from rdpt_ray.method.sensitivity import AtBeta, Sensitivity
from rdpt_ray.publish.palette import ORDER, Kind


@dataclass(frozen=True, slots=True)
class BetaRow:
    """One beta of the grid. Shares are None where there is nothing to divide."""

    beta: str
    own: bool
    """Whether the run used it."""
    counts: tuple[tuple[str, int], ...]
    """(class, sentences), in the order they are shown."""
    teacher: float | None
    near: float | None
    same_pick: float | None
    tied: float | None

    @property
    def sentences(self) -> int:
        """Sentences that have a class."""
        return sum(count for _, count in self.counts)


def beta_rows(found: Sensitivity, kind: Kind) -> list[BetaRow]:
    """The grid in ascending order, the run's own beta among it."""
    used = {name for row in found.rows for name in row.classes}
    names = [name for name in ORDER[kind] if name in Provenance.__members__]
    names += sorted(used - set(names))
    return [_row(found, row, names) for row in found.rows]


def _row(found: Sensitivity, row: AtBeta, names: list[str]) -> BetaRow:
    return BetaRow(
        beta=f"{row.beta:g}",
        own=row.beta == found.beta,
        counts=tuple((str(name), row.classes.get(name, 0)) for name in names),
        teacher=found.class_share(row, Provenance.TEACHER),
        near=found.near_share(row),
        same_pick=found.same_pick_share(row),
        tied=found.tied_share(row),
    )


def neighbours(rows: list[BetaRow]) -> list[BetaRow]:
    """The next smaller and the next larger beta, where the grid has them."""
    own = next((index for index, row in enumerate(rows) if row.own), None)
    if own is None:
        return []
    return [rows[index] for index in (own - 1, own + 1) if 0 <= index < len(rows)]


def own_row(rows: list[BetaRow]) -> BetaRow | None:
    """The row of the run's own beta."""
    return next((row for row in rows if row.own), None)
