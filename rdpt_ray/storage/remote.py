"""File systems far away: how to read them in ranges, what they raise, and what may be told of it.

Their libraries let exceptions of their own through (no credentials, no such endpoint, a lost connection),
and each says in its own way what went wrong, sometimes with a signed address in it.
"""

import errno
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from fsspec.implementations.local import LocalFileSystem

_RAISED = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("botocore.parsers", "ResponseParserError"),
    ("gcsfs.retry", "HttpError"),
    ("gcsfs.retry", "ChecksumError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("aiohttp", "ClientError"),
    ("httpx2", "HTTPError"),
    ("httpx", "HTTPError"),
    ("ftplib", "Error"),
    ("paramiko.ssh_exception", "SSHException"),
)

_MAY_PASS = (
    ("botocore.exceptions", "ConnectionError"),
    ("botocore.exceptions", "HTTPClientError"),
    ("botocore.exceptions", "IncompleteReadError"),
    ("botocore.parsers", "ResponseParserError"),
    ("gcsfs.retry", "ChecksumError"),
    ("google.auth.exceptions", "TransportError"),
    ("aiohttp", "ClientConnectionError"),
    ("aiohttp", "ClientPayloadError"),
    ("requests.exceptions", "ConnectionError"),
    ("requests.exceptions", "Timeout"),
    ("requests.exceptions", "ChunkedEncodingError"),
    ("httpx2", "TransportError"),
    ("httpx", "TransportError"),
    ("ftplib", "error_temp"),
)
"""Connections that were lost, and answers that were cut off or late."""

_STATUS_MAY_PASS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 509})
"""409 is S3's answer to writers in each other's way."""

_ERRNO_MAY_PASS = frozenset(
    {errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH}
    | {errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH}
)
"""A network file system whose server restarts. Not EBUSY: so s3fs says that an object has changed."""

_SIGNED = re.compile(r"(https?://)(?:[^\s/@]*@)?([^\s?#'\"]*)[?#][^\s'\")]*")
_LOGIN = re.compile(r"(\w+://)[^\s/@]+@")
_MAX_CHARS = 400


def remote_faults() -> tuple[type[Exception], ...]:
    """What a file system raises when it cannot do what it was asked."""
    return (OSError, *_loaded(_RAISED))


def may_pass(error: BaseException) -> bool:
    """Whether the same may succeed a little later: the other side is busy or down, or the line is."""
    return any(
        http_status(one) in _STATUS_MAY_PASS
        or getattr(one, "errno", None) in _ERRNO_MAY_PASS
        or isinstance(one, (ConnectionError, TimeoutError, *_loaded(_MAY_PASS)))
        for one in _causes(error)
    )


def is_precondition(error: BaseException) -> bool:
    """Whether a put failed because the file is there; not all servers say it so that s3fs understands."""
    return isinstance(error, FileExistsError) or any(
        http_status(one) == 412 for one in _causes(error)
    )


def http_status(error: BaseException) -> int | None:
    """The status that a server answered with, if an exception of its client tells; None if not."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    elif response is not None:  # requests, httpx, huggingface_hub
        status = getattr(response, "status_code", None)
    else:  # aiohttp, gcsfs
        status = getattr(error, "status", None) or getattr(error, "code", None)
    return int(status) if isinstance(status, int | str) and str(status).isdigit() else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was made of."""
    while error is not None:
        yield error
        error = error.__cause__


def _loaded(classes: Iterable[tuple[str, str]]) -> Iterator[type[Exception]]:
    """Those of libraries that are loaded: one that is not has raised nothing, and none is loaded for this."""
    for module, name in classes:
        known = getattr(sys.modules.get(module), name, None)
        if known is not None:
            yield known


def said(error: Exception) -> str:
    """What an exception says, on one line, without logins and signatures in addresses."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = _LOGIN.sub(r"\1", _SIGNED.sub(r"\1\2", text))
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}..."


def reading(fs: Any, format: str) -> dict[str, Any]:
    """Arguments of `fs.open` to read a file of this format from far away in ranges.

    A Parquet reader asks for the columns it wants, about 1 MB at a time; read-ahead would fetch what lies
    between them, which is what columns are there to spare. Lines are read from one end to the other.
    """
    if format != "parquet" or isinstance(fs, LocalFileSystem):
        return {}
    return {"cache_type": "none"}
