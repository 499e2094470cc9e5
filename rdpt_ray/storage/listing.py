"""What lies below a folder, or an error: a folder that cannot be listed is never an empty one.

fsspec walks a tree with every fault of a folder below the first left out, and looks up a bucket with every
fault taken for "not there". Both would make a job believe that its scores are gone.
"""

import os
from collections.abc import Iterator
from typing import Any

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem


def files_below(fs: Any, folder: str) -> Iterator[str]:
    """The paths of all files below a folder, in no order; none if there is no such folder.

    Raises:
        OSError, or what the file system raises: if it cannot list the folder or one in it.
    """
    if isinstance(fs, LocalFileSystem):
        return _walked(folder)
    if _walks_blindly(fs):
        return _descended(fs, folder)
    return _found(fs, folder)


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
