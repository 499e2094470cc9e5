"""The input files of a job: which they are, and whether they have the columns that traces need."""

import os
from glob import has_magic
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from rdpt_ray.errors import InputError
from rdpt_ray.storage.column_types import describe_schema
from rdpt_ray.storage.columns import check_schema, resolve_columns, without_responses
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.hub import Pinned, pinned
from rdpt_ray.storage.input_spec import InputSpec
from rdpt_ray.storage.listing import infos_below
from rdpt_ray.storage.read_parquet import open_parquet
from rdpt_ray.storage.reading import choose_reading, recognises
from rdpt_ray.storage.recognise import explain_unknown, lacking
from rdpt_ray.storage.remote import remote_faults, said
from rdpt_ray.storage.retrying import patiently
from rdpt_ray.storage.sources import (
    Compression,
    Format,
    InputFile,
    hash_content,
    open_input,
)
from rdpt_ray.storage.stamps import content_tag

_PATIENCE_S = 60.0
"""For listing: a job that has not begun loses nothing by ending, and an address may be mistyped."""

_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}


def list_inputs(config: InputSpec) -> list[InputFile]:
    """List the files of a job, each once, sorted by URI.

    A folder stands for the files below it that end in .parquet, .jsonl or .ndjson (JSONL also with
    .gz or .zst behind), without those under a name that starts with `.` or `_`. A `.json` file must
    be named or globbed, because folders of datasets hold other JSON as well.

    Raises:
        InputError: if a path does not exist, cannot be listed or matches no file, or the format of a
            file cannot be told.
    """
    paths = [config.path] if isinstance(config.path, str) else config.path
    if not all(paths) or not paths:
        raise InputError("input.path is empty: name a file, a folder or a glob")
    configured = config.format if config.format in ("parquet", "jsonl") else "auto"
    found: dict[str, tuple[Pinned, str, dict[str, Any]]] = {}
    for configured_path in paths:
        pin = pinned(configured_path)
        for path, info in _expand(pin.root, configured).items():
            found.setdefault(pin.show(_show(pin.root, path)), (pin, path, info))
    return [
        _describe(index, uri, *found[uri], configured=configured)
        for index, uri in enumerate(sorted(found))
    ]


def check_columns(files: list[InputFile], config: InputSpec, *, prompts_only: bool = False) -> None:
    """Compare what is to be read with the schemas of the Parquet files; reads footers only.

    Files that lack a column, or cannot be read, are quarantined later as long as one file is good.
    It stops at the first file that has everything.

    Args:
        files: From `list_inputs`.
        config: How they are read.
        prompts_only: Whether a response is not needed.

    Raises:
        ConfigError: if `input.columns` maps an unknown canonical name.
        InputError: if no Parquet file has what a trace needs, or no file at all has a column that
            the config maps, naming file, column, the columns there, how to map the nearest, and
            which layouts are known.
    """
    names = resolve_columns(config.columns)
    names = without_responses(names) if prompts_only else names
    unseen, faults, any_good, known = set(names.mapped), [], False, ""
    for file in files:
        if file.format != "parquet":
            unseen.clear()  # a JSONL file has no schema, so any column may be in it
            continue
        try:
            with open_input(file) as source:
                schema = open_parquet(source).schema_arrow
        except Fault:
            continue
        try:
            unseen -= _check_schema(schema, config, file.uri, prompts_only)
            any_good = True
        except Fault as fault:
            faults.append(f"{file.uri}: column {fault.column!r}: {fault.detail}")
            known = known or f".\n{explain_unknown(describe_schema(schema))}"
        if any_good and not unseen:
            return
    if any_good and unseen:
        name = min(unseen)
        column = names.inputs[name]
        raise InputError(f"input.columns.{name}: no input file has a column {column!r}")
    if faults and not any_good:
        more = f" (and {len(faults) - 1} more files)" if len(faults) > 1 else ""
        raise InputError(faults[0] + more + (known if recognises(config) else ""))


def _check_schema(schema: pa.Schema, config: InputSpec, uri: str, prompts_only: bool) -> set[str]:
    """The canonical names that a Parquet file has, by the layout it is read with.

    Raises:
        Fault: naming the column that a trace needs and that is not there or holds something else.
    """
    types = describe_schema(schema)
    reading = choose_reading(config, types, uri)
    for column in lacking(reading.layout, types):
        came = f"holds {types[column]}" if column in types else "is missing"
        detail = f"it {came}, and the layout {reading.layout.name} needs it"
        raise Fault("wrong_type" if column in types else "missing_column", column, detail)
    names = without_responses(reading.names) if prompts_only else reading.names
    return set(check_schema(names, schema))


