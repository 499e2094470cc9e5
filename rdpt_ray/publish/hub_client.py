"""The Hub's own client, made fit for a job: it gives up on silence, and shows no secret.

A token comes from the environment or from where `hf auth login` keeps it, and is only ever handed over by
the client itself. What is told of it is where it came from.
"""

import email.utils
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    get_session,
)

from rdpt_ray import __version__
from rdpt_ray.errors import PublishError
from rdpt_ray.storage.printable import printable
from rdpt_ray.storage.remote import said

_LOGS = (
    "huggingface_hub.utils._http",
    "httpx2",
    "httpx",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore.http11",
    "httpcore.http2",
)
"""They tell the addresses that are asked, signed ones too, and what the Hub says of a token."""

_RATE_LIMIT = re.compile(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d+)")

_SEE_ALSO = re.compile(r"\s*For more information check: https://developer\.mozilla\.org/\S*")
"""What the client says beside the status, of every status."""

_sent: set[str] = set()
"""Tokens that went to the Hub from here: it may repeat one when it refuses it."""

_NAMED = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def hub_api() -> HfApi:
    """The client, which finds endpoint and token by itself."""
    return HfApi(library_name="rdpt_ray", library_version=__version__)


def credential_source() -> str:
    """Where the token comes from, in words that fit after "the token"; never the token."""
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return "that HF_HUB_DISABLE_IMPLICIT_TOKEN keeps from being sent"
    if os.environ.get("HF_OIDC_RESOURCE"):
        return "that was exchanged for HF_OIDC_RESOURCE"
    for name in _NAMED:
        if os.environ.get(name):
            return f"of {name} in the environment"
    return f"in {constants.HF_TOKEN_PATH}" if get_token() else ""


def shown(problem: Exception | str) -> str:
    """What an exception or a message says, without tokens, logins and signed addresses; printable."""
    text = _SEE_ALSO.sub("", str(problem)) or type(problem).__name__
    for token in _sent:  # before it is cut to a length: a half of a token is one too many
        text = text.replace(token, "(token)")
    return printable(said(RuntimeError(text)))


@contextmanager
def careful_client(*, progress: bool) -> Iterator[None]:
    """Show nothing secret until the block ends, and take back what was asked of the client in it.

    Args:
        progress: Whether bars may be drawn.
    """
    for name in _LOGS:
        logging.getLogger(name).addFilter(_conceal)  # for good: once, however often it is done
    quiet = not progress and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        _hook()
        if quiet:
            enable_progress_bars()


def limit_client(answer_s: float, until: float) -> None:
    """Make the client give up on a Hub that is silent, or asks it to come back too late.

    Most of its functions wait for ever for an answer, and as long as the Hub likes before they ask again,
    whatever its session says; so each request and each answer is looked at. It may have made itself a new
    session since the last time.

    Args:
        answer_s: How long the Hub may be silent.
        until: Of `time.monotonic()`; nobody waits beyond.
    """
    _hook(_Requests(answer_s), _Answers(until))


def asked_s(response: Any) -> float | None:
    """Seconds that an answer asks to wait, in one of the three ways of saying so."""
    after = str(response.headers.get("Retry-After", "")).strip()
    if after.isdigit():
        return float(after)
    if after:
        try:
            date = email.utils.parsedate_to_datetime(after)
        except ValueError:
            return None
        return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    limit = _RATE_LIMIT.search(str(response.headers.get("RateLimit", "")))
    if limit and response.status_code == 429:  # each answer has the header
        return float(limit[1]) + 1  # it counts in whole seconds
    return None


@dataclass(frozen=True, slots=True)
class _Requests:
    """Is called with each request before it is sent."""

    answer_s: float

    def __call__(self, request: Any) -> None:
        if token := request.headers.get("authorization", "").removeprefix("Bearer "):
            _sent.add(token)
        waits = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = dict.fromkeys(waits, self.answer_s)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Is called with each answer before it is read."""

    until: float

    def __call__(self, response: Any) -> None:
        wait_s = asked_s(response) if response.status_code >= 400 else None
        if wait_s is not None and time.monotonic() + wait_s > self.until:
            raise PublishError(
                f"not published: the Hub answers with status {response.status_code} and asks to wait"
                f" {wait_s:,.0f} s; publish again later"
            )


def _hook(requests: _Requests | None = None, answers: _Answers | None = None) -> None:
    """Put these into the client's session, in the place of those before."""
    session = get_session()
    session.event_hooks = {
        name: [
            hook for hook in session.event_hooks[name] if not isinstance(hook, _Requests | _Answers)
        ]
        + ([new] if new else [])
        for name, new in (("request", requests), ("response", answers))
    }


def _conceal(record: logging.LogRecord) -> bool:
    record.msg, record.args = shown(record.getMessage()), None
    return True
