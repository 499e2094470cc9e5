"""What other policies would select, as rows and a matrix to be shown; names are untrusted."""

from dataclasses import dataclass

from rdpt_ray.method.comparison import Comparison
from rdpt_ray.method.comparison_figures import (
    LengthFigures,
    PolicyFigures,
    length_figures,
    overlap_matrix,
    policy_figures,
)

NUM_HEATS = 10
"""Steps of the heat scale, without 0."""

MAX_POLICIES = 24
"""Policies in the matrix; the page's size grows with its square."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy, and whether it is the run's own."""

    figures: PolicyFigures
    own: bool


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything that is shown of a comparison."""

    rows: tuple[PolicyRow, ...]
    """The run's own first, the others by name."""
    pool: PolicyFigures
    """Every candidate counted once."""
    matrix: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    """Per policy its name and, in the same order, (share as text, heat) against each."""
    matrix_names: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    """(policy, reason)"""
    length: LengthFigures
    graded: bool
    """Whether it is known of any pick whether it is right."""
    matched: bool
    """Whether any pick has a candidate of about its length beside it."""


def policies(comparison: Comparison, own: str | None) -> Policies:
    """The figures of a comparison in the order they are shown.

    Args:
        comparison: Of the whole run.
        own: The run's policy; None or unknown: no row is marked.
    """
    *rows, pool = policy_figures(comparison)
    ordered = tuple(
        PolicyRow(row, row.name == own)
        for row in sorted(rows, key=lambda row: (row.name != own, row.name))
    )
    names, shares = overlap_matrix(comparison)
    order = [names.index(row.figures.name) for row in ordered[:MAX_POLICIES]]
    return Policies(
        rows=ordered,
        pool=pool,
        matrix=tuple(
            (names[i], tuple(_cell(shares[i][j], diagonal=i == j) for j in order)) for i in order
        ),
        matrix_names=tuple(names[i] for i in order),
        left_out=tuple(sorted(comparison.left_out.items())),
        length=length_figures(comparison),
        graded=any(row.graded for row in [*rows, pool]),
        matched=any(row.matched_pairs for row in rows),
    )


def _cell(share: float | None, *, diagonal: bool) -> tuple[str, int]:
    if share is None:
        return "\u2013", 0
    return ("" if diagonal else f"{100 * share:.0f}"), round(share * NUM_HEATS)