def _expand(root: str, configured: str) -> dict[str, dict[str, Any]]:
    """The files that one configured path stands for: path -> what the file system says of it."""
    shown = _without_secrets(root)
    try:
        fs, path = fsspec.core.url_to_fs(root)
        kind, found = patiently(
            lambda: _look_up(fs, path), _PATIENCE_S, f"{shown}: cannot be listed"
        )
    except (*remote_faults(), ValueError, ImportError) as error:
        reason = said(error).replace(root, shown)
        raise InputError(f"input.path: {shown} cannot be listed: {reason}") from error
    if kind == "nothing":
        raise InputError(f"input.path: {shown} does not exist")
    if kind not in ("file", "directory", "glob"):
        raise InputError(f"input.path: {shown} is neither a file nor a folder")
    if kind == "file":
        return found
    belongs = _in_glob if kind == "glob" else _in_folder
    files = [name for name, info in found.items() if info["type"] == "file"]
    kept = {name: found[name] for name in files if belongs(name, path, configured)}
    if not kept:
        there = ", ".join(sorted(os.path.basename(name) for name in files)[:8]) or "none"
        raise InputError(
            f"input.path: {shown} matches no .parquet or .jsonl file (files there: {there})"
        )
    return kept


def _look_up(fs: Any, path: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """What a path is, and what the file system says of each file in it, now."""
    fs.invalidate_cache()
    try:
        info = fs.info(path)
    except FileNotFoundError:
        if not has_magic(path):
            return "nothing", {}
        kind, found = "glob", fs.glob(path, detail=True)
    else:
        kind, found = info["type"], {path: info}
        if kind == "directory":
            found = infos_below(fs, path)
    return kind, found


def _in_folder(path: str, folder: str, configured: str) -> bool:
    inner = path[len(folder) :].strip("/")
    if any(part.startswith((".", "_")) for part in inner.split("/")):
        return False
    format, ending = _ending(path)
    return format is not None and ending != ".json" and configured in ("auto", format)


def _in_glob(path: str, pattern: str, configured: str) -> bool:
    hidden = "/." in path and "/." not in pattern
    return not hidden and _format(path, configured) is not None


def _ending(path: str) -> tuple[Format | None, str]:
    stem, ending = os.path.splitext(_without_query(path).lower())
    if ending in _COMPRESSIONS:
        ending = os.path.splitext(stem)[1]
        return ("jsonl" if _FORMATS.get(ending) == "jsonl" else None), ending
    return _FORMATS.get(ending), ending


def _format(path: str, configured: str) -> Format | None:
    if configured == "parquet" or configured == "jsonl":
        return configured
    return _ending(path)[0]


def _show(root: str, path: str) -> str:
    """The URI for people: relative if the configured path is, without login and signature."""
    fs = fsspec.core.url_to_fs(root)[0]
    first, chain, rest = root.partition("::")
    if isinstance(fs, LocalFileSystem) and "://" not in root:
        path = os.path.normpath(path)
        return path if os.path.isabs(root) or root[0] == "~" else os.path.relpath(path)
    uri = _without_secrets(fs.unstrip_protocol(path))
    return f"{uri}::{rest}" if chain and "://" in first else uri


def _without_secrets(uri: str) -> str:
    """A URI without login, and a web address without what follows `?`, often a signature."""
    scheme, separator, place = _without_query(uri).partition("://")
    authority, slash, name = place.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{name}"


def _without_query(path: str) -> str:
    """A web address up to its `?`; on other file systems a name may hold one."""
    return path.partition("?")[0] if path.startswith(("http://", "https://")) else path


def _describe(
    index: int, uri: str, pin: Pinned, path: str, info: dict[str, Any], *, configured: str
) -> InputFile:
    format = _format(path, configured)
    if format is None:
        endings = ", ".join(_FORMATS)
        raise InputError(f"{uri}: the ending tells no format (known: {endings}); set input.format")
    ending = os.path.splitext(_without_query(path).lower())[1]
    size, tag, stamp = info.get("size"), content_tag(info), ""
    if size is None or not tag:
        size, digest, seen = hash_content(pin.root, path, uri)
        tag, stamp = (tag, "") if tag else (digest, seen)
    compression = _COMPRESSIONS.get(ending) if format == "jsonl" else None
    return InputFile(
        index, uri, format, compression, size, f"{size}-{tag}", pin.root, path, pin.revision, stamp
    )
