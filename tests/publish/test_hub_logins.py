"""Who may publish, what they are told, and that nothing they logged in with is shown to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub.utils import are_progress_bars_disabled, get_session

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.hub_client import careful_client, credential_source, limit_client, shown
from tests.hub.client import environment, turned_to
from tests.hub.server import READ_TOKEN, TOKEN
from tests.hub.wire import ALWAYS, Account, Fault
from tests.hub.writing import new_dataset
from tests.publish.hub_releases import NAME, content_of, publish, release_of, states

REPOSITORY = Path(__file__).resolve().parents[2]
CANARY = "hf_CANARYneverToBeSeenAnywhere0123456789"


@pytest.fixture
def release(tmp_path):
    return release_of(tmp_path / "run-1")


def refusal(hub, folder, release, token, **target):
    """What a publisher with this token is told, at once and with nothing done."""
    hub.requests.clear()
    with turned_to(hub, folder, token=token), pytest.raises(PublishError) as refused:
        publish(release, **target)
    assert len(hub.requests) < 6
    assert not hub.uploads()
    for secret in (token, TOKEN, READ_TOKEN):
        assert not secret or secret not in str(refused.value)
    return str(refused.value)


def test_without_a_token_it_is_told_where_one_is_looked_for(hub, tmp_path, release):
    told = refusal(hub, tmp_path, release, None)
    assert told.startswith(
        f"hf://datasets/{NAME}: the Hub asks for a login, and there is no token: set HF_TOKEN in the"
        " environment, or run `hf auth login`"
    )
    assert NAME not in hub.datasets


def test_a_wrong_token_is_told_by_where_it_is_from(hub, tmp_path, release):
    told = refusal(hub, tmp_path, release, "hf_wrong")
    assert "the Hub does not accept the token of HF_TOKEN in the environment" in told


def test_a_token_of_the_hub_s_own_store_is_used_and_named_by_its_file(hub, tmp_path, release):
    with turned_to(hub, tmp_path, token=None):
        (tmp_path / "token").write_text("hf_wrong\n")
        with pytest.raises(PublishError, match=f"the token in {tmp_path}/token"):
            publish(release)
        (tmp_path / "token").write_text(TOKEN)
        assert publish(release).changed


def test_a_token_that_may_only_read_is_told_what_it_lacks(hub, tmp_path, release):
    told = refusal(hub, tmp_path, release, READ_TOKEN)
    assert "the token of HF_TOKEN in the environment has no permission: it needs `write`" in told
    hub.datasets[NAME] = new_dataset(private=True)
    told = refusal(hub, tmp_path, release, READ_TOKEN)
    assert "has no permission: it needs `write` access to this dataset" in told


def test_a_dataset_of_others_is_told(hub, tmp_path, release):
    told = refusal(hub, tmp_path, release, TOKEN, name="others/traces")
    assert "has no permission" in told
    hub.datasets["others/traces"] = new_dataset(private=True)
    told = refusal(hub, tmp_path, release, TOKEN, name="others/traces")
    assert "has no permission" in told or "may not see it" in told


def test_a_gated_dataset_without_access_is_told(hub, tmp_path, release):
    hub.datasets[NAME] = new_dataset(gated=True)
    hub.datasets[NAME].commit({"release.json": b"{}"})
    hub.accounts["hf_stranger"] = Account("stranger", orgs=())
    told = refusal(hub, tmp_path, release, "hf_stranger")
    assert "the dataset is gated, and the token of HF_TOKEN" in told
    with hub.failing(Fault("403", "GET", "/revision/", code="GatedRepo", times=ALWAYS)):
        assert "the dataset is gated" in refusal(hub, tmp_path, release, TOKEN)


def test_a_gated_dataset_of_ours_is_published_to(hub, release):
    hub.datasets[NAME] = new_dataset(gated=True, private=True)
    publish(release)
    assert states(hub)[0] == content_of(release)


def test_where_a_token_is_from(monkeypatch, hub, tmp_path):
    assert credential_source() == "of HF_TOKEN in the environment"
    monkeypatch.setenv("HF_OIDC_RESOURCE", "datasets/org/name")
    assert credential_source() == "that was exchanged for HF_OIDC_RESOURCE"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    assert "HF_HUB_DISABLE_IMPLICIT_TOKEN" in credential_source()


def test_an_exchange_of_tokens_that_fails_is_told(hub, tmp_path, release, monkeypatch):
    with turned_to(hub, tmp_path, token=None), monkeypatch.context() as patch:
        patch.setenv("HF_OIDC_RESOURCE", "datasets/org/name")
        with pytest.raises(PublishError, match="OIDC"):
            publish(release)


def test_what_is_shown_holds_no_secret(hub, release):
    publish(release)
    text = f"no \x1b[31m{TOKEN} at https://me:pass@host/x?X-Amz-Signature=abc \u202e"
    assert shown(text) == "no \\x1b[31m(token) at https://host/x \\u202e"
    assert shown(ValueError(text)) == shown(text)
    assert TOKEN[:12] not in shown("x" * 390 + TOKEN)  # where a long text is cut
    assert shown(ValueError()) == "ValueError"


def test_the_client_is_as_it_was_afterwards(hub):
    before = {name: list(hooks) for name, hooks in get_session().event_hooks.items()}
    with careful_client(progress=False):
        for until in (1.0, 2.0):
            limit_client(3.0, until)
        assert are_progress_bars_disabled()
        counts = {
            name: len(hooks) - len(before[name])
            for name, hooks in get_session().event_hooks.items()
        }
        assert counts == {"request": 1, "response": 1}
    assert get_session().event_hooks == before
    assert not are_progress_bars_disabled()


FAULTS = {
    "nothing": [],
    "a token that is read aloud": [
        Fault("403", "POST", "/commit/", message=f"Bearer {CANARY} may not write", times=ALWAYS)
    ],
    "a token that is wrong": [
        Fault("401", message=f"Invalid token {CANARY}", code="RepoNotFound", times=ALWAYS)
    ],
    "uploads that fail": [Fault("503", "PUT", "^/lfs/", message=f"? {CANARY}", times=2)],
    "commits that fail": [Fault("500", "POST", "/commit/", message=CANARY, times=ALWAYS)],
    "connections that break": [Fault("reset", "PUT|POST", "lfs|commit", times=2)],
}


SLOW = ("nothing", "a token that is wrong", "connections that break")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow if each in SLOW else ()) for each in FAULTS]
)
def test_no_secret_is_written_anywhere(hub, tmp_path, name):
    """With everything logged that any library logs; the token, and addresses that are as good as one."""
    hub.accounts[CANARY] = hub.accounts[TOKEN]
    release = release_of(tmp_path / "run-1")
    kept = {key: os.environ[key] for key in ("PATH",) if key in os.environ}
    with hub.failing(*FAULTS[name]):
        done = subprocess.run(
            [sys.executable, "-m", "tests.publish.publish_folder", release.folder, NAME, "2"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=REPOSITORY,
            env={**kept, **environment(hub, tmp_path, token=CANARY), "HF_DEBUG": "1"},
        )
    assert done.returncode == 0, done.stderr
    assert "DEBUG:" in done.stderr
    written = [done.stdout, done.stderr]
    written += [path.read_text("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    written += [str(dataset) for dataset in hub.datasets.values()]
    for secret in (CANARY, "signed-never-shown", "Bearer hf"):
        assert not any(secret in text for text in written), secret
