"""Requests to a server that may be busy, restarting or gone: bounded patience, and faults without secrets."""

import os
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from huggingface_hub.utils import httpx

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import EndpointConfig

LONGEST_BACKOFF_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0
"""A server may ask for any wait; nothing is held up longer than this by one answer."""

CONNECT_TIMEOUT_S = 10.0
RETRIED = frozenset({408, 409, 425, 429})
"""Refusals that another attempt can turn: besides these every 5xx but 501, and no answer at all."""


class EndpointFault(Exception):
    """A request that came to nothing: "status: what the server said (url)"; never holds the key."""

    def __init__(self, text: str, status: int | None = None) -> None:
        """Say what happened.

        Args:
            text: Without secrets.
            status: The HTTP status, or None if there was no answer.
        """
        super().__init__(text)
        self.status = status


def open_client(endpoint: EndpointConfig) -> httpx.Client:
    """A client for one endpoint; close it, or use it as a context.

    Raises:
        ModelError: if the key's environment variable is not set here, or holds what no header can.
    """
    headers: dict[str, str] = {}
    if endpoint.api_key_env is not None:
        key = os.environ.get(endpoint.api_key_env, "").strip()  # mounted secrets end in a newline
        if not key.isascii() or not key.isprintable():
            raise ModelError(
                f"endpoint {endpoint.url}: environment variable {endpoint.api_key_env} (endpoint.api_key_env)"
                " holds characters that cannot be part of a key"
            )
        if not key:
            raise ModelError(
                f"endpoint {endpoint.url}: environment variable {endpoint.api_key_env} (endpoint.api_key_env)"
                " is not set in this process; set it for the job and for the cluster's workers"
            )
        headers["Authorization"] = f"Bearer {key}"
    return httpx.Client(
        headers=headers,
        timeout=httpx.Timeout(endpoint.timeout_s, connect=CONNECT_TIMEOUT_S),
        limits=httpx.Limits(max_connections=endpoint.concurrency),
    )


def request(
    client: httpx.Client,
    endpoint: EndpointConfig,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    max_retries: int | None = None,
) -> Any:
    """POST a body (or GET without one) and give back the JSON of the answer.

    Args:
        client: From `open_client`.
        endpoint: Where, and how patiently.
        path: Below the endpoint's url, with its slash.
        body: What to send as JSON.
        max_retries: Instead of the endpoint's.

    Raises:
        EndpointFault: after the last attempt, or at once where another one is no use.
    """
    url = endpoint.url + path
    left = endpoint.max_retries if max_retries is None else max_retries
    attempt = 0
    while True:
        asked_s = 0.0
        try:
            response = client.request("GET" if body is None else "POST", url, json=body)
        except httpx.RequestError as error:
            said = _without_key(f"{type(error).__name__}: {error}", client)
            fault = EndpointFault(f"no answer: {said} ({url})")
        else:
            if response.is_success:
                return _json(response, url)
            status = response.status_code
            fault = EndpointFault(f"{status}: {_message(response, client)} ({url})", status)
            if status not in RETRIED and (status < 500 or status == 501):
                raise fault
            asked_s = _retry_after_s(response.headers.get("retry-after"))
        if attempt == left:
            raise fault
        time.sleep(wait_s(attempt, endpoint.retry_base_s, asked_s))
        attempt += 1


def wait_s(attempt: int, base_s: float, asked_s: float) -> float:
    """Seconds before the next attempt: what the server asked for, then a doubling wait with jitter.

    The jitter also spreads out requests that were all told to come back at the same time.

    Args:
        attempt: 0 after the first failure.
        base_s: The first wait at its longest.
        asked_s: The server's Retry-After, or 0.
    """
    backoff_s = min(base_s * 2 ** min(attempt, 30), LONGEST_BACKOFF_S)
    return min(asked_s, LONGEST_RETRY_AFTER_S) + backoff_s * random.uniform(0.5, 1)


def _retry_after_s(value: str | None) -> float:
    """Retry-After in seconds: a number, or an HTTP date; 0 if it is neither."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _json(response: httpx.Response, url: str) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise EndpointFault(f"{response.status_code}, but not JSON: {error} ({url})") from error


def _message(response: httpx.Response, client: httpx.Client) -> str:
    """What the server said, in one line; a key that it repeats is cut out."""
    try:
        said = response.json()
        if isinstance(said, dict):
            inner = said.get("error", said)
            said = inner.get("message", inner) if isinstance(inner, dict) else inner
    except ValueError:
        said = response.text
    text = " ".join(_without_key(str(said), client).split())
    return text[:300] or response.reason_phrase


def _without_key(text: str, client: httpx.Client) -> str:
    key = client.headers.get("authorization", "").removeprefix("Bearer ")
    return text.replace(key, "...") if key else text
