"""What a table's footer says: rows, and how many of them have an error; a few ranges of it are read."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from rdpt_ray.storage.files import Root


@dataclass(frozen=True, slots=True)
class Footer:
    """Of a part, or of a model's scores of one."""

    rows: int = 0
    splitter: str | None = None
    """What cut a part's sentences."""
    errors: Counter[str] = field(default_factory=Counter[str])
    """Code -> rows with it."""


def read_footer(root: Root, name: str) -> Footer:
    """Read it.

    Args:
        root: The store.
        name: A part, or scores.

    Raises:
        StoreError, pyarrow.ArrowException, ValueError: if there is none that can be read.
    """
    with root.opened(name) as stream:
        file = pq.ParquetFile(stream)
        facts = file.metadata.metadata or {}
        splitter = facts.get(b"splitter")
        errors: Counter[str] = Counter()
        if not name.startswith("traces/") and _may_have_errors(file.metadata):
            column = file.read(columns=["error"], use_threads=False).column("error")
            codes = [error.partition(":")[0] for error in column.to_pylist() if error is not None]
            errors = Counter(codes)
        told = None if splitter is None else splitter.decode("utf-8", "replace")
        return Footer(file.metadata.num_rows, told, errors)


def _may_have_errors(metadata: Any) -> bool:
    """Whether a row has an error, as far as the footer knows."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        column = group.column(group.num_columns - 1)  # the last of the schema SCORES
        if column.path_in_schema != "error" or column.statistics is None:
            return True
        if column.statistics.null_count != group.num_rows:
            return True
    return False
