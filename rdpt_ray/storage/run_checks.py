"""Whether a run's tables are those that its manifest counts."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rdpt_ray.storage.damage import ABSENT, Damage, Finding, damages, parsed_table
from rdpt_ray.storage.drops import DROPS
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.run_records import RunRecord
from rdpt_ray.storage.runs import INGESTED, MANIFEST, REPORT
from rdpt_ray.storage.schemas import PROVENANCE, QUARANTINE, ROWS, SELECTED
from rdpt_ray.storage.trace_checks import check_buckets, check_content, num_items

TABLES = {
    "rows": ROWS,
    "selected": SELECTED,
    "rejected": SELECTED,
    "quarantine": QUARANTINE,
    "provenance": PROVENANCE,
}
"""Folder of a run -> the schema of its files."""

COUNTED = {
    "rows": "rows_read",
    "selected": "selected",
    "rejected": "rejected",
    "quarantine": "quarantined",
}
"""Folder of a run -> its rows in the manifest's counts."""


def check_run_file(
    root: Root, name: str, files: Mapping[str, Any], num_buckets: int | None
) -> tuple[int | None, list[Damage]]:
    """Whether one of a run's tables can be what it was written as.

    Args:
        root: The store.
        name: The file, in the folder of a run.
        files: What the manifest says of files; may be empty.
        num_buckets: Of the dataset, if known.

    Returns:
        How many rows it has, None if that cannot be said, and what is wrong.

    Raises:
        StoreError: if it cannot be read.
    """
    _, _, inner = name.split("/", 2)
    content = root.read_bytes(name)
    findings = _check_sum(content, files.get(inner))
    folder, _, last = inner.rpartition("/")
    schema = TABLES.get(folder, DROPS if folder.startswith("drops/") else None)
    if schema is None or not last.endswith(".parquet"):
        return None, damages(name, findings)
    table, more = parsed_table(content, schema)
    if table is not None:
        bucket = last.removeprefix("bucket=").removesuffix(".parquet")
        number = int(bucket) if bucket.isdigit() else -1
        more = _check_rows(table, folder, number, num_buckets)
    rows = None if table is None else table.num_rows
    return rows, damages(name, [*findings, *more])


def _check_sum(content: bytes, told: Any) -> list[Finding]:
    if not isinstance(told, dict) or "sha256" not in told:
        return []
    actual = hashlib.sha256(content).hexdigest()
    if actual == told["sha256"]:
        return []
    return [
        (
            f"sha256 {told['sha256']}, {told.get('bytes')} bytes, as the manifest says",
            f"{actual}, {len(content)} bytes",
        )
    ]


def _check_rows(
    table: pa.Table, folder: str, bucket: int, num_buckets: int | None
) -> list[Finding]:
    if folder in ("selected", "rejected"):
        chosen = table.column("selected").to_pylist()
        if any(each is not (folder == "selected") for each in chosen):
            return [(f"{folder} traces only", "another")]
        return check_content(table) or check_buckets(table, bucket, num_buckets)
    if folder == "provenance":
        return _check_provenance(table) or check_buckets(table, bucket, num_buckets)
    return []


def _check_provenance(table: pa.Table) -> list[Finding]:
    counts = num_items(table.column("sentences").combine_chunks())
    for name in ("provenance", "teacher_prob", "student_prob", "distilled_prob"):
        column = table.column(name).combine_chunks()
        there = column.is_valid().to_numpy(zero_copy_only=False)
        if (num_items(column)[there] != counts[there]).any():
            return [(f"as many entries of {name} as sentences", "another number")]
        if name == "provenance":
            continue
        values = column.flatten()
        outside = [pc.call_function("less", [values, 0.0])]
        outside.append(pc.call_function("greater", [values, 1.0]))
        if any(pc.call_function("any", [each]).as_py() for each in outside):
            return [(f"probabilities in {name}", "a number outside 0 to 1")]
    return []


