"""Whether scores are possible ones, and about the traces that they should be about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rdpt_ray.method.pruning import PRUNED
from rdpt_ray.storage.damage import Finding
from rdpt_ray.storage.trace_checks import num_items

NEEDED = ("sum_logprob", "num_tokens", "first_logprob")
"""Lists that every trace without an error has."""

MAX_PER_TOKEN = {"sum_rank": 100.0, "sum_brier": 2.0}
"""The most that one token can add to a signal."""

_ROUNDING = 1e-4
"""How far outside its bounds a token's signal can be: a Brier score of 0 comes as -6e-8."""


@dataclass(frozen=True, slots=True)
class PartShape:
    """What scores are checked against."""

    trace_ids: list[str]
    num_sentences: NDArray[np.int64]
    """[traces]"""
    num_chars: NDArray[np.int64]
    """[traces] of the response."""


def shape_of(traces: pa.Table) -> PartShape:
    """The shape of a part.

    Args:
        traces: With the columns trace_id, sentences and response.
    """
    chars = pc.call_function("utf8_length", [traces.column("response")]).to_numpy()
    return PartShape(
        traces.column("trace_id").to_pylist(),
        num_items(traces.column("sentences").combine_chunks()),
        chars.astype(np.int64),
    )


def check_score_rows(
    table: pa.Table, shape: PartShape | None, *, is_whole: bool, signals: Sequence[str] | None
) -> list[Finding]:
    """Whether a model's scores are about a part, and such as a model can give.

    Args:
        table: Rows of the schema SCORES.
        shape: The part's; None: unknown, then only what needs no part is looked at.
        is_whole: Whether every trace of the part must be there, in order, and read to its end.
        signals: What the model measures beside log-probabilities; None: unknown.
    """
    findings = [*check_traces(table, shape, is_whole=is_whole), *_check_errors(table, is_whole)]
    for name in (*NEEDED, *MAX_PER_TOKEN):
        findings += _check_list(table, name, shape)
    for name, signal in (("sum_rank", "rank"), ("sum_brier", "brier")):
        findings += _check_signal(table, name, signals, signal)
    return findings or _check_numbers(table)


def check_traces(table: pa.Table, shape: PartShape | None, *, is_whole: bool) -> list[Finding]:
    """Whether rows are about a part's traces: all of them in order, or each of them at most once."""
    ids = table.column("trace_id").to_pylist()
    if len(set(ids)) < len(ids) or None in ids:
        return [("no trace twice, and none without an id", f"{len(ids)} rows, {len(set(ids))} ids")]
    if shape is None or (ids == shape.trace_ids if is_whole else set(ids) <= set(shape.trace_ids)):
        return []
    expected = f"the {len(shape.trace_ids)} traces of its part"
    strangers = sorted(set(ids) - set(shape.trace_ids))
    if strangers:
        return [(expected, f"{len(strangers)} of {len(ids)} rows are others, {strangers[0]}")]
    return [(f"{expected}, in their order", f"{len(ids)} of them, or another order")]


def _check_errors(table: pa.Table, is_whole: bool) -> list[Finding]:
    errors = [error for error in table.column("error").to_pylist() if error is not None]
    findings = [("an error as code: detail", error) for error in errors if ": " not in error][:1]
    if is_whole and any(_is_pruned(error) for error in errors):
        findings.append(("every trace read to its end", f"an error {PRUNED}"))
    return findings


def _is_pruned(error: str | None) -> bool:
    return error is not None and error.startswith(f"{PRUNED}:")


def _check_list(table: pa.Table, name: str, shape: PartShape | None) -> list[Finding]:
    """A list is there where it must be, is not where it must not, and has an entry per sentence."""
    column = table.column(name).combine_chunks()
    there = column.is_valid().to_numpy(zero_copy_only=False)
    errors = table.column("error").to_pylist()
    fine = np.array([error is None for error in errors], bool)
    failed = np.array([error is not None and not _is_pruned(error) for error in errors], bool)
    if name in NEEDED and (missing := fine & ~there).any():
        return [(f"a list {name} for a trace without an error", f"null in {_row(missing)}")]
    if (extra := failed & there).any():
        return [(f"no list {name} beside an error", f"one in {_row(extra)}")]
    if shape is None:
        return []
    of_trace = dict(zip(shape.trace_ids, shape.num_sentences.tolist(), strict=True))
    expected = np.array([of_trace.get(each, -1) for each in table.column("trace_id").to_pylist()])
    counts = num_items(column)
    wrong = there & (expected >= 0) & (counts != expected)
    if not wrong.any():
        return []
    row = int(np.flatnonzero(wrong)[0])
    return [(f"{expected[row]} entries of {name} in row {row}, one per sentence", str(counts[row]))]


def _check_signal(
    table: pa.Table, name: str, signals: Sequence[str] | None, signal: str
) -> list[Finding]:
    if signals is None:
        return []
    fine = table.filter(pc.call_function("is_null", [table.column("error")])).column(name)
    if signal in signals and fine.null_count:
        return [(f"{name} of every trace, since the model measures it", f"{fine.null_count} nulls")]
    if signal not in signals and fine.null_count < len(fine):
        return [(f"no {name}, since the model does not measure it", "some")]
    return []


def _check_numbers(table: pa.Table) -> list[Finding]:
    """Entry by entry. Rows have all needed lists or none by now."""
    sums, tokens, first = (_entries(table, name) for name in NEEDED)
    if not len(sums) == len(tokens) == len(first):
        return [("lists of the same lengths", f"{len(sums)}, {len(tokens)}, {len(first)} entries")]
    given_up = np.array([_is_pruned(each) for each in table.column("error").to_pylist()], bool)
    pruned = np.repeat(given_up, num_items(table.column("num_tokens").combine_chunks()))
    if (np.isnan(tokens) & ~pruned).any() or (tokens < 0).any():
        return [("a number of tokens for every sentence", "a null or negative one")]
    findings: list[Finding] = []
    for name, values in (("sum_logprob", sums), ("first_logprob", first)):
        impossible = values[(values > 0) | np.isinf(values)]
        if (np.isnan(values) == (tokens > 0)).any():
            findings.append((f"null in {name} exactly where a sentence has no token", "otherwise"))
        elif len(impossible):
            findings.append(
                (f"finite log-probabilities of at most 0 in {name}", str(impossible[0]))
            )
    if not findings and (sums > first).any():
        findings.append(("a sum_logprob of at most its first_logprob", "a larger one"))
    return findings + [each for name in MAX_PER_TOKEN for each in _check_bounds(table, name)]


def _check_bounds(table: pa.Table, name: str) -> list[Finding]:
    """A signal's sums, of the traces that have some."""
    rows = table.filter(table.column(name).is_valid())
    tokens, values = _entries(rows, "num_tokens"), _entries(rows, name)
    if len(tokens) != len(values) or (np.isnan(values) == (tokens > 0)).any():
        return [(f"null in {name} exactly where a sentence has no token", "otherwise")]
    most = MAX_PER_TOKEN[name]
    if (values < -_ROUNDING * tokens).any() or (values > (most + _ROUNDING) * tokens).any():
        return [(f"{name} from 0 to {most:g} a token", "another number")]
    return []


def _entries(table: pa.Table, name: str) -> NDArray[np.float64]:
    """All entries of a list column, NaN for null."""
    values: Any = table.column(name).combine_chunks().flatten()
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _row(where: NDArray[np.bool_]) -> str:
    return f"row {int(np.flatnonzero(where)[0])}"
