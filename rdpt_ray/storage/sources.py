"""One input file: what it was when listed, and how to open it."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import fsspec

from rdpt_ray.errors import InputError
from rdpt_ray.storage.remote import reading, remote_faults, said

Format = Literal["parquet", "jsonl"]
Compression = Literal["gzip", "zstd"] | None

_TAGS = ("sha256", "ETag", "etag", "md5Hash", "content_md5", "blob_id", "xet_hash")
"""Where file systems put a hash or version of the content (Hub, S3, Azure, GCS, ..)."""


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


class Source:
    """An open input file that remembers whether reading it failed.

    Arrow raises OSError for a damaged file and for a lost connection alike; only the latter must end
    the job, so that no row is given up because of a network that was down.
    """

    closed = False

    def __init__(self, stream: Any, uri: str) -> None:
        self._stream = stream
        self._uri = uri
        self._failure: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        try:
            return self._stream.read(size)
        except OSError as error:
            self._failure = error
            raise
        except remote_faults() as error:
            self._failure = OSError(said(error))
            raise self._failure from error

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset."""
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
            raise InputError(f"{self._uri}: reading failed: {reason}") from self._failure


@contextmanager
def open_input(file: InputFile) -> Iterator[Source]:
    """Open a file for reading.

    Raises:
        InputError: if it is gone, not readable, or no longer the one that was listed.
    """
    fs = fsspec.core.url_to_fs(file.root)[0]
    try:
        info = fs.info(file.path)
        stream = fs.open(file.path, "rb", **reading(fs, file.format))
    except remote_faults() as error:
        reason = said(error).replace(file.path, file.uri)  # the path may hold a signature
        raise InputError(f"{file.uri}: cannot be opened: {reason}") from error
    with stream:
        tag = content_tag(info)
        if info.get("size") not in (file.size, None) or (tag and tag not in file.fingerprint):
            raise InputError(f"{file.uri}: has changed since it was listed; start the job again")
        yield Source(stream, file.uri)


def content_tag(info: Mapping[str, Any]) -> str:
    """A hash or version of the content, if the file system knows one for nothing."""
    lfs = info.get("lfs")
    values = {**info, **(lfs if isinstance(lfs, Mapping) else {})}
    for key in _TAGS:
        if values.get(key):
            return f"{key.lower()}:{str(values[key]).strip(chr(34))}"
    return ""


def hash_content(root: str, path: str, uri: str) -> tuple[int, str]:
    """Read the whole file: its size in bytes and `sha256:<hex>`.

    Raises:
        InputError: if it cannot be read.
    """
    fs = fsspec.core.url_to_fs(root)[0]
    digest, size = hashlib.sha256(), 0
    try:
        with fs.open(path, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    except remote_faults() as error:
        reason = said(error).replace(path, uri)
        raise InputError(f"{uri}: cannot be read: {reason}") from error
    return size, f"sha256:{digest.hexdigest()}"
