"""What lies below a folder, or an error: a folder that cannot be listed is never an empty one.

fsspec walks a tree with every fault of a folder below the first left out, and looks up a bucket with every
fault taken for "not there". Both would make a job believe that its scores are gone.
"""

import inspect
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem

AT_ONCE = 16
"""Slices of a folder that are listed at the same time."""


def files_below(fs: Any, folder: str, starts: Sequence[str] = ()) -> Iterator[str]:
    """The paths of all files below a folder, in no order; none if there is no such folder.

    An object store answers a listing a thousand names at a time, one after the other, and s3fs takes time
    with the square of the number of folders (16,000 of them: 7 s). Slices are listed at once.

    Args:
        fs: The file system.
        folder: Its path there.
        starts: Only names, as they go on behind the folder's, that begin with one of these; any by default.
            None of them may begin with another.

    Raises:
        OSError, or what the file system raises: if it cannot list the folder or one in it.
    """
    if starts and _knows_prefixes(fs):
        return _sliced(fs, folder, starts)
    found = _all_below(fs, folder)
    if not starts:
        return found
    wanted = tuple(f"{folder.rstrip('/')}/{start}" for start in starts)
    return (path for path in found if path.startswith(wanted))


def _all_below(fs: Any, folder: str) -> Iterator[str]:
    if isinstance(fs, LocalFileSystem):
        return _walked(folder)
    if _walks_blindly(fs):
        return _descended(fs, folder)
    return _found(fs, folder)


def _knows_prefixes(fs: Any) -> bool:
    """Whether the file system can be asked for the names that begin with something."""
    find = fs._find if fs.async_impl else fs.find
    return not _walks_blindly(fs) and "prefix" in inspect.signature(find).parameters


def _sliced(fs: Any, folder: str, starts: Sequence[str]) -> Iterator[str]:
    find = partial(_slice, fs, folder)
    if len(starts) == 1:
        yield from find(starts[0])
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for found in pool.map(find, starts):
            yield from found


def _slice(fs: Any, folder: str, start: str) -> list[str]:
    try:
        return fs.find(folder, prefix=start)
    except FileNotFoundError:
        return []


def infos_below(fs: Any, folder: str) -> dict[str, dict[str, Any]]:
    """The same, with what the file system says of each file."""
    if isinstance(fs, LocalFileSystem) or _walks_blindly(fs):
        return {path: fs.info(path) for path in files_below(fs, folder)}
    return fs.find(folder, detail=True)


def _walked(folder: str) -> Iterator[str]:
    for path, _, files in os.walk(folder, onerror=_unless_gone, followlinks=True):
        yield from (os.path.join(path, name) for name in files)


def _unless_gone(error: OSError) -> None:
    """A folder that another process removes meanwhile has nothing in it."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _walks_blindly(fs: Any) -> bool:
    """Whether the file system's own `find` is fsspec's walk from folder to folder."""
    find = type(fs)._find if fs.async_impl else type(fs).find
    return find in (fsspec.AbstractFileSystem.find, AsyncFileSystem._find)


def _descended(fs: Any, folder: str) -> Iterator[str]:
    try:
        entries = fs.ls(folder, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry["type"] != "directory":
            yield entry["name"]
        elif entry["name"].rstrip("/") != folder.rstrip("/"):
            yield from _descended(fs, entry["name"])


def _found(fs: Any, folder: str) -> Iterator[str]:
    try:
        yield from fs.find(folder)
    except FileNotFoundError:
        return
