"""What a job tells Prometheus while it works, through Ray: `ray_rdpt_...` at every node's metrics port.

An actor counts its part when it has committed it, the driver says how far it is; a few microseconds each.
Tags are the run, the role and the stage: as many series as a run has models, and nothing that is secret.
"""

from collections.abc import Mapping
from functools import cache

import ray
from ray.util.metrics import Counter, Gauge, Histogram, Metric

TAGS = ("run", "role", "stage")

COUNTERS = {
    "rdpt_tokens": "Tokens that a model read, prompts too, or wrote.",
    "rdpt_traces": "Traces that a model read to their end, or responses that it wrote.",
    "rdpt_trace_errors": "Traces that a model could not read, or responses that it could not write.",
    "rdpt_parts": "Parts that were committed.",
    "rdpt_actor_seconds": "Seconds in which actors held a model, loading included.",
    "rdpt_busy_seconds": "Seconds of these in which the model read or wrote.",
}
"""By actors, a part at a time. Ray adds `_total` to their names."""

PART_SECONDS = {"rdpt_part_seconds": "Seconds from reading a part to its commit."}
BOUNDARIES = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]

GAUGES = {
    "rdpt_done": "Items of the stage that are done: traces, responses, files or buckets.",
    "rdpt_queue": "Items of the stage that are left.",
    "rdpt_eta_seconds": "Seconds until the stage ends, at its rate of the last ten minutes.",
    "rdpt_tokens_per_second": "Tokens per second of all actors together, over the last ten minutes.",
    "rdpt_busy_share": "Share of the actors' time in which the model read or wrote: the GPU share of a pool.",
    "rdpt_quarantined": "Rows that ingestion set aside, and traces that a model could not read.",
    "rdpt_cost": "What the role's actors cost in this start so far, where plan.price_per_hour has prices.",
}
"""By the driver."""

PREFIX = "ray_"
"""Ray puts it before every name."""


def exported() -> set[str]:
    """The names that Prometheus finds."""
    of_histograms = [
        f"{name}_{part}" for name in PART_SECONDS for part in ("bucket", "sum", "count")
    ]
    counted = [f"{name}_total" for name in COUNTERS]
    return {f"{PREFIX}{name}" for name in (*counted, *GAUGES, *of_histograms)}


def count(values: Mapping[str, float], run: str, role: str = "", stage: str = "") -> None:
    """Add to counters, or to a histogram; what is 0 adds nothing.

    Args:
        values: Name -> how many more.
        run: The run's id.
        role: Whose they are; nobody's in particular by default.
        stage: At what; of all stages together by default.
    """
    if not ray.is_initialized():  # a stage's body, called without a cluster
        return
    tags = {"run": run, "role": role, "stage": stage}
    for name, value in values.items():
        metric = _metric(name)
        if isinstance(metric, Histogram):
            metric.observe(value, tags)
        elif value > 0 and isinstance(metric, Counter):
            metric.inc(value, tags)


def show(values: Mapping[str, float | None], run: str, role: str = "", stage: str = "") -> None:
    """Set gauges; None leaves one as it is. Arguments as of `count`."""
    if not ray.is_initialized():
        return
    tags = {"run": run, "role": role, "stage": stage}
    for name, value in values.items():
        metric = _metric(name)
        if value is not None and isinstance(metric, Gauge):
            metric.set(value, tags)


@cache
def _metric(name: str) -> Metric:
    if name in COUNTERS:
        return Counter(name, COUNTERS[name], TAGS)
    if name in GAUGES:
        return Gauge(name, GAUGES[name], TAGS)
    return Histogram(name, PART_SECONDS[name], BOUNDARIES, TAGS)
