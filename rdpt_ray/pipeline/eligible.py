"""What a run says of the traces in a bucket, and which of them may be selected at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rdpt_ray.method.verifiers import verifier_id
from rdpt_ray.selection_config import FiltersConfig, VerifyConfig
from rdpt_ray.storage.drops import read_drops
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.verified import read_verified, references

Row = dict[str, Any]
"""One row of a run's ledger, schema ROWS."""

Drops = dict[str, tuple[str, str]]
"""trace_id -> why it is dropped because of other texts, and which."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where a run's facts of its traces lie; the same for every bucket."""

    store: Root
    run: str
    """The run's folder, relative to the store."""
    verify: VerifyConfig | None = None
    """How answers were verified, if they were."""

    def rows(self, bucket: int) -> list[Row]:
        """One row per input row of a bucket, faults included."""
        return self.store.read_table(f"{self.run}/rows/bucket={bucket:04d}.parquet").to_pylist()

    def traces(self, bucket: int) -> dict[str, Row]:
        """trace_id -> its row, of those that became a trace."""
        return {row["trace_id"]: row for row in self.rows(bucket) if row["reason"] is None}

    def with_verdicts(
        self, rows: dict[str, Row], part_key: str, trace_ids: Sequence[str]
    ) -> dict[str, Row]:
        """The rows of a part's traces, `correct` as verification found it where it could tell.

        Args:
            rows: The bucket's.
            part_key: Which part.
            trace_ids: All traces of the part, those of other runs too.
        """
        own = {trace_id: rows[trace_id] for trace_id in trace_ids if trace_id in rows}
        if self.verify is None:
            return own
        due = references(own.values(), overwrite=self.verify.overwrite)
        if not due:
            return own
        told = read_verified(self.store, verifier_id(self.verify.method), part_key, due)
        return {
            trace_id: {**row, "correct": told.get(trace_id, row["correct"])}
            for trace_id, row in own.items()
        }

    def drops(self, bucket: int) -> Drops:
        """The traces of a bucket that are dropped because of other texts."""
        return read_drops(self.store, self.run, bucket)


def drop_reason(row: Row, num_chars: int, filters: FiltersConfig, drops: Drops) -> str | None:
    """Why a trace may not be selected, before any policy; None if it may.

    Args:
        row: What the run's ledger says of it.
        num_chars: Characters of its response.
        filters: As configured.
        drops: What was dropped because of other texts.
    """
    found = drops.get(row["trace_id"])
    return failed_filter(row, num_chars, filters) or (found[0] if found else None)


def passes_filters(row: Row, num_chars: int, *, filters: FiltersConfig) -> bool:
    """Whether a trace passes every filter that looks at it alone."""
    return failed_filter(row, num_chars, filters) is None


def failed_filter(row: Row, num_chars: int, filters: FiltersConfig) -> str | None:
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
