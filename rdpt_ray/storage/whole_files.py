"""A file appears whole or not at all, on whatever file system.

- a disk, or what is mounted like one: written beside its name, then renamed (`local_files`)
- an object store: one put of finished bytes, which nobody sees before its end
- a server with folders (SFTP, FTP, HDFS, SMB): fsspec writes straight into the final name there, and a
  writer that dies leaves half a file. So it is written under another name and moved.

The third kind is known by two things: the file system takes fsspec's own `pipe_file`, which opens the name
for writing, and has a way of its own to move a file. Without the latter (the Hub) moving is copying, and
nothing would be won.
"""

import secrets
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rdpt_ray.storage import local_files
from rdpt_ray.storage.remote import is_precondition, may_pass, remote_faults


def replace(fs: Any, path: str, data: bytes) -> None:
    """Make a file appear, whole, replacing one of the same name."""
    if isinstance(fs, LocalFileSystem):
        local_files.replace(path, data)
    elif _is_written_in_place(fs):
        _move_in(fs, path, data)
    else:
        fs.pipe_file(path, data)


def create(fs: Any, path: str, data: bytes) -> bool:
    """Make a file appear, whole, unless there is one of the same name.

    Of two who try at the same moment, one succeeds on disks and on S3 and Google Cloud Storage; on other
    file systems, which have no such operation or do not offer it, both may.

    Returns:
        Whether this call made it.
    """
    if isinstance(fs, LocalFileSystem):
        return local_files.create(path, data)
    if _is_written_in_place(fs):
        if _size(fs, path) is not None:
            return False
        _move_in(fs, path, data)
        return True
    try:
        fs.pipe_file(path, data, mode="create")
    except remote_faults() as error:
        if not is_precondition(error):
            raise
        return _holds(fs, path, data)
    return True


def _holds(fs: Any, path: str, data: bytes) -> bool:
    """Whether the file that is there already is ours: its put was answered, and the answer lost."""
    try:
        return fs.cat_file(path) == data
    except FileNotFoundError:
        return False


def _is_written_in_place(fs: Any) -> bool:
    if fs.async_impl:
        return False
    plain = fsspec.AbstractFileSystem
    return type(fs).pipe_file is plain.pipe_file and type(fs).mv is not plain.mv


def _move_in(fs: Any, path: str, data: bytes) -> None:
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{secrets.token_hex(8)}.tmp"
    fs.makedirs(folder, exist_ok=True)
    try:
        fs.pipe_file(temporary, data)
        _check_size(fs, temporary, data)
        _move(fs, temporary, path)
        _check_size(fs, path, data)
    except BaseException:
        _drop(fs, temporary)
        raise


def _move(fs: Any, temporary: str, path: str) -> None:
    """Move a file over another one; where the server does not replace, the name is free for a moment."""
    try:
        fs.mv(temporary, path)
    except remote_faults() as error:
        if _size(fs, temporary) is None:
            return  # it was moved, and the answer lost
        if may_pass(error) or _size(fs, path) is None:
            raise
    if _size(fs, temporary) is not None:  # WebHDFS does not even say that it refused
        fs.rm_file(path)
        fs.mv(temporary, path)


def _check_size(fs: Any, path: str, data: bytes) -> None:
    size = _size(fs, path)
    if size != len(data):
        raise OSError(f"{len(data)} bytes were sent, {size or 0} arrived")


def _size(fs: Any, path: str) -> int | None:
    """Bytes of a file; None if it is not there."""
    try:
        return fs.info(path)["size"]
    except FileNotFoundError:
        return None


def _drop(fs: Any, path: str) -> None:
    """Remove what is of no use; if that fails too, the sweeper finds it."""
    try:
        fs.rm_file(path)
    except remote_faults():
        pass
