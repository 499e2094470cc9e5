"""Whether what else is derived from a part is about it: token scores, verdicts, records."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rdpt_ray.storage.damage import Finding
from rdpt_ray.storage.recorded import record_bucket
from rdpt_ray.storage.score_checks import PartShape, check_traces
from rdpt_ray.storage.trace_checks import num_items
from rdpt_ray.storage.verified import is_of

_NEEDED = ("starts", "ends", "logprobs")
_SIGNALS = ("ranks", "briers")


def check_token_rows(table: pa.Table, shape: PartShape | None) -> list[Finding]:
    """Whether token scores are possible ones, and about traces of a part.

    Args:
        table: Rows of the schema TOKENS.
        shape: The part's; None: unknown.
    """
    findings = check_traces(table, shape, is_whole=False)
    failed = table.column("error").combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    counts = num_items(table.column("starts").combine_chunks())
    for name in (*_NEEDED, *_SIGNALS):
        column = table.column(name).combine_chunks()
        there = column.is_valid().to_numpy(zero_copy_only=False)
        if (failed & there).any() or (name in _NEEDED and (~failed & ~there).any()):
            findings.append((f"{name} exactly where there is no error", "otherwise"))
        elif (num_items(column)[there] != counts[there]).any():
            findings.append((f"as many {name} as starts", "another number"))
        elif column.flatten().null_count:
            findings.append((f"no null in {name}", "one"))
    return findings or _check_token_numbers(table, shape)


def _check_token_numbers(table: pa.Table, shape: PartShape | None) -> list[Finding]:
    starts, ends, logprobs = (
        table.column(name).combine_chunks().flatten().to_numpy() for name in _NEEDED
    )
    findings: list[Finding] = []
    if not (np.isfinite(logprobs) & (logprobs <= 0)).all():
        findings.append(("finite log-probabilities of at most 0", "another number"))
    limit = np.full(len(ends), np.iinfo(np.int32).max)
    if shape is not None:
        of_trace = dict(zip(shape.trace_ids, shape.num_chars.tolist(), strict=True))
        lengths = [of_trace.get(each, 0) for each in table.column("trace_id").to_pylist()]
        limit = np.repeat(lengths, num_items(table.column("ends").combine_chunks()))
    if (starts < 0).any() or (starts > ends).any() or (ends > limit).any():
        findings.append(("tokens inside their responses", "one outside"))
    return findings


def check_verdict_rows(table: pa.Table, shape: PartShape | None, verifier_id: str) -> list[Finding]:
    """Whether verdicts are a verifier's, about traces of a part, and say why where they say nothing.

    Args:
        table: Rows of the schema VERIFIED, with what the file says about itself.
        shape: The part's; None: unknown.
        verifier_id: The folder's.
    """
    findings = check_traces(table, shape, is_whole=False)
    told = (table.schema.metadata or {}).get(b"verifier", b"")
    if not is_of(told, verifier_id):
        findings.append((f"verdicts of {verifier_id}", told.decode("utf-8", "replace")))
    ids = table.column("trace_id").to_pylist()
    if not findings and ids != sorted(ids):
        findings.append(("rows in the order of their trace_ids", "another order"))
    nothing = [pc.call_function("is_null", [table.column(name)]) for name in ("correct", "detail")]
    if pc.call_function("any", [pc.call_function("and", nothing)]).as_py():
        findings.append(("a detail where it is not known whether the answer is right", "none"))
    return findings


def check_record_rows(table: pa.Table, bucket: int, num_buckets: int | None) -> list[Finding]:
    """Whether records are sorted, each there once, in the bucket of its id.

    Args:
        table: Rows of the schema RECORDS.
        bucket: Where they lie.
        num_buckets: Of the recording; None: unknown.
    """
    ids = table.column("id").to_pylist()
    if None in ids or any(one >= other for one, other in pairwise(ids)):
        return [("records sorted by id, none twice", "otherwise")]
    if num_buckets is not None:
        for identity in ids:
            actual = record_bucket(identity, num_buckets)
            if actual != bucket:
                return [(f"records of bucket {bucket}", f"one of bucket {actual}")]
    return []
