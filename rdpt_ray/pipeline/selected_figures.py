"""What a run selected, in numbers: traces, tokens, sentences, Teacher sentences."""

from dataclasses import dataclass, replace

import numpy as np

from rdpt_ray.pipeline.stored_columns import open_stored_run, stored_columns
from rdpt_ray.storage.runs import open_run

READ = ["trace_id", "num_sentences", "num_teacher"]


@dataclass(frozen=True, slots=True)
class SelectedFigures:
    """Sums over the selected traces of a run."""

    traces: int = 0
    tokens: int = 0
    """Of the responses, under the student's tokenizer: what a budget counts."""
    sentences: int = 0
    teacher: int = 0
    """Teacher sentences."""


def selected_figures(run: str) -> SelectedFigures:
    """Count a finished run's selected traces, a bucket at a time.

    Args:
        run: URI of its folder.

    Raises:
        StoreError: if it is no finished run, or a file of it is damaged.
    """
    store, folder, manifest = open_run(run)
    stored = open_stored_run(store, folder, manifest)
    total = SelectedFigures()
    for bucket in stored.buckets:
        name = f"{folder}/selected/bucket={bucket.bucket:04d}.parquet"
        chosen = store.read_table(name, columns=READ)
        ids = chosen.column("trace_id").to_pylist()
        tokens = 0
        for columns in stored_columns(replace(stored, buckets=[bucket])):
            of_trace = columns.per_trace(columns.roles["student"].tokens)
            tokens += int(of_trace[np.isin(columns.trace_ids, ids)].sum())
        total = SelectedFigures(
            traces=total.traces + len(ids),
            tokens=total.tokens + tokens,
            sentences=total.sentences + sum(chosen.column("num_sentences").to_pylist()),
            teacher=total.teacher + sum(chosen.column("num_teacher").to_pylist()),
        )
    return total
