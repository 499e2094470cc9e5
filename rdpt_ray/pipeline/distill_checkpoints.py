"""Checkpoints of a training, as Ray Train uploads them: which are whole, and which of them is the newest.

Ray Train keeps a list of its own, which it does not write at once and does not read back under another
version. So a training looks at what lies there.
"""

import re
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FSSpecHandler, PyFileSystem
from ray.train import Checkpoint

from rdpt_ray.storage.files import Root

COMPLETE = "complete.json"
"""In a checkpoint's folder, written when all of it is there."""

SNAPSHOT = "checkpoint_manager_snapshot.json"
"""Ray Train's own list."""

_NAME = re.compile(r"step-\d{8}-[0-9a-f]+")


def checkpoint_name(step: int, start: str) -> str:
    """The folder of a checkpoint.

    Args:
        step: After which it was taken.
        start: Names the start of the workers, which may come by the same step again.
    """
    return f"step-{step:08d}-{start}"


def newest(checkpoints: Root) -> str | None:
    """The name of the last checkpoint that is whole; None if there is none."""
    folders = [name.rpartition("/") for name in checkpoints.names("")]
    return max(
        (folder for folder, _, file in folders if file == COMPLETE and _NAME.fullmatch(folder)),
        default=None,
    )


def clear_older(checkpoints: Root) -> None:
    """Delete what earlier starts left, but for the last that is whole."""
    kept = newest(checkpoints)
    checkpoints.delete(SNAPSHOT)
    for name in checkpoints.names(""):
        folder = name.partition("/")[0]
        if _NAME.fullmatch(folder) and folder != kept:
            checkpoints.delete(name)


def as_checkpoint(checkpoints: Root, name: str) -> Checkpoint:
    """A checkpoint as Ray Train has it."""
    return Checkpoint(checkpoints.path(name), file_system_of(checkpoints))


def file_system_of(root: Root) -> Any:
    """The file system of a folder, as Ray Train takes it; None for this machine's own."""
    fs = fsspec.core.url_to_fs(root.uri)[0]
    return None if isinstance(fs, LocalFileSystem) else PyFileSystem(FSSpecHandler(fs))
