"""Anything that JSON or Arrow can hold -> one canonical JSON text, so that equal values are equal bytes."""

import json
import math
from typing import Any

from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.identity import encode_text


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
