"""Whole files or none where there are folders: local disks, NFS and what is mounted like them.

A file is written beside its final name, flushed to disk, and given that name in one step. After a crash the
name holds the old bytes or the new ones; what may be left over begins with "." and ends with ".tmp".

A network file system may do what it was asked and lose the answer; its client asks again, and is told that
the temporary file is gone (by its own rename) or that the name is taken (by its own link). So after an
error it is looked up whether the name stands for the file that was written.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What `link` says on FAT, on some FUSE mounts and at its limit."""

_NO_FOLDER_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
"""What `fsync` says of a folder on CIFS, on some NFS and FUSE mounts."""


def replace(path: str, data: bytes) -> None:
    """Make a file appear, whole, replacing one of the same name.

    Raises:
        OSError: if it cannot be written; the name then holds what it held before.
    """
    with _written_beside(path, data) as (temporary, written):
        try:
            os.replace(temporary, path)
        except OSError:
            if not _is(path, written):
                raise
    _flush_folder(os.path.dirname(path))


def create(path: str, data: bytes) -> bool:
    """Make a file appear, whole, unless there is one of the same name.

    Returns:
        Whether this call made it.

    Raises:
        OSError: if it cannot be written and none of this name is there.
    """
    with _written_beside(path, data) as (temporary, written):
        try:
            os.link(temporary, path)
        except OSError as error:
            if _is(path, written):
                pass
            elif isinstance(error, FileExistsError):
                return False
            elif error.errno not in _NO_HARD_LINKS:
                raise
            elif not _claim(path):
                return False
            else:
                os.replace(temporary, path)
    _flush_folder(os.path.dirname(path))
    return True


def _is(path: str, written: os.stat_result) -> bool:
    """Whether a name stands for the file that was written."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), written)
    return False


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
def _written_beside(path: str, data: bytes) -> Iterator[tuple[str, os.stat_result]]:
    """A flushed temporary file with these bytes in the folder of `path`; gone after the block."""
    folder, name = os.path.split(path)
    _make_folder(folder)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            written = os.fstat(file.fileno())
        yield temporary, written
    finally:
        with suppress(
            OSError
        ):  # mostly gone by now; what cannot be removed is found by the sweeper
            os.unlink(temporary)


def _make_folder(folder: str) -> None:
    """Make a folder and those above it, each to outlive a power cut."""
    if not os.path.isdir(folder):
        parent = os.path.dirname(folder)
        _make_folder(parent)
        with suppress(FileExistsError):
            os.mkdir(folder)
        _flush_folder(parent)


def _flush_folder(folder: str) -> None:
    """Make the names in a folder outlive a power cut, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
    finally:
        os.close(descriptor)
