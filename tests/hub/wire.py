"""What goes over the wire: requests and who sent them, answers, refusals, and what can go wrong."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ALWAYS = 10**9
"""As many requests as anybody makes."""


@dataclass
class Fault:
    """What to do to the next requests of a kind.

    Attributes:
        kind: A status, as `429`: answer that. `forget`: do what is asked and answer 500. `reset`: break the
            connection off while the request arrives. `hang_up`: do what is asked and break it off.
            `truncate`: do it, and send half of the answer. `malformed`: do it, and answer what is no JSON.
            `empty`: do it, and answer an empty object. `slow`: do it late.
        method: Pattern of the whole method.
        path: Pattern that is found in `path?query`.
        times: How many requests.
        after: How many are let through before.
        seconds: How late.
        headers: Of the answer.
        code: The Hub's own name of the error.
        message: What it says.
    """

    kind: str
    method: str = ".*"
    path: str = ""
    times: int = 1
    after: int = 0
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    message: str = "told to fail"

    def hits(self, method, path):
        """Whether it is a request of the kind, and this one's turn."""
        if not (self.times and re.fullmatch(self.method, method) and re.search(self.path, path)):
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class RateLimit:
    """So many requests in so many seconds; the rest is told to come back in the next window."""

    requests: int
    window_s: float
    began: float = float("-inf")
    used: int = 0
    refused: int = 0

    def wait_s(self):
        """Count a request; 0 if it may be answered, else the seconds until the next window."""
        now = time.monotonic()
        if now - self.began >= self.window_s:
            self.began, self.used = now, 0
        self.used += 1
        if self.used <= self.requests:
            return 0.0
        self.refused += 1
        return self.began + self.window_s - now


@dataclass(frozen=True)
class Account:
    """Who holds a token."""

    name: str = "user"
    writes: bool = True
    orgs: tuple[str, ...] = ("org",)

    def owns(self, dataset):
        return dataset.partition("/")[0] in (self.name, *self.orgs)


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_content: bool = False
    """Whether the body is a file's."""


class Refused(Exception):
    """A request that is not done: the status, and the error as the Hub words it."""

    def __init__(self, status, message, code="", headers=None, **more):
        super().__init__(message)
        self.answer = Answer(
            status,
            json.dumps({"error": message, **more}).encode(),
            {"Content-Type": "application/json", "X-Error-Message": message}
            | ({"X-Error-Code": code} if code else {})
            | dict(headers or {}),
        )


def as_json(value, **headers):
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


@dataclass
class Request:
    """A request to a hub."""

    hub: Any
    method: str
    target: str
    """Path and query, as they came."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self):
        return urlsplit(self.target).path

    def asked(self, name, default=""):
        """A parameter of the query."""
        return parse_qs(urlsplit(self.target).query).get(name, [default])[0]

    def json(self):
        return json.loads(self.body or b"{}")

    def form(self):
        """A body of parameters, each with all of its values; JSON is taken too."""
        if self.headers.get("Content-Type", "").startswith("application/json"):
            return self.json()
        return parse_qs(self.body.decode())

    @property
    def account(self) -> Account | None:
        """Who asks; None without a token."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not token:
            return None
        if token not in self.hub.accounts:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.accounts[token]

    def dataset(self, name, *, write=False, files=False):
        """The dataset of this name, if whoever asks may see it, change it, read its files."""
        name = unquote(name)
        account, dataset = self.account, self.hub.datasets.get(name)
        if dataset is None or (dataset.private and not (account and account.owns(name))):
            raise Refused(404 if account else 401, "Repository not found", "RepoNotFound")
        granted = account and (account.name in dataset.granted or account.owns(name))
        if files and dataset.gated and not granted:
            raise Refused(403, f"Access to dataset {name} is restricted", "GatedRepo")
        if write:
            self.check_writes(name)
        return dataset

    def check_writes(self, name):
        if self.account is None:
            raise Refused(401, "Invalid username or password.")
        if not (self.account.writes and self.account.owns(name)):
            raise Refused(403, "You don't have the required permissions for this repo")

    def commit_of(self, dataset, revision):
        """The commit that a quoted revision stands for."""
        sha = dataset.find(unquote(revision))
        if sha is None:
            raise Refused(404, f"Invalid rev id: {unquote(revision)}", "RevisionNotFound")
        return dataset.commits[sha]