def check_run(run: RunRecord, names: Collection[str], rows: Mapping[str, int]) -> list[Damage]:
    """Whether a run's files are all there and add up.

    Args:
        run: Which one; its JSON files that are damaged are told in it.
        names: All files of the store.
        rows: File of a run -> its rows, of those that can be read.
    """
    expected = dict.fromkeys(_tables_of(run), "a table of every bucket of the run")
    if run.is_finished and run.selects:
        expected[f"{run.folder}/{REPORT}"] = "the report of a finished run"
    for name in (run.manifest or {}).get("files") or {}:
        expected.setdefault(f"{run.folder}/{name}", "the file, as the manifest says")
    missing = sorted(expected.keys() - set(names))
    found = [each for name in missing for each in damages(name, [(expected[name], ABSENT)])]
    found += _check_drops(run, rows)
    wrong = [each for told in run.ingested or [] for each in _check_bucket(run, told, rows)]
    if run.manifest is not None and run.selects and not wrong:  # else the manifest is not to blame
        wrong = damages(f"{run.folder}/{MANIFEST}", _check_counts(run, run.manifest, rows))
    return found + wrong


def _tables_of(run: RunRecord) -> list[str]:
    """The tables that a run must have by now."""
    folders = TABLES if run.is_finished else ("rows",)
    found = [
        _table(run, folder, each["bucket"]) for folder in folders for each in run.ingested or []
    ]
    for reason, buckets in run.drops.items():
        found += [f"{run.folder}/drops/{reason}/bucket={int(each):04d}.parquet" for each in buckets]
    return found


def _table(run: RunRecord, folder: str, bucket: int) -> str:
    return f"{run.folder}/{folder}/bucket={bucket:04d}.parquet"


def _check_bucket(run: RunRecord, told: Mapping[str, Any], rows: Mapping[str, int]) -> list[Damage]:
    """Whether the rows of a bucket's tables add up to what ingestion read."""
    bucket, num_rows, num_faults = told["bucket"], told["num_rows"], told["num_faults"]
    num_traces = sum(told["parts"].values())
    if num_traces + num_faults != num_rows:
        expected = f"{num_rows} rows of bucket {bucket} as traces and faults"
        return damages(f"{run.folder}/{INGESTED}", [(expected, f"{num_traces} and {num_faults}")])
    files = {folder: _table(run, folder, bucket) for folder in TABLES}
    counts = {folder: rows[name] for folder, name in files.items() if name in rows}
    if counts.get("rows", num_rows) != num_rows:
        found = str(counts["rows"])
        return damages(files["rows"], [(f"{num_rows} rows, as ingested", found)])
    if run.manifest is None or len(counts) < len(TABLES):
        return []
    chosen = counts["selected"] + counts["rejected"]
    if chosen + counts["quarantine"] != num_rows:
        expected = f"{num_rows} rows of bucket {bucket} selected, rejected or quarantined"
        found = " + ".join(str(counts[name]) for name in ("selected", "rejected", "quarantine"))
        return damages(files["selected"], [(expected, found)])
    if counts["provenance"] != chosen:
        found = str(counts["provenance"])
        return damages(files["provenance"], [(f"{chosen} rows, one per trace", found)])
    return []


def _check_counts(
    run: RunRecord, manifest: Mapping[str, Any], rows: Mapping[str, int]
) -> list[Finding]:
    """Whether the manifest counts what the tables hold."""
    counts, summary = manifest["counts"], manifest["summary"]
    for name, value in counts.items():
        if summary.get(name) != value:
            return [(f"{name} {summary.get(name)}, as in the summary", str(value))]
    numbers = [counts.get(name) for name in COUNTED.values()]
    if not all(isinstance(each, int) for each in numbers):
        return [(f"counts of {', '.join(COUNTED.values())}", str(counts))]
    if numbers[0] != sum(numbers[1:]):
        return [("rows_read = selected + rejected + quarantined", " ".join(map(str, numbers)))]
    findings: list[Finding] = []
    for folder, name in COUNTED.items():
        files = [_table(run, folder, each["bucket"]) for each in run.ingested or []]
        if files and all(file in rows for file in files):
            total = sum(rows[file] for file in files)
            if total != counts[name]:
                findings.append((f"{name} {total}, the rows of {folder}/", str(counts[name])))
    return findings


def _check_drops(run: RunRecord, rows: Mapping[str, int]) -> list[Damage]:
    """Whether there are as many dropped traces as were found."""
    found: list[Damage] = []
    for reason, buckets in run.drops.items():
        for bucket, told in buckets.items():
            name = f"{run.folder}/drops/{reason}/bucket={int(bucket):04d}.parquet"
            if rows.get(name, told) != told:
                found += damages(name, [(f"{told} rows, as in index.json", str(rows[name]))])
    return found
