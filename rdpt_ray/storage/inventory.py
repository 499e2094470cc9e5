"""How large files of a store are, and when they were last changed."""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.remote import remote_faults, said

_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")
"""Where file systems say when a file was last changed (local, S3, GCS and Azure, memory)."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a file system says of a file for nothing."""

    size: int
    """Bytes."""
    changed: float | None
    """Seconds since 1970, by the clock of whoever keeps the file; None if it does not say."""


def inventory(root: Root, names: Collection[str], folder: str = "") -> dict[str, StoredFile]:
    """Sizes and times of files; those that are gone by now are left out.

    Args:
        root: The store.
        names: The files.
        folder: One that they all lie below.

    Raises:
        StoreError: if the folder cannot be listed.
    """
    fs = fsspec.core.url_to_fs(root.uri)[0]
    found: dict[str, StoredFile] = {}
    try:
        if isinstance(fs, LocalFileSystem):
            for name in names:
                with suppress(FileNotFoundError):
                    told = os.stat(root.path(name))
                    found[name] = StoredFile(told.st_size, told.st_mtime)
            return found
        fs.invalidate_cache()
        listed: dict[str, Any] = fs.find(root.path(folder), detail=True)
    except remote_faults() as error:
        raise StoreError(f"{root.show(folder)}: cannot be listed: {said(error)}") from error
    for name in names:
        told = listed.get(root.path(name))
        if told is not None:
            found[name] = StoredFile(int(told.get("size") or 0), _changed(told))
    return found


def _changed(told: dict[str, Any]) -> float | None:
    value = next((told[key] for key in _CHANGED if told.get(key)), None)
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None
