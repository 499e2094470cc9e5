"""A small finished run of the miniature's own traces, made without a model, and configs to learn from it."""

from rdpt_ray.config import parse_config
from tests.pipeline.conftest import MINIATURE, miniature_rows
from tests.publish.finished_run import candidate, finished_run


def learnable_run(folder, num_traces=40):
    """A run that selected one of each four traces."""
    rows = []
    for row in miniature_rows(0, num_traces):
        reasoning, _, answer = row["response"].partition("</think>")
        reasoning = reasoning.removeprefix("<think>").strip()
        rows.append(candidate(row["prompt"], reasoning, answer.strip()))
    return finished_run(folder, rows)


def config_of(run, to, **distill):
    """A config whose student learns from a run."""
    return parse_config(
        {
            "name": "small",
            "input": {"path": str(MINIATURE / "traces.parquet")},
            "models": {role: {"model": str(MINIATURE / role)} for role in ("teacher", "student")},
            "store": str(to.parent / "store"),
            "distill": {
                "to": str(to),
                "data": None if run is None else run.uri,
                "epochs": 2,
                "learning_rate": 1.5e-3,
                "batch_size": 4,
                **distill,
            },
        }
    )
