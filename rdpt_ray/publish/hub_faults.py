"""When the Hub does not do what it is asked: what may pass is tried again, the rest is told in words.

The client itself asks six times where that does no harm (questions and uploads). This is for what it asks
once, as a commit, and for a Hub that is gone for longer.
"""

import itertools
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from huggingface_hub import errors
from huggingface_hub.errors import GatedRepoError, HFValidationError, OfflineModeIsEnabled

from rdpt_ray.errors import PublishError, RdptError
from rdpt_ray.publish.hub_client import asked_s, credential_source, limit_client, shown
from rdpt_ray.publish.hub_target import HubTarget
from rdpt_ray.storage.remote import http_status, remote_faults

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_LONGEST_WAIT_S = 60.0
_MAY_PASS = frozenset({408, 409, 412, 425, 429})
"""Of the answers below 500. 409: another commit is being made; 412: another one was."""

_MOVED = (errors.EntryNotFoundError, errors.RevisionNotFoundError)
"""Of what was there a moment ago: another look will tell."""

_random = random.SystemRandom()  # of its own: a job's seeded numbers stay as they are


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with a Hub that fails."""

    tries: int = 8
    first_wait_s: float = 1.0
    """Before the second try, and twice as long each time."""
    total_s: float = 1800.0
    """No try begins later than this after the first, and no wait ends later."""
    answer_s: float = 120.0
    """How long the Hub may be silent."""


PATIENCE = Patience()


def persevere(act: Callable[[], Result], target: HubTarget, patience: Patience) -> Result:
    """Do something that looks at the Hub before it changes anything, until it succeeds.

    Args:
        act: What to do.
        target: What it is done to, for the words.
        patience: When to stop.

    Raises:
        PublishError: if it will not succeed, or did not for too long; no part of it holds a secret.
    """
    end = time.monotonic() + patience.total_s
    for number in itertools.count(1):
        limit_client(patience.answer_s, end)
        try:
            return act()
        except RdptError:
            raise
        except _faults() as error:
            problem = error
        # Raised out here, without a cause: that holds the request, and the token in it.
        wait_s = _wait_s(problem, number, patience)
        if refusal := _refusal(problem, target):
            raise PublishError(refusal)
        if number == patience.tries:
            raise PublishError(f"{target}: not published after {number} tries: {_told(problem)}")
        if time.monotonic() + wait_s > end:
            raise PublishError(
                f"{target}: not published within {patience.total_s:.0f} s, and the next try would be in"
                f" {wait_s:.0f} s: {_told(problem)}"
            )
        logger.warning("%s: %s; trying again in %.1f s", target, _told(problem), wait_s)
        time.sleep(wait_s)
    raise AssertionError("unreachable")


def _faults() -> tuple[type[Exception], ...]:
    """What the client raises when the Hub cannot be reached, refuses, or answers what makes no sense.

    It parses answers without a look (KeyError, TypeError), and wraps what an upload raised (RuntimeError).
    """
    oidc = getattr(errors, "OIDCError", OSError)
    return (*remote_faults(), ValueError, KeyError, TypeError, RuntimeError, oidc)


def _refusal(error: Exception, target: HubTarget) -> str | None:
    """Why it is no use to ask again, with what to do; None if it may be of use."""
    for one in _causes(error):
        if isinstance(one, OfflineModeIsEnabled):
            return f"{target}: HF_HUB_OFFLINE is set: the Hub may not be asked; unset it to publish"
        if isinstance(one, HFValidationError) or type(one).__name__ == "OIDCError":
            return f"{target}: {shown(one)}"
        if isinstance(one, GatedRepoError):
            return (
                f"{target}: the dataset is gated, and {_token()} has no access: {shown(one)}; ask for it"
                " on the dataset's page, or use the token of somebody who has it"
            )
        status = http_status(one)
        if status is None:
            continue
        if status >= 500 or status in _MAY_PASS or isinstance(one, _MOVED):
            return None
        return f"{target}: {_words(status)} ({_told(error)})"
    return None


def _words(status: int) -> str:
    if status == 401:
        if not credential_source():
            return (
                "the Hub asks for a login, and there is no token: set HF_TOKEN in the environment, or run"
                " `hf auth login`"
            )
        return f"the Hub does not accept {_token()}: it is wrong, expired, or for another Hub"
    if status == 403:
        return (
            f"{_token()} has no permission: it needs `write` access to this dataset (to its organisation, if"
            " the dataset has to be made; to discussions, for a pull request)"
        )
    if status == 404:
        return f"not found: it is gone, or {_token()} may not see it"
    return f"the Hub refuses with status {status}"


def _token() -> str:
    return f"the token {credential_source()}" if credential_source() else "no token"


def _wait_s(error: Exception, number: int, patience: Patience) -> float:
    """What the Hub asks for; else twice as long each time, and never in step with another publisher."""
    for one in _causes(error):
        response = getattr(one, "response", None)
        if response is not None and (asked := asked_s(response)) is not None:
            return asked + _random.uniform(0, patience.first_wait_s)
    longest = min(_LONGEST_WAIT_S, patience.first_wait_s * 2 ** (number - 1))
    return _random.uniform(longest / 2, longest)


def _told(error: Exception) -> str:
    """What it says; of what was wrapped, because it happened in another thread, both."""
    first, *causes = _causes(error)
    return (
        f"{shown(first)} ({shown(causes[0])})"
        if causes and type(first) is RuntimeError
        else shown(first)
    )


def _causes(error: BaseException | None) -> Iterator[Exception]:
    """An exception and what it was made of."""
    while isinstance(error, Exception):
        yield error
        error = error.__cause__
