"""A job's log as JSON, one object a line, for machines that collect logs: RDPT_LOG=json.

Python's own `logging` with one formatter, so that nothing more need be installed on the workers. Everything
that a job prints on stderr otherwise goes through it, warnings of libraries too. What a line is about (run,
session, stage, role, part) is beside its message. Stdout is as it is without.
"""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

ENV = "RDPT_LOG"

LOGGER = logging.getLogger("rdpt_ray")

WIDTH = 10_000
"""Columns of a console whose lines must not be folded."""

_ABOUT: ContextVar[dict[str, Any]] = ContextVar("about", default={})  # noqa: B039  never changed


def wants_json() -> bool:
    """Whether this process is to write its log as JSON."""
    return os.environ.get(ENV) == "json"


def tell(message: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log a line with what it is about.

    Args:
        message: For people.
        level: Of `logging`.
        facts: For machines; plain values.
    """
    LOGGER.log(level, "%s", message, extra={"facts": facts})


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """A block whose lines, in this thread, are all about something."""
    token = _ABOUT.set({**_ABOUT.get(), **facts})
    try:
        yield
    finally:
        _ABOUT.reset(token)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object in a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **_ABOUT.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def start_log() -> None:
    """Have this process write JSON, if that is wanted; again does nothing."""
    root = logging.getLogger()
    if not wants_json() or any(isinstance(each.formatter, JsonFormatter) for each in root.handlers):
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    logging.captureWarnings(True)


def job_console() -> Console:
    """Where a job says what it does: stderr, as text or as JSON."""
    start_log()
    return Console(file=_Lines(), width=WIDTH) if wants_json() else Console(stderr=True)


class _Lines(io.StringIO):
    """A file whose lines become records."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = ""

    def write(self, text: str, /) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                tell(line.strip())
        return len(text)
