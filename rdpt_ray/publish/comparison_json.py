"""What other policies and thresholds would select, as plain values for JSON."""

from dataclasses import asdict
from typing import Any

from rdpt_ray.method.comparison import Comparison
from rdpt_ray.method.comparison_figures import (
    LengthFigures,
    PolicyFigures,
    length_figures,
    overlap_matrix,
    policy_figures,
)
from rdpt_ray.method.sensitivity import AtBeta, Sensitivity


def comparison_json(
    comparison: Comparison | None, sensitivity: Sensitivity | None
) -> dict[str, Any]:
    """The same figures as one object of plain values; null where there is nothing to divide.

    Returns:
        `settings`, counts, `policies` (figures per policy), `all_candidates`, `left_out`, `overlap` (shares),
        `length` (Pearson's r) and `betas`. The figures' names are those of `PolicyFigures`.
    """
    found: dict[str, Any] = {"policies": {}, "overlap": {}, "left_out": {}, "betas": []}
    if comparison is not None:
        *rows, pool = policy_figures(comparison)
        names, shares = overlap_matrix(comparison)
        length = length_figures(comparison)
        found |= {
            "settings": dict(comparison.settings),
            "traces": comparison.traces,
            "teacher_missing": comparison.teacher_missing,
            "prompts": comparison.prompts,
            "incomplete": comparison.incomplete,
            "policies": {row.name: _values(row) for row in rows},
            "all_candidates": _values(pool),
            "left_out": dict(sorted(comparison.left_out.items())),
            "overlap": {
                name: dict(zip(names, row, strict=True))
                for name, row in zip(names, shares, strict=True)
            },
            "length": _values(length),
        }
    if sensitivity is not None:
        found |= {
            "divergence": sensitivity.divergence,
            "beta": sensitivity.beta,
            "near_within": sensitivity.near_within,
            "betas": [_at_beta(sensitivity, row) for row in sensitivity.rows],
        }
    return found


def _values(figures: PolicyFigures | LengthFigures) -> dict[str, Any]:
    """A record of figures without its name."""
    return {name: value for name, value in asdict(figures).items() if name != "name"}


def _at_beta(sensitivity: Sensitivity, row: AtBeta) -> dict[str, Any]:
    return {
        "beta": row.beta,
        "classes": dict(row.classes),
        "near": row.near,
        "near_share": sensitivity.near_share(row),
        "same_pick": row.same_pick,
        "same_pick_share": sensitivity.same_pick_share(row),
        "tied": row.tied,
        "tied_share": sensitivity.tied_share(row),
    }
