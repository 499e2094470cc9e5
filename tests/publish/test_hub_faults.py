"""A Hub that fails: whatever goes wrong wherever it does, there is one commit or none, and words for it."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.hub_faults import Patience
from tests.hub.wire import ALWAYS, Fault, RateLimit
from tests.hub.writing import new_dataset
from tests.publish.hub_releases import (
    HASTY,
    NAME,
    content_of,
    is_linear,
    publish,
    release_of,
    shown,
    states,
)

NOTES = {"notes.md": b"mine"}

PLACES = {
    "head": ("GET", "/revision/"),
    "listing": ("GET", "/tree/"),
    "file": ("HEAD", "/resolve/"),
    "content": ("GET", "/resolve/"),
    "refs": ("GET", "/refs"),
    "preupload": ("POST", "/preupload/"),
    "batch": ("POST", "/lfs/objects/batch"),
    "put": ("PUT", "^/lfs/"),
    "verify": ("POST", "/lfs/verify"),
    "card": ("POST", "/validate-yaml"),
    "commit": ("POST", "/commit/"),
    "tag": ("POST", "/tag/"),
}
PLACES_OF_A_NEW_ONE = {"create": ("POST", "/repos/create"), "branch": ("POST", "/branch/")}

PASSING = ["409", "412", "429", "500", "503", "forget", "hang_up", "reset", "truncate", "malformed"]
PASSING += ["empty", "slow"]
ANYWHERE = ["429", "503", "forget", "hang_up", "truncate", "malformed", "empty"]
LASTING = ["400", "401", "403", "404"]


@pytest.fixture
def releases(tmp_path):
    return release_of(tmp_path / "run-1"), release_of(tmp_path / "run-2", "second", shards=3)


def check_update(hub, releases, fault, patience=HASTY):
    """Publish over an earlier release while something fails; what is seen is the one or the other."""
    first, second = releases
    publish(first)
    hub.datasets[NAME].commit(NOTES)
    before = len(states(hub))
    with hub.failing(fault):
        try:
            done = publish(second, tag="v2", patience=patience)
        except PublishError:
            done = None
    found = states(hub)
    assert is_linear(hub)
    assert len(found) - before in ((1,) if done else (0, 1))
    assert found[0] in ([{**NOTES, **content_of(each)} for each in releases])
    if done:
        assert (done.changed, found[0]) == (True, {**NOTES, **content_of(second)})
        assert hub.datasets[NAME].tags == {"v2": done.commit}
    again = publish(second, tag="v2")  # whatever happened, the next time goes on from there
    assert shown(hub) == {**NOTES, **content_of(second)}
    assert len(states(hub)) == before + 1
    assert hub.datasets[NAME].tags == {"v2": again.commit}
    return done


def check_creation(hub, release, fault):
    """Publish to a branch of a dataset that has to be made, while something fails."""
    with hub.failing(fault):
        done = publish(release, revision="next")
    assert done.changed
    assert states(hub, "next") == [content_of(release), {}]
    assert hub.datasets[NAME].private


@pytest.mark.parametrize("kind", PASSING)
def test_a_commit_that_fails_for_a_while_is_made_once(hub, releases, kind):
    assert check_update(hub, releases, Fault(kind, *PLACES["commit"], times=2, seconds=0.05))


@pytest.mark.parametrize("place", PLACES)
def test_a_connection_that_breaks_anywhere_is_made_again(hub, releases, place):
    assert check_update(hub, releases, Fault("reset", *PLACES[place], times=2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ANYWHERE)
@pytest.mark.parametrize("place", [place for place in PLACES if place != "commit"])
def test_what_may_pass_is_outlasted_wherever_it_is(hub, releases, place, kind):
    fault = Fault(kind, *PLACES[place], times=2, seconds=0.05)
    assert check_update(hub, releases, fault)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LASTING)
@pytest.mark.parametrize("place", PLACES)
def test_what_will_not_pass_leaves_nothing_behind(hub, releases, place, kind):
    done = check_update(hub, releases, Fault(kind, *PLACES[place], times=ALWAYS))
    assert done is None


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("place", PLACES_OF_A_NEW_ONE)
def test_a_dataset_and_a_branch_are_made_though_it_fails(hub, releases, place, kind):
    fault = Fault(kind, *PLACES_OF_A_NEW_ONE[place], times=2, seconds=0.05)
    check_creation(hub, releases[0], fault)


@pytest.mark.parametrize("kind", ["500", "503", "reset", "409", "412"])
def test_a_hub_that_keeps_failing_is_given_up_on(hub, releases, kind):
    publish(releases[0])
    hub.requests.clear()
    with (
        hub.failing(Fault(kind, *PLACES["commit"], times=ALWAYS)),
        pytest.raises(PublishError, match="not published after 3 tries: ") as refused,
    ):
        publish(releases[1], patience=Patience(tries=3, first_wait_s=0.01, total_s=60, answer_s=20))
    assert hub.count(*PLACES["commit"]) == 3
    assert len(str(refused.value)) < 600
    assert "mozilla" not in str(refused.value)
    assert refused.value.__cause__ is refused.value.__context__ is None
    assert shown(hub) == content_of(releases[0])


def test_a_hub_that_is_gone_is_told(hub, releases, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PublishError, match=r"not published after 2 tries: .*refused"):
        publish(releases[0], patience=Patience(tries=2, first_wait_s=0.01))


def test_a_silent_hub_is_given_up_on_and_what_it_does_late_is_found(hub, releases):
    """The commit is made after the publisher has gone: the same one, or one that the Hub refuses."""
    publish(releases[0])
    with hub.failing(Fault("slow", *PLACES["commit"], seconds=1.5)):
        done = publish(releases[1], patience=Patience(first_wait_s=0.5, answer_s=0.5))
    time.sleep(1.5)
    assert done.changed
    assert states(hub)[:2] == [content_of(releases[1]), content_of(releases[0])]
    assert is_linear(hub) or len(hub.datasets[NAME].commits) == 3


@pytest.mark.parametrize("place", ["head", "listing", "file", "preupload", "put", "card"])
def test_silence_ends_anywhere(hub, releases, place):
    publish(releases[0])
    began = time.monotonic()
    with hub.failing(Fault("slow", *PLACES[place], seconds=3.0)):
        publish(releases[1], patience=Patience(first_wait_s=0.01, answer_s=0.3))
    assert shown(hub) == content_of(releases[1])
    assert time.monotonic() - began < 2.9


def refused_once(headers):
    return Fault("429", *PLACES["commit"], headers=headers)


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        (lambda: {"Retry-After": "1"}, 1.0),
        (lambda: {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=2))}, 1.0),
        (lambda: {"RateLimit": '"api";r=0;t=0'}, 1.0),
        (lambda: {"Retry-After": "soon"}, 0.0),
        (lambda: {"RateLimit": '"api";r=7;t=100'}, 0.0),
        (dict, 0.0),
    ],
    ids=["seconds", "date", "rate limit", "nonsense", "other limit", "nothing"],
)
def test_the_hub_is_asked_again_when_it_says_so(hub, releases, headers, least):
    publish(releases[0])
    began = time.monotonic()
    with hub.failing(refused_once(headers())):
        publish(releases[1])
    took = time.monotonic() - began
    assert least <= took
    assert shown(hub) == content_of(releases[1])


@pytest.mark.parametrize("place", ["commit", "preupload", "listing"])
@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {"RateLimit": '"api";r=0;t=3599'}])
def test_a_wait_that_is_too_long_is_told_instead(hub, releases, headers, place):
    publish(releases[0])
    began = time.monotonic()
    with (
        hub.failing(Fault("429", *PLACES[place], headers=headers)),
        pytest.raises(PublishError, match="status 429 and asks to wait 3,600 s"),
    ):
        publish(releases[1])
    assert time.monotonic() - began < 20
    assert shown(hub) == content_of(releases[0])


def test_uploads_are_not_kept_waiting_for_too_long_either(hub, releases):
    publish(releases[0])
    with (
        hub.failing(Fault("503", *PLACES["put"], headers={"Retry-After": "3600"}, times=ALWAYS)),
        pytest.raises(PublishError, match="asks to wait 3,600 s"),
    ):
        publish(releases[1])
    assert shown(hub) == content_of(releases[0])


def test_time_runs_out(hub, releases):
    publish(releases[0])
    with (
        hub.failing(Fault("500", *PLACES["commit"], times=ALWAYS)),
        pytest.raises(PublishError, match="not published within 1 s, and the next try would be in"),
    ):
        publish(releases[1], patience=Patience(tries=99, first_wait_s=0.4, total_s=1.0))


def test_a_rate_limit_that_is_used_up_is_waited_for(hub, releases):
    hub.limit = RateLimit(requests=50, window_s=0.9, began=time.monotonic(), used=50)
    publish(releases[0])
    assert hub.limit.refused == 1
    assert states(hub) == [content_of(releases[0]), {}]


def test_files_that_go_away_below_a_commit_are_looked_for_again(hub, releases):
    """The Hub may look at deletions before it looks at the parent, and refuse them as not found."""
    publish(releases[0])
    stale = "data/train-00000-of-00002.parquet"

    def delete(method, path):
        if "/commit/" in path and stale in shown(hub):
            hub.datasets[NAME].commit({}, deleted=[stale])

    hub.listeners.append(delete)
    with hub.failing(Fault("404", *PLACES["commit"], code="EntryNotFound")):
        publish(releases[1])
    assert shown(hub) == content_of(releases[1])


def test_offline_is_told_at_once(hub, releases, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PublishError, match="HF_HUB_OFFLINE is set"):
        publish(releases[0])
    assert not hub.requests


def test_a_full_account_is_told(hub, releases):
    hub.datasets[NAME] = new_dataset(private=True)
    message = "Private repository storage limit reached"
    with (
        hub.failing(Fault("403", *PLACES["batch"], message=message)),
        pytest.raises(PublishError, match=message),
    ):
        publish(releases[0])
