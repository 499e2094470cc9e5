import re

import pytest

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.sensitive import Screen, secrets_in
from tests.publish.finished_run import candidate

# Put together here, so that no scanner takes this file for a leak.
SECRETS = {
    "Hugging Face token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "API key": "sk-proj-" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "AWS access key": "AKIA" + "QWERTY234567ABCD",
    "AWS secret key": "aws_secret_access_key = " + "abcdEFGH0123/+ab" * 2 + "abcdefgh",
    "GitHub token": "ghp_" + "a1B2" * 9,
    "GitLab token": "glpat-" + "a1B2c3D4e5F6g7H8i9J0",
    "Slack token": "xoxb-" + "1234567890-abcdefghij",
    "Google API key": "AIza" + "a1B2c3D4e5" * 3 + "f6G7h",
    "Stripe key": "sk_live_" + "a1B2c3D4e5F6g7H8i9J0",
    "JSON web token": ".".join(
        "eyJ" + part for part in ("hbGciOiJIUzI1NiJ9", "1aWQiOjE3fQ", "x" * 30)
    ),
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 4,
}

HARMLESS = [
    "task-based learning-rate schedules are disk-1-2-3",
    "sk-learn-is-a-library-of-many-words-and-hyphens",
    "the prefix hf_ is for tokens, as in hf_xxx or hf_hub_download",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "a header: -----BEGIN " + "PRIVATE KEY----- and so on, then the base64 text, then the footer.",
    "ghp_ is the prefix of GitHub's tokens",
    "eyJ is how JSON begins in base64, as in eyJhIjoxfQ and eyJhIjoxfQ.eyJhIjoxfQ.eyJhIjoxfQ",
    "eyJ"
    + "hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6Ikpv."
    + "S" * 43,
]

ENDLESS = [
    "sk-" * 400_000,
    "xoxb-" * 250_000,
    "eyJ-" * 300_000 + "eyJ." * 300_000,
    "eyJ0123456789." * 80_000,
    "hf_ghp_glpat-" * 90_000,
    "@" + "a" * 1_200_000,
    "a" * 1_200_000 + "@",
    "a@" + "a." * 600_000 + "-",
    "a@" * 600_000,
    "aws_secret_access_key=" * 50_000,
    "-----BEGIN A " * 90_000 + "PRIVATE KEY-----" + "-----BEGIN PRIVATE KEY-----" * 40_000,
]
"""A megabyte of what begins like a secret or an address, and is none."""


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_found_and_masked(kind):
    ((found, masked),) = secrets_in(f"The key is '{SECRETS[kind]}'.")
    assert found == kind
    assert SECRETS[kind][:12] not in masked
    assert re.fullmatch(r".{4}\*\*\* \(\d+ characters\)", masked)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_looks_a_little_like_one_is_none(text):
    assert not list(secrets_in(text))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ENDLESS, ids=[text[:9] for text in ENDLESS])
def test_a_megabyte_of_anything_is_looked_through_in_no_time(text):
    """Each of these took hours, or could have: a pattern that begins anew at every character."""
    screen = Screen()
    screen.look(candidate("2?", "Two.", "4.") | {"response": text})
    assert screen.num_emails == 0


@pytest.mark.parametrize(
    "column", ["response", "messages", "metadata", "source", "reference_answer"]
)
def test_every_column_is_looked_at_and_the_place_told(column):
    secret = SECRETS["Hugging Face token"]
    value = [{"role": "system", "content": secret}] if column == "messages" else f"x {secret}"
    row = candidate("2 + 2?", "Two.", "Four.") | {column: value, "row": 17}
    screen = Screen()
    screen.look(row)
    with pytest.raises(PublishError, match=f"in.jsonl row 17 .*, {column}: Hugging Face") as caught:
        screen.refuse_secrets()
    assert secret not in str(caught.value)
    assert "publish.allow_secrets" in str(caught.value)


def test_rows_are_counted_and_the_first_shown():
    screen = Screen()
    for at in range(20):
        screen.look(candidate("2?", SECRETS["API key"] * 3, "4.") | {"row": at})
        screen.look(candidate("2?", "Two.", "4."))
    assert screen.num_secrets == 20
    assert len(screen.secrets) == 5


def test_email_addresses_are_counted_and_examples_are_not():
    screen = Screen()
    for text in ("mail jane.doe@uni-x.ac.uk now", "user@example.com", "a @ b", "x@y"):
        screen.look(candidate("2?", text, "4."))
    assert (screen.num_emails, screen.num_secrets) == (1, 0)
    screen.refuse_secrets()


def test_a_name_that_hides_something_is_shown():
    screen = Screen()
    screen.look(candidate("2?", SECRETS["API key"], "4.") | {"file": "in\u202e.jsonl\x1b[31m"})
    assert screen.secrets[0].where.startswith("in<U+202E>.jsonl<U+001B>[31m row")
