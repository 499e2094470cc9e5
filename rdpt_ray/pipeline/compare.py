"""Every policy, and every beta, on the scores of a finished run: from the store alone, in one process."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.comparison import Comparison, compare
from rdpt_ray.method.selection import POLICIES
from rdpt_ray.method.sensitivity import Sensitivity, sweep
from rdpt_ray.pipeline.stored_columns import open_stored_run, stored_columns
from rdpt_ray.storage.files import Root


@dataclass(frozen=True, slots=True)
class Compared:
    """What another policy, or another beta, would have made of a run."""

    comparison: Comparison
    sensitivity: Sensitivity


def compare_run(
    store: Root,
    folder: str,
    manifest: Mapping[str, Any],
    *,
    betas: Iterable[float] | None = None,
    policies: Iterable[str] | None = None,
    advance: Callable[[int, str], None] = lambda count, remark: None,
) -> Compared:
    """Go over a run's buckets.

    Args:
        store: The store that the run is in.
        folder: The run's, relative to the store.
        manifest: Its manifest.
        betas: The grid; None: the divergence's own.
        policies: Names, installed extensions too; None: all built-in ones and the run's own.
        advance: Called after each bucket.

    Raises:
        ConfigError: if a policy is unknown, or the run has no scored trace.
        StoreError: naming the file, if one is missing or damaged.
    """
    run = open_stored_run(store, folder, manifest)
    settings: dict[str, Any] = {
        "divergence": run.thresholds.divergence,
        "alpha": run.thresholds.alpha,
        "beta": float(run.thresholds.beta),
    }
    names = list(policies) if policies else [*dict.fromkeys([*POLICIES, run.selection.policy])]
    grid = None if betas is None else sorted(betas)
    comparison: Comparison | None = None
    sensitivity: Sensitivity | None = None
    for columns in stored_columns(run):
        try:
            compared = compare(columns, **settings, seed=run.selection.seed, names=names)
        except KeyError as error:
            raise ConfigError(str(error.args[0])) from error
        swept = sweep(columns, **settings, betas=grid)
        comparison = compared if comparison is None else comparison + compared
        sensitivity = swept if sensitivity is None else sensitivity + swept
        advance(1, "buckets")
    if comparison is None or sensitivity is None:
        raise ConfigError(f"{store.show(folder)}: none of its traces has scores to compare")
    return Compared(comparison, sensitivity)
