"""What must not leave the house by accident: access tokens and private keys in the text of rows.

The forms are those that their issuers document, so nearly every find is real; secrets without a form of their
own (passwords) are not found. E-mail addresses are counted, no more: most are examples.

A text may be a megabyte of whatever somebody liked. So no pattern may begin anew at every character of a run
that it reads to the end: it begins only where a run begins, or reads a bounded number of characters.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.untrusted import shorten
from rdpt_ray.storage.runs import REPORT

_KINDS: dict[str, tuple[tuple[str, ...], re.Pattern[str]]] = {
    name: (begins, re.compile(pattern))
    for name, begins, pattern in (
        ("Hugging Face token", ("hf_",), r"\bhf_[A-Za-z0-9]{20,}\b"),
        ("API key", ("sk-",), r"\bsk-(?=[A-Za-z_-]{0,99}\d)[A-Za-z0-9_-]{20,}"),
        ("AWS access key", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b(?<!EXAMPLE)"),
        (
            "AWS secret key",
            ("aws_secret_access_key",),
            r"aws_secret_access_key\W{1,6}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])(?<!EXAMPLEKEY)",
        ),
        (
            "GitHub token",
            ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
            r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})\b",
        ),
        ("GitLab token", ("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("Slack token", ("xox",), r"\bxox[abeoprs]-(?=[A-Za-z-]{0,99}\d)[A-Za-z0-9-]{20,}"),
        ("Google API key", ("AIza",), r"\bAIza[A-Za-z0-9_-]{35}\b"),
        ("Stripe key", ("k_live_",), r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"),
        (
            "JSON web token",
            ("eyJ",),
            r"(?<![\w-])eyJ[\w-]{10,}\.(?!eyJzdWIiOiIxMjM0NTY3ODkw|eyJpc3MiOiJqb2Ui)"  # jwt.io's, RFC 7519's
            r"eyJ[\w-]{5,}\.[\w-]{20,}",
        ),
        (
            "private key",
            ("PRIVATE KEY",),
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,200}?[A-Za-z0-9+/]{40}",
        ),
    )
}

_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@(?!example\.)[\w-]{1,63}(?:\.[\w-]{1,63}){0,9}\.[A-Za-z]{2,63}\b"
)
"""As long as one may be (RFC 5321)."""

MAX_SHOWN = 5
"""Finds that an error lists."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One find, masked."""

    where: str
    column: str
    kind: str
    masked: str

    def __str__(self) -> str:
        return f"{self.where}, {self.column}: {self.kind} {self.masked}"


@dataclass(slots=True)
class Screen:
    """What was found in everything that was looked at.

    Attributes:
        secrets: The first of them.
        num_secrets: Rows and files that hold any.
        num_emails: Rows that hold an e-mail address.
    """

    secrets: list[Secret] = field(default_factory=list)
    num_secrets: int = 0
    num_emails: int = 0

    def look(self, row: Mapping[str, Any]) -> None:
        """Look through a row of a run's table."""
        held: list[Secret] = []
        emails = False
        where = f"{shorten(str(row['file']), 200)} row {row['row']} (trace {row['trace_id']})"
        for column, text in _texts(row):
            held += [Secret(where, column, kind, masked) for kind, masked in secrets_in(text)]
            emails = emails or ("@" in text and _EMAIL.search(text) is not None)
        self.num_emails += emails
        self._take(held)

    def look_at_file(self, path: str, text: str) -> None:
        """Look through a file that is published beside the rows."""
        self._take([Secret(path, "text", kind, masked) for kind, masked in secrets_in(text)])

    def _take(self, held: list[Secret]) -> None:
        self.num_secrets += bool(held)
        self.secrets += held[: MAX_SHOWN - len(self.secrets)]

    def refuse_secrets(self) -> None:
        """Stop here if anything was found.

        Raises:
            PublishError: naming file, row and column of the first finds, which are masked.
        """
        if not self.secrets:
            return
        shown = "\n".join(f"  {secret}" for secret in self.secrets)
        raise PublishError(
            f"nothing was published: {self.num_secrets:,} rows or files hold what looks like an access token"
            f" or a private key:\n{shown}\n"
            "take those rows out of the input, or set publish.allow_secrets: true if they are no secrets"
            f"{_about_report(self.secrets)}"
        )


def _about_report(secrets: Iterable[Secret]) -> str:
    if all(secret.where != REPORT for secret in secrets):
        return ""
    return "; the report shows traces that are not selected as well, and publish.report: false leaves it out"


def secrets_in(text: str) -> Iterator[tuple[str, str]]:
    """Kind and masked text of every secret in a text."""
    for kind, (begins, pattern) in _KINDS.items():
        if any(begin in text for begin in begins):
            for found in pattern.finditer(text):
                yield kind, f"{found[0][:4]}*** ({len(found[0])} characters)"


def _texts(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Column and text of everything that is published of a row."""
    for message in row["messages"]:
        yield "messages", message["content"]
    for column in (
        "response",
        "reference_answer",
        "metadata",
        "source",
        "license",
        "teacher_name",
    ):
        if row[column]:
            yield column, row[column]
