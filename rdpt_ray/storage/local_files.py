"""Whole files or none where there are folders: local disks, NFS and what is mounted like them.

A file is written beside its final name, flushed to disk, and given that name in one step. After a crash the
name holds the old bytes or the new ones; what may be left over begins with "." and ends with ".tmp".
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What `link` says on FAT, on some FUSE mounts and at its limit."""


def replace(path: str, data: bytes) -> None:
    """Make a file appear, whole, replacing one of the same name.

    Raises:
        OSError: if it cannot be written; the name then holds what it held before.
    """
    with _written_beside(path, data) as temporary:
        os.replace(temporary, path)
    _flush_folder(os.path.dirname(path))


def create(path: str, data: bytes) -> bool:
    """Make a file appear, whole, unless there is one of the same name.

    Returns:
        Whether this call made it.

    Raises:
        OSError: if it cannot be written and none of this name is there.
    """
    with _written_beside(path, data) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            # An NFS server whose first answer was lost is asked again, and finds our own link there.
            if os.stat(temporary).st_nlink != 2:
                return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if not _claim(path):
                return False
            os.replace(temporary, path)
    _flush_folder(os.path.dirname(path))
    return True


def _claim(path: str) -> bool:
    """Take a name with an empty file; False if it is taken.

    For file systems without hard links: readers may see the empty file, but never a part of one.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


@contextmanager
def _written_beside(path: str, data: bytes) -> Iterator[str]:
    """A flushed temporary file with these bytes in the folder of `path`; gone after the block."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _flush_folder(folder: str) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
