"""One input file: what it was when listed, and how to open it.

A run's id is made of what its files held when they were listed, so rows of other bytes must never get into
the run. A file is compared with what was listed when it is opened, and again when its last byte was read:
its stamp (`storage.stamps`), which costs nothing; and where its sha256 is known and it was read from end to
end, as lines are, the sha256 of what was read.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rdpt_ray.errors import InputError
from rdpt_ray.storage.remote import reading, remote_faults, said
from rdpt_ray.storage.retrying import PATIENCE_S, patiently
from rdpt_ray.storage.stamps import content_tag, fresh_info, local_stamp, stamp, stamp_of

Format = Literal["parquet", "jsonl"]
Compression = Literal["gzip", "zstd"] | None

_SHA256 = "sha256:"


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file, as it was when listed.

    Attributes:
        index: Its position among the job's files, which are sorted by `uri`.
        uri: For people and output tables: as configured, without passwords and signatures.
        format: parquet or jsonl.
        compression: How a JSONL file is packed.
        size: Bytes.
        fingerprint: Changes when the content does: size, and a hash or version from the file
            system, or else the sha256 of the bytes.
        root: The configured path, which tells the file system and how to log in.
        path: The file in it.
        revision: The commit that a branch or tag of a repository stood for when listed; `root` and
            `path` hold it, so every worker reads that commit.
        stamp: What the file system said of it while its bytes were hashed; empty where the
            fingerprint is the file system's own.
    """

    index: int
    uri: str
    format: Format
    compression: Compression
    size: int
    fingerprint: str
    root: str = field(repr=False)
    path: str = field(repr=False)
    revision: str | None = None
    stamp: str = field(default="", repr=False)

    @property
    def tag(self) -> str:
        """The fingerprint without the size."""
        return self.fingerprint.partition("-")[2]


class Source:
    """An open input file that remembers whether reading it failed, and what was read.

    Arrow raises OSError for a damaged file and for a lost connection alike; only the latter must end
    the job, so that no row is given up because of a network that was down.
    """

    closed = False

    def __init__(self, stream: Any, uri: str, patience_s: float = 0.0) -> None:
        self._stream = stream
        self._uri = uri
        self._patience_s = patience_s
        self._failure: OSError | None = None
        self._digest = hashlib.sha256()
        self._is_straight, self._is_ended = True, False

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        try:
            data = self._read(size)
        except OSError as error:
            self._failure = error
            raise
        except remote_faults() as error:
            self._failure = OSError(said(error))
            raise self._failure from error
        if self._is_straight:
            self._digest.update(data)
            self._is_ended = size < 0 or (size > 0 and not data)
        return data

    def _read(self, size: int) -> bytes:
        """What can go back to where it was is asked again while it may yet answer."""
        if not (self._patience_s and self._stream.seekable()):
            return self._stream.read(size)
        place = self._stream.tell()

        def read() -> bytes:
            if self._stream.tell() != place:
                self._stream.seek(place)
            return self._stream.read(size)

        return patiently(read, self._patience_s, f"{self._uri}: cannot be read")

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset."""
        self._is_straight = False
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The current offset."""
        return self._stream.tell()

    def close(self) -> None:
        """Nothing: `open_input` closes what it opened."""

    def readable(self) -> bool:
        """Always; Arrow asks."""
        return True

    def raise_failure(self) -> None:
        """Raise InputError, naming the file, if the file system failed."""
        if self._failure is not None:
            reason = said(self._failure)
            raise InputError(
                f"{self._uri}: reading failed: {reason}; start the job again"
            ) from self._failure

    def sha256(self) -> str | None:
        """`sha256:<hex>` of the file, if it was read from one end to the other; None if not."""
        if not (self._is_straight and self._is_ended):
            return None
        return f"{_SHA256}{self._digest.hexdigest()}"


