"""How much each row of an Arrow array holds, counted before it is made: few bytes can stand for gigabytes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

_VALUE_BYTES = 8
"""What a number, an object, a list and each entry of a list count as, beside the text in them."""


def row_sizes(array: pa.Array) -> np.ndarray:
    """Bytes of text in each row, and 8 for every value.

    A text that a dictionary holds once counts each time it is used, because that is what it becomes.

    Args:
        array: Any type.

    Returns:
        int64 [rows].
    """
    if isinstance(array, pa.ExtensionArray):
        return row_sizes(array.storage)
    if isinstance(array, pa.DictionaryArray):
        return _used(row_sizes(array.dictionary), array.indices)
    sizes = np.full(len(array), _VALUE_BYTES, np.int64)
    if isinstance(array, pa.StructArray):
        return sum((row_sizes(field) for field in array.flatten()), sizes)
    if _is_text(array.type):
        return sizes + _lengths(array)
    if (edges := _edges(array)) is not None:
        starts, ends = edges
        below = np.concatenate([[0], np.cumsum(row_sizes(array.values))])
        return sizes + below[ends] - below[starts]
    return sizes


def _used(each: np.ndarray, indices: pa.Array) -> np.ndarray:
    if not len(each):
        return np.full(len(indices), _VALUE_BYTES, np.int64)
    return each[indices.fill_null(0).to_numpy(zero_copy_only=False)]


def _edges(array: pa.Array) -> tuple[np.ndarray, np.ndarray] | None:
    """Where each list begins and ends in its array's `values`; None for what is no list."""
    kind = array.type
    if types.is_fixed_size_list(kind):
        starts = (array.offset + np.arange(len(array), dtype=np.int64)) * kind.list_size
        return starts, starts + kind.list_size
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        starts = array.offsets.to_numpy()
        return starts, starts + array.sizes.to_numpy()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        offsets = array.offsets.to_numpy()
        return offsets[:-1], offsets[1:]
    return None


def _is_text(kind: pa.DataType) -> bool:
    return (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or _is_view(kind)
    )


def _is_view(kind: pa.DataType) -> bool:
    return types.is_string_view(kind) or types.is_binary_view(kind)


def _lengths(array: pa.Array) -> np.ndarray:
    if _is_view(array.type):  # 16 bytes each, of which the first four are the length
        views = np.frombuffer(array.buffers()[1], np.int32)[::4]
        lengths = views[array.offset : array.offset + len(array)]
        return np.where(array.is_null().to_numpy(zero_copy_only=False), 0, lengths)
    lengths = pc.call_function("binary_length", [array])
    return lengths.fill_null(0).to_numpy(zero_copy_only=False)
