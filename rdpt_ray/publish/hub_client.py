"""The Hub's own client, made fit for a job: it gives up on silence, and shows no secret.

A token comes from the environment or from where `hf auth login` keeps it, and is only ever handed over by
the client itself. What is told of it is where it came from.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    get_session,
)

from rdpt_ray import __version__
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
    text = str(problem) or type(problem).__name__
    for token in _sent:  # before it is cut to a length: a half of a token is one too many
        text = text.replace(token, "(token)")
    return printable(said(RuntimeError(text)))


@contextmanager
def careful_client(answer_s: float, *, progress: bool) -> Iterator[None]:
    """Give up on a Hub that is silent for so long, and show nothing secret, until the block ends.

    Args:
        answer_s: Between two bytes of an answer; by default the client waits for ever.
        progress: Whether bars may be drawn.
    """
    for name in _LOGS:
        logging.getLogger(name).addFilter(_conceal)  # for good: once, however often it is done
    quiet = not progress and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        limit_silence(answer_s)
        yield
    finally:
        limit_silence(None)
        if quiet:
            enable_progress_bars()


def limit_silence(answer_s: float | None) -> None:
    """Set how long the client waits for an answer; it may have made itself a new session since.

    Most of its functions ask to wait for ever, whatever the session says, so each request is changed.
    """
    session = get_session()
    hooks = [hook for hook in session.event_hooks["request"] if not isinstance(hook, _Limit)]
    limits = [] if answer_s is None else [_Limit(answer_s)]
    session.event_hooks = {**session.event_hooks, "request": [*hooks, *limits]}


@dataclass(frozen=True, slots=True)
class _Limit:
    """Is called with each request before it is sent."""

    answer_s: float

    def __call__(self, request: Any) -> None:
        if token := request.headers.get("authorization", "").removeprefix("Bearer "):
            _sent.add(token)
        waits = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = dict.fromkeys(waits, self.answer_s)


def _conceal(record: logging.LogRecord) -> bool:
    record.msg, record.args = shown(record.getMessage()), None
    return True
