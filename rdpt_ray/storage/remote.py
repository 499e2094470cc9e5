"""File systems far away: how to read them in ranges, and what may be told of what they raise.

Their libraries let exceptions of their own through (no credentials, no such endpoint, a lost connection),
and each says in its own way what went wrong, sometimes with a signed address in it.
"""

import re
import sys
from typing import Any

from fsspec.implementations.local import LocalFileSystem

_RAISED = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("gcsfs.retry", "ChecksumError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("aiohttp", "ClientError"),
    ("httpx2", "HTTPError"),
    ("httpx", "HTTPError"),
)

_SIGNED = re.compile(r"(https?://)(?:[^\s/@]*@)?([^\s?#'\"]*)[?#][^\s'\")]*")
_LOGIN = re.compile(r"(\w+://)[^\s/@]+@")
_MAX_CHARS = 400


def remote_faults() -> tuple[type[Exception], ...]:
    """What a file system raises when it cannot do what it was asked.

    Of libraries that are loaded only: one that is not has raised nothing, and none is loaded for this.
    """
    loaded = ((sys.modules.get(module), name) for module, name in _RAISED)
    known = (getattr(module, name, None) for module, name in loaded)
    return (OSError, *(error for error in known if error is not None))


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
