"""What a file system says of a file, for nothing, that changes when its content does.

A local file has its inode, size, mtime and ctime. The ctime is what counts: the kernel sets it at every
change, also when somebody sets the mtime back, and nobody can set it themselves. Stamps are compared for
being equal, never for which is later, so a clock that goes backwards changes nothing. Elsewhere it is a
hash or version of the content, and the time of the last change.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from fsspec.implementations.local import LocalFileSystem

_TAGS = ("sha256", "ETag", "etag", "md5Hash", "content_md5", "blob_id", "xet_hash")
"""Where file systems put a hash or version of the content (Hub, S3, Azure, GCS, ..)."""

_TIMES = (
    "generation",
    "VersionId",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "mtime",
    "modify",
    "modificationTime",
    "created",
    "CRC",
)
"""Where they put when it was last changed, or which change it was (S3, Azure, HTTP, SFTP, FTP, zip, ..)."""

_TICK_NS = 20_000_000
"""Kernels before 6.13 stamp every change within a tick, of up to 10 ms, with the same time."""

_SECOND_NS = 1_000_000_000


def content_tag(info: Mapping[str, Any]) -> str:
    """A hash or version of the content, if the file system knows one for nothing."""
    lfs = info.get("lfs")
    values = {**info, **(lfs if isinstance(lfs, Mapping) else {})}
    for key in _TAGS:
        if values.get(key):
            return f"{key.lower()}:{str(values[key]).strip(chr(34))}"
    return ""


def fresh_info(fs: Any, path: str) -> dict[str, Any]:
    """What a file system says of a file now, not what a listing said of it."""
    fs.invalidate_cache()
    return fs.info(path)


def stamp(fs: Any, path: str) -> str:
    """The stamp of a file as it is now.

    Raises:
        OSError: or another of `remote_faults`, if it is gone or cannot be looked up.
    """
    if isinstance(fs, LocalFileSystem):
        return local_stamp(os.stat(path))
    return stamp_of(fresh_info(fs, path))


def stamp_of(info: Mapping[str, Any]) -> str:
    """The stamp of a file far away. Two calls of the same kind are comparable: a listing rounds times."""
    times = [f"{key}:{info[key]}" for key in _TIMES if info.get(key)]
    return " ".join([f"size:{info.get('size')}", content_tag(info), *times])


def local_stamp(found: os.stat_result) -> str:
    """The stamp of a local file, which any later change makes another one.

    It waits until the tick of the last change is over, which is so already unless the file is a few
    milliseconds old; or a second, where the file system counts in seconds.
    """
    tick = _TICK_NS if found.st_ctime_ns % _SECOND_NS else _SECOND_NS
    age = time.time_ns() - found.st_ctime_ns
    if 0 <= age < tick:
        time.sleep((tick - age) / _SECOND_NS)
    return f"inode:{found.st_ino} size:{found.st_size} mtime:{found.st_mtime_ns} ctime:{found.st_ctime_ns}"
