"""What a run says of the traces in a bucket, and which of them may be selected at all."""

from dataclasses import dataclass
from typing import Any

from rdpt_ray.selection_config import FiltersConfig
from rdpt_ray.storage.files import Root


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where a run's facts of its traces lie; the same for every bucket."""

    store: Root
    run: str
    """The run's folder, relative to the store."""

    def rows(self, bucket: int) -> list[dict[str, Any]]:
        """One row per input row of a bucket, faults included, schema ROWS."""
        return self.store.read_table(f"{self.run}/rows/bucket={bucket:04d}.parquet").to_pylist()

    def traces(self, bucket: int) -> dict[str, dict[str, Any]]:
        """trace_id -> its row, of those that became a trace."""
        return {row["trace_id"]: row for row in self.rows(bucket) if row["reason"] is None}


def failed_filter(row: dict[str, Any], num_chars: int, filters: FiltersConfig) -> str | None:
    """The first filter that a trace fails, as its drop_reason.

    Args:
        row: What the run's ledger says of it.
        num_chars: Characters of its response.
        filters: As configured.
    """
    checks = [
        ("complete", filters.complete is None or row["complete"] is filters.complete),
        ("correct", filters.correct is None or row["correct"] is filters.correct),
        ("min_chars", filters.min_chars is None or num_chars >= filters.min_chars),
        ("max_chars", filters.max_chars is None or num_chars <= filters.max_chars),
        ("licenses", filters.licenses is None or row["license"] in filters.licenses),
    ]
    return next((f"filter: {name}" for name, passes in checks if not passes), None)
