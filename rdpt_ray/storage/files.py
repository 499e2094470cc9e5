"""Whole files or none: the only place that reads and writes a store.

Nothing is ever streamed into its final name (`whole_files`), because an interrupted stream leaves a short
file that reads as a valid one (seen with local disk, S3 and Parquet writers alike). What may pass is waited
for (`retrying`); what does not is a StoreError that names the file, and never an answer.
"""

import errno
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from rdpt_ray.errors import DamagedError, StoreError
from rdpt_ray.storage import whole_files
from rdpt_ray.storage.listing import files_below
from rdpt_ray.storage.ranges import RangedFile
from rdpt_ray.storage.remote import may_pass, remote_faults, said
from rdpt_ray.storage.retrying import PATIENCE_S, patiently
from rdpt_ray.storage.seals import KEY, check_seal, sealed

Result = TypeVar("Result")

_ABSENT = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True)
class Root:
    """A folder on some file system; every name below is relative to it and uses forward slashes.

    Every method raises StoreError, naming the file, if what it does cannot be done; it is tried again for
    `patience_s` where it may yet succeed.
    """

    uri: str
    """Absolute, so that it means the same on every worker."""
    patience_s: float = field(default=PATIENCE_S, compare=False)

    @property
    def _fs(self) -> fsspec.AbstractFileSystem:
        """Never with a remembered listing: s3fs then denies files that another process has written."""
        fs = fsspec.core.url_to_fs(self.uri)[0]
        fs.invalidate_cache()
        return fs

    def path(self, name: str) -> str:
        """The full path of a name, without protocol."""
        return f"{fsspec.core.url_to_fs(self.uri)[1].rstrip('/')}/{name}"

    def inside(self, folder: str) -> "Root":
        """A folder of this one as a root of its own."""
        return Root(f"{self.uri.rstrip('/')}/{folder}", self.patience_s)

    def show(self, name: str) -> str:
        """The full URI of a name, for people: without a login."""
        return f"{public_uri(self.uri).rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a file of this name is there; an error if that cannot be known."""

        def look_up(fs: Any, path: str) -> bool:
            with suppress(*_ABSENT):
                return fs.info(path)["type"] == "file"
            return False

        return self._do("looked up", name, look_up)

    def names(self, folder: str, starts: Sequence[str] = ()) -> list[str]:
        """Every finished file below a folder, sorted, relative to the root; empty if there is none.

        Args:
            folder: Which one.
            starts: Only those whose names, behind the folder's, begin with one of these (`files_below`).
        """
        return [name for name in self._below(folder, starts) if not _is_hidden(name)]

    def temporaries(self, folder: str = "") -> list[str]:
        """What writers left below a folder when they died, or are writing right now; sorted, relative."""
        return [name for name in self._below(folder) if _is_hidden(name) and name.endswith(".tmp")]

    def _below(self, folder: str, starts: Sequence[str] = ()) -> list[str]:
        top = len(self.path(""))

        def list_files(fs: Any, path: str) -> list[str]:
            path = path.rstrip("/")
            found = files_below(fs, path or "/", starts)
            return sorted(file[top:] for file in found if file.startswith(f"{path}/"))

        return self._do("listed", folder, list_files)

    def read_bytes(self, name: str) -> bytes:
        """The content of a file."""
        return self._do("read", name, lambda fs, path: fs.cat_file(path))

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of many small files, at once where the file system can; missing ones are left out."""
        names, fs = list(dict.fromkeys(names)), self._fs
        answers: list[Any] = [None] * len(names)
        if fs.async_impl and names:
            with self._naming("read", names[0]):
                answers = fs.cat_ranges([self.path(name) for name in names], None, None)
        contents = {
            name: answer if isinstance(answer, bytes) else self._read_if_there(name)
            for name, answer in zip(names, answers, strict=True)
        }
        return {name: content for name, content in contents.items() if content is not None}

    def _read_if_there(self, name: str) -> bytes | None:
        def read(fs: Any, path: str) -> bytes | None:
            with suppress(*_ABSENT):
                return fs.cat_file(path)
            return None

        return self._do("read", name, read)

    @contextmanager
    def opened(self, name: str) -> Iterator[Any]:
        """A file to read parts of."""

        def open_file(fs: Any, path: str) -> Any:
            if isinstance(fs, LocalFileSystem):
                return fs.open(path, "rb")
            return RangedFile(fs.info(path)["size"], fetch)

        def fetch(start: int, end: int) -> bytes:
            return self._do("read", name, lambda fs, path: fs.cat_file(path, start=start, end=end))

        with self._do("read", name, open_file) as stream, self._naming("read", name):
            yield stream

    def write_bytes(self, name: str, data: bytes) -> None:
        """Make a file appear, whole, replacing one of the same name; nothing is visible after an error."""
        self._do("written", name, lambda fs, path: whole_files.replace(fs, path, data))

    def create(self, name: str, data: bytes) -> bool:
        """Make a file appear, whole, unless there is one of the same name.

        Args:
            name: Relative name.
            data: Bytes that nobody else writes under this name: by them an answer of an object store that
                was lost on its way, and came back as "there already", is told from somebody else's file.

        Returns:
            Whether this call made the file.
        """
        return self._do("created", name, lambda fs, path: whole_files.create(fs, path, data))

    def delete(self, name: str) -> None:
        """Make a file go away; one that is gone already is no fault."""

        def remove(fs: Any, path: str) -> None:
            with suppress(FileNotFoundError):
                fs.rm_file(path)

        self._do("deleted", name, remove)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file as a table; a DamagedError if it is not valid Parquet, or not as it was written."""
        content = self.read_bytes(name)
        try:
            return table_in(content, columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedError(
                f"{self.show(name)}: not a valid Parquet file ({error}); delete it and rerun"
            ) from error

    def write_table(self, name: str, table: pa.Table, facts: dict[str, str] | None = None) -> None:
        """Write a table as Parquet: the same rows always give the same bytes.

        Args:
            name: Relative name.
            table: Its schema is written as it is, plus `facts` as key-value metadata.
            facts: What the file says about itself.
        """
        self.write_bytes(name, parquet_bytes(table, facts))

    def _do(self, done: str, name: str, act: Callable[[Any, str], Result]) -> Result:
        """Do something to a file, again while it may yet succeed."""
        with self._naming(done, name):
            doing = f"{self.show(name)}: cannot be {done}"
            return patiently(lambda: act(self._fs, self.path(name)), self.patience_s, doing)

    @contextmanager
    def _naming(self, done: str, name: str) -> Iterator[None]:
        """Turn a file system's fault into a StoreError that names the file."""
        try:
            yield
        except StoreError:
            raise
        except remote_faults() as error:
            told = said(error).replace(self.uri, public_uri(self.uri))
            raise StoreError(
                f"{self.show(name)}: cannot be {done}: {told}{_advice(error)}"
            ) from error


def table_in(content: bytes, columns: list[str] | None = None) -> pa.Table:
    """The rows of a Parquet file that is in memory, read without any thread.

    With threads a process that ends soon after may abort (arrow#33975); `pq.read_table` has some for
    reading ahead even when it is told to use none.

    Args:
        content: The whole file.
        columns: Which, in which order; all by default.

    Raises:
        pa.ArrowException, OSError, ValueError: if it is not valid, not as it was written, or lacks a column.
    """
    check_seal(content)
    file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    schema = file.schema_arrow
    names = schema.names if columns is None else columns
    if missing := set(names).difference(schema.names):
        raise ValueError(f"it has no column {', '.join(sorted(missing))}")
    # Group by group: each has its own dictionaries, over which Arrow fails when it reads them as one.
    groups = [
        file.read_row_group(index, columns=names, use_threads=False)
        for index in range(file.num_row_groups)
    ]
    table = pa.concat_tables(groups) if groups else schema.empty_table()
    facts = dict(schema.metadata or {})
    facts.pop(KEY.encode(), None)
    return table.select(names).replace_schema_metadata(facts or None)


def parquet_bytes(
    table: pa.Table, facts: dict[str, str] | None = None, *, group: int = 1024
) -> bytes:
    """A table as a Parquet file; see `Root.write_table`.

    Args:
        table: Rows.
        facts: Key-value metadata.
        group: Most rows of a row group.
    """
    buffer = io.BytesIO()
    rows = table.combine_chunks().replace_schema_metadata(facts)
    file = pq.ParquetWriter(
        buffer,
        rows.schema,
        compression="zstd",
        compression_level=3,
        write_page_index=True,
        write_page_checksum=True,
    )
    file.write_table(rows, row_group_size=group)
    return sealed(buffer, file)


def open_root(uri: str, patience_s: float = PATIENCE_S) -> Root:
    """A store or run folder by URI; a local path is made absolute.

    Args:
        uri: Local path, s3://, gs://, hf://, any that fsspec knows.
        patience_s: How long to go on trying when a store is busy or cannot be reached.

    Raises:
        StoreError: if there is no such kind of URI, or the library that reads it is missing.
    """
    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise StoreError(f"{public_uri(uri)}: cannot be opened: {error}") from error
    return Root(path if isinstance(fs, LocalFileSystem) else uri, patience_s)


def _advice(error: Exception) -> str:
    """What to do about a fault, where that can be said."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "; free space there and run the same command again: it goes on from here"
    if may_pass(error):
        return "; run the same command again when it answers: it goes on from here"
    return ""


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
