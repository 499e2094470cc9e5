"""Whole files or none: the only place that writes to a store.

Locally a file is written beside its final name, flushed to disk and renamed; on an object store it is one
put of finished bytes. Nothing is ever streamed into its final name, because an interrupted stream leaves a
short file that reads as a valid one (seen with local disk, S3 and Parquet writers alike).
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from rdpt_ray.errors import StoreError
from rdpt_ray.storage import local_files
from rdpt_ray.storage.listing import files_below
from rdpt_ray.storage.remote import remote_faults, said


@dataclass(frozen=True, slots=True)
class Root:
    """A folder on some file system; every name below is relative to it and uses forward slashes."""

    uri: str
    """Absolute, so that it means the same on every worker."""

    @property
    def _fs(self) -> fsspec.AbstractFileSystem:
        """Never with a remembered listing: s3fs then denies files that another process has written."""
        fs = fsspec.core.url_to_fs(self.uri)[0]
        fs.invalidate_cache()
        return fs

    def path(self, name: str) -> str:
        """The full path of a name, without protocol."""
        return f"{fsspec.core.url_to_fs(self.uri)[1].rstrip('/')}/{name}"

    def show(self, name: str) -> str:
        """The full URI of a name, for people: without a login."""
        return f"{public_uri(self.uri).rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a file of this name is there.

        Raises:
            StoreError: if that cannot be known (fsspec's own `isfile` answers False then).
        """
        with self._naming(name, "looked up"):
            try:
                return self._fs.info(self.path(name))["type"] == "file"
            except (FileNotFoundError, NotADirectoryError):
                return False

    def names(self, folder: str) -> list[str]:
        """Every finished file below a folder, sorted, relative to the root; empty if there is none.

        Raises:
            StoreError: naming the folder, if it or one below it cannot be listed.
        """
        return [name for name in self._below(folder) if not _is_hidden(name)]

    def temporaries(self, folder: str = "") -> list[str]:
        """What writers left below a folder when they died, or are writing right now; sorted, relative.

        Raises:
            StoreError: naming the folder, if it or one below it cannot be listed.
        """
        return [name for name in self._below(folder) if _is_hidden(name) and name.endswith(".tmp")]

    def _below(self, folder: str) -> list[str]:
        top, path = self.path(""), self.path(folder).rstrip("/")
        with self._naming(folder, "listed"):
            found = [
                name for name in files_below(self._fs, path or "/") if name.startswith(f"{path}/")
            ]
        return sorted(name[len(top) :] for name in found)

    def read_bytes(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            StoreError: naming the file, if it cannot be read.
        """
        with self._naming(name, "read"):
            content: Any = self._fs.cat_file(self.path(name))
            return content

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of many small files, at once where the file system can; those not there are left out.

        Raises:
            StoreError: naming the file, if one cannot be read.
        """
        names, fs = list(dict.fromkeys(names)), self._fs
        if not fs.async_impl or not names:
            contents = {name: self._read_if_there(name) for name in names}
        else:
            with self._naming(names[0], "read"):
                answers = fs.cat_ranges([self.path(name) for name in names], None, None)
            contents = {
                name: self._read_if_there(name) if isinstance(answer, Exception) else answer
                for name, answer in zip(names, answers, strict=True)
            }
        return {name: content for name, content in contents.items() if content is not None}

    def _read_if_there(self, name: str) -> bytes | None:
        with self._naming(name, "read"), suppress(FileNotFoundError, NotADirectoryError):
            content: Any = self._fs.cat_file(self.path(name))
            return content
        return None

    @contextmanager
    def opened(self, name: str) -> Iterator[Any]:
        """A file to read parts of.

        Raises:
            StoreError: naming the file, if it cannot be opened, or not be read by what holds it open.
        """
        with self._naming(name, "read"), self._fs.open(self.path(name), "rb") as stream:
            yield stream

    def write_bytes(self, name: str, data: bytes) -> None:
        """Make a file appear, whole, replacing one of the same name.

        Raises:
            StoreError: naming the file, if it cannot be written; nothing has become visible then.
        """
        with self._naming(name, "written"):
            if isinstance(self._fs, LocalFileSystem):
                local_files.replace(self.path(name), data)
            else:
                self._fs.pipe_file(self.path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Make a file appear, whole, unless there is one of the same name.

        Args:
            name: Relative name.
            data: Bytes that nobody else writes under this name: by them an object store's answer that
                was lost on its way, and came back as "there already", is told from somebody else's file.

        Returns:
            Whether this call made the file.

        Raises:
            StoreError: naming the file, if it cannot be written and none of this name is there.
        """
        with self._naming(name, "created"):
            if isinstance(self._fs, LocalFileSystem):
                return local_files.create(self.path(name), data)
            try:
                self._fs.pipe_file(self.path(name), data, mode="create")
            except FileExistsError:
                return self._read_if_there(name) == data
            return True

    def delete(self, name: str) -> None:
        """Make a file go away; one that is gone already is no fault.

        Raises:
            StoreError: naming the file, if it cannot be deleted.
        """
        with self._naming(name, "deleted"), suppress(FileNotFoundError):
            self._fs.rm_file(self.path(name))

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file as a table.

        Raises:
            StoreError: naming the file, if it is missing or not valid Parquet.
        """
        content = io.BytesIO(self.read_bytes(name))
        try:
            # A part is small, and with threads a process that ends soon after may abort (arrow#33975).
            return pq.read_table(
                content, columns=columns, page_checksum_verification=True, use_threads=False
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StoreError(
                f"{self.show(name)}: not a valid Parquet file ({error}); delete it and rerun"
            ) from error

    def write_table(self, name: str, table: pa.Table, facts: dict[str, str] | None = None) -> None:
        """Write a table as Parquet: the same rows always give the same bytes.

        Args:
            name: Relative name.
            table: Its schema is written as it is, plus `facts` as key-value metadata.
            facts: What the file says about itself.
        """
        buffer = io.BytesIO()
        pq.write_table(
            table.combine_chunks().replace_schema_metadata(facts),
            buffer,
            compression="zstd",
            compression_level=3,
            row_group_size=1024,
            write_page_index=True,
            write_page_checksum=True,
        )
        self.write_bytes(name, buffer.getvalue())

    @contextmanager
    def _naming(self, name: str, done: str) -> Iterator[None]:
        """Turn a file system's fault into a StoreError that names the file."""
        try:
            yield
        except remote_faults() as error:
            told = said(error).replace(self.uri, public_uri(self.uri))
            raise StoreError(f"{self.show(name)}: cannot be {done}: {told}") from error


def open_root(uri: str) -> Root:
    """A store or run folder by URI; a local path is made absolute.

    Raises:
        StoreError: if there is no such kind of URI, or the library that reads it is missing.
    """
    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise StoreError(f"{public_uri(uri)}: cannot be opened: {error}") from error
    return Root(path if isinstance(fs, LocalFileSystem) else uri)


def _is_hidden(name: str) -> bool:
    return name.rsplit("/", 1)[-1].startswith(".")


def public_uri(uri: str) -> str:
    """A URI without what may be secret in it: user, password, query (signed URLs), fragment."""
    if "://" not in uri:
        return uri
    try:
        scheme, netloc, path, _, _ = urlsplit(uri)
    except ValueError:  # for example an unclosed bracket in the host
        return uri.partition("?")[0].rpartition("@")[2]
    return urlunsplit((scheme, netloc.rpartition("@")[2], path, "", ""))