@contextmanager
def open_input(file: InputFile) -> Iterator[Source]:
    """Open a file for reading; the end of the `with` block is the end of reading.

    Whatever was made of its rows counts only once the block has ended.

    Raises:
        InputError: if it is gone, not readable, or no longer the one that was listed: when it is opened,
            or when the block ends.
    """
    fs = fsspec.core.url_to_fs(file.root)[0]

    def look_and_open() -> tuple[dict[str, Any], Any]:
        # A commit of a repository holds the same for ever, so what is remembered of it is true.
        info = fs.info(file.path) if file.revision else fresh_info(fs, file.path)
        return info, fs.open(file.path, "rb", **reading(fs, file.format))

    try:
        info, stream = patiently(look_and_open, PATIENCE_S, f"{file.uri}: cannot be opened")
    except remote_faults() as error:
        reason = said(error).replace(file.path, file.uri)  # the path may hold a signature
        raise InputError(
            f"{file.uri}: cannot be opened: {reason}; it was there when it was listed, so start the job"
            " again"
        ) from error
    with stream:
        begun = _opened_stamp(fs, stream, info)
        if not _is_as_listed(file, info, begun):
            raise _changed(file, "since it was listed")
        source = Source(stream, file.uri, PATIENCE_S)
        yield source
        read = source.sha256()
        if read is not None and file.tag.startswith(_SHA256) and read != file.tag:
            raise _changed(file, "while it was read")
        if file.revision is None and _stamp_now(fs, file) != begun:
            raise _changed(file, "while it was read")


def _opened_stamp(fs: Any, stream: Any, info: dict[str, Any]) -> str:
    """The stamp of what was opened: a local name may stand for another file by now."""
    if isinstance(fs, LocalFileSystem):
        return local_stamp(os.fstat(stream.fileno()))
    return stamp_of(info)


def _is_as_listed(file: InputFile, info: dict[str, Any], begun: str) -> bool:
    """Whether a file holds what it held when listed.

    Where its bytes were hashed, another stamp only says to hash them again: it was touched, linked or
    copied back, or the inodes of this machine's mount are not those of the driver's.
    """
    if info.get("size") not in (file.size, None):
        return False
    if not file.stamp:
        return content_tag(info) in ("", file.tag)
    if begun == file.stamp:
        return True
    _, digest, now = hash_content(file.root, file.path, file.uri)
    return (digest, now) == (file.tag, begun)


def _stamp_now(fs: Any, file: InputFile) -> str:
    try:
        doing = f"{file.uri}: cannot be looked at"
        return patiently(lambda: stamp(fs, file.path), PATIENCE_S, doing)
    except FileNotFoundError as error:
        raise _changed(file, "while it was read: it is gone") from error
    except remote_faults() as error:
        reason = said(error).replace(file.path, file.uri)
        raise InputError(
            f"{file.uri}: cannot be looked at: {reason}; start the job again"
        ) from error


def _changed(file: InputFile, when: str) -> InputError:
    return InputError(
        f"{file.uri}: has changed {when}; nothing of it was used, start the job again once nothing writes"
        " to it"
    )


def hash_content(root: str, path: str, uri: str) -> tuple[int, str, str]:
    """Read the whole file.

    Returns:
        Its size in bytes, `sha256:<hex>`, and its stamp, the same before and after.

    Raises:
        InputError: if it cannot be read, or changes meanwhile.
    """
    fs = fsspec.core.url_to_fs(root)[0]

    def hash_between_stamps() -> tuple[str, int, str, str]:
        before = stamp(fs, path)
        with fs.open(path, "rb") as stream:
            size, digest = _hash(stream)
        return before, size, digest, stamp(fs, path)

    try:
        before, size, digest, after = patiently(
            hash_between_stamps, PATIENCE_S, f"{uri}: cannot be read"
        )
    except remote_faults() as error:
        reason = said(error).replace(path, uri)
        raise InputError(f"{uri}: cannot be read: {reason}") from error
    if before != after:
        raise InputError(f"{uri}: is being written; start the job again once nothing writes to it")
    return size, digest, before


def _hash(stream: Any) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return size, f"{_SHA256}{digest.hexdigest()}"
