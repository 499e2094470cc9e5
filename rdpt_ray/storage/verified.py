"""Whether answers are right, as a verifier found: one table per part and set of reference answers.

    STORE/verified/<verifier-id>/<part-key>-<digest of the references>.parquet

The traces of a part never change, but what a run says their right answer is may; so the references are part
of the name, and another run with the same ones verifies nothing again.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from rdpt_ray.errors import DamagedError
from rdpt_ray.storage.files import Root

VERIFIED = pa.schema(
    [
        pa.field("trace_id", pa.string()),
        pa.field("correct", pa.bool_()),
        pa.field("detail", pa.string()),
    ]
)
"""One row per trace that was to be verified, by trace_id; `detail` says why `correct` is null."""

References = Mapping[str, str | None]
"""trace_id -> its reference answer, of traces to verify; null: the input gives none."""


def references(rows: Iterable[Mapping[str, Any]], *, overwrite: bool) -> dict[str, str | None]:
    """What there is to verify in a run's ledger.

    Args:
        rows: Of the schema ROWS.
        overwrite: Verify also what the input says itself.
    """
    return {
        row["trace_id"]: row["reference_answer"]
        for row in rows
        if row["reason"] is None and (overwrite or row["correct"] is None)
    }


def verified_name(verifier_id: str, part_key: str, wanted: References) -> str:
    """Where the verdicts on these traces of a part lie."""
    digest = hashlib.sha256()
    for trace_id, reference in sorted(wanted.items()):
        text = "-" if reference is None else f"+{reference}"
        digest.update(f"{trace_id}\0{len(text)}\0{text}\0".encode())
    return f"verified/{verifier_id}/{part_key}-{digest.hexdigest()[:16]}.parquet"


def is_of(told: bytes, verifier_id: str) -> bool:
    """Whether what a file says of its verifier is what the verifier's id hashes."""
    return verifier_id.endswith(f"-{hashlib.sha256(told).hexdigest()[:12]}")


def read_verdicts(root: Root, name: str, wanted: References) -> list[dict[str, Any]]:
    """The rows of one file, by trace_id.

    Raises:
        DamagedError: if it is unreadable or about other traces.
    """
    table = root.read_table(name)
    told = (table.schema.metadata or {}).get(b"verifier")
    if told is not None and not is_of(told, name.split("/")[1]):
        raise DamagedError(
            f"{root.show(name)}: expected verdicts of {name.split('/')[1]}, found those of"
            f" {told.decode('utf-8', 'replace')}; delete it and rerun to verify them again"
        )
    found = table.column("trace_id").to_pylist() if "trace_id" in table.schema.names else []
    if table.schema.names != VERIFIED.names or found != sorted(wanted):
        raise DamagedError(
            f"{root.show(name)}: its {table.num_rows} rows are not the {len(wanted)} traces to verify;"
            " delete it and rerun to verify them again"
        )
    return table.to_pylist()


def read_verified(
    root: Root, verifier_id: str, part_key: str, wanted: References
) -> dict[str, bool]:
    """The verdicts on a part's traces, of those that the verifier could tell.

    Args:
        root: The store.
        verifier_id: Whose verdicts.
        part_key: The part.
        wanted: `references`, of the traces that lie in the part and no others.

    Returns:
        trace_id -> whether its answer is right. What is missing stays as the input says.

    Raises:
        DamagedError: if they are not there, unreadable or about other traces.
    """
    if not wanted:
        return {}
    rows = read_verdicts(root, verified_name(verifier_id, part_key, wanted), wanted)
    return {row["trace_id"]: row["correct"] for row in rows if row["correct"] is not None}
