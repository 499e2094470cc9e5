"""Anything that JSON or Arrow can hold -> one canonical JSON text, so that equal values are equal bytes."""

import json
import math
from collections.abc import Iterable
from typing import Any

from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.identity import encode_text

MAX_DEPTH = 100
"""Of arrays and objects in each other. Python's own limit counts the callers too, so that it would depend on
who reads a row whether it is a trace; Arrow's for Parquet is 100 as well."""


def is_too_deep(value: Any) -> bool:
    """Whether arrays and objects lie in each other more than `MAX_DEPTH` deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [entry for entry in level if isinstance(entry, list | dict)]
        if not level:
            return False
        level = [entry for inner in level for entry in _entries(inner)]
    return True


def dump_json(value: Any, column: str) -> str | None:
    """A value as canonical JSON; None stays None.

    Keys are sorted, nothing is escaped that need not be, no spaces. NaN and infinities become null;
    times are ISO 8601, bytes hexadecimal, decimals and others as Python prints them.

    Raises:
        Fault: `too_deep`, or `invalid_unicode` for a lone surrogate.
    """
    if value is None:
        return None
    try:
        try:
            text = _dump(value)
        except ValueError:  # a NaN, which is how pandas writes an empty cell
            text = _dump(_finite(value))
    except RecursionError:
        raise Fault("too_deep", column) from None
    encode_text(text, column)
    return text


def _entries(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _dump(value: Any) -> str:
    return json.dumps(
        value,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=_plain,
    )


def _plain(value: Any) -> str:
    """What Arrow has and JSON has not: times, decimals, bytes."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
