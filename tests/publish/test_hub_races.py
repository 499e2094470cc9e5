"""Publishers at the same time, answers that are lost, and a reader who looks all the while."""

import json
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.hub.server import TOKEN
from tests.hub.wire import ALWAYS, Fault
from tests.publish.hub_releases import (
    COMMIT,
    NAME,
    content_of,
    is_linear,
    publish,
    release_of,
    shown,
    states,
)


@pytest.fixture
def releases(tmp_path):
    return [
        release_of(tmp_path / f"run-{place}", f"title {place}", shards=1 + place)
        for place in range(4)
    ]


def at_once(*calls):
    """What calls return that are made at the same time."""
    barrier = threading.Barrier(len(calls))

    def start(call):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(start, calls))


@contextmanager
def together(hub, count, pattern="/commit/"):
    """Hold the first requests of a kind back until so many of them are there."""
    barrier, seen = threading.Barrier(count), []

    def hold(method, path):
        if pattern in path and len(seen) < count:
            seen.append(path)
            barrier.wait(30)

    hub.listeners.append(hold)
    yield
    hub.listeners.remove(hold)


@contextmanager
def watched(hub, revision="main"):
    """Every state of the dataset that somebody sees who lists its files all the while: path -> git's name."""
    seen, done = [], threading.Event()
    url = f"{hub.url}/api/datasets/{NAME}/tree/{revision}?recursive=true"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})

    def look():
        while not done.wait(0.002):
            with urllib.request.urlopen(request) as answer:
                listed = json.load(answer)
            state = {each["path"]: each["oid"] for each in listed if each["type"] == "file"}
            if state not in seen[-1:]:
                seen.append(state)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def names(commit):
    return {path: blob.oid for path, blob in commit.files.items()}


def test_two_publishers_of_the_same_release_make_one_commit(hub, releases):
    publish(releases[0])
    with together(hub, 2):
        done = at_once(lambda: publish(releases[1]), lambda: publish(releases[1]))
    assert states(hub) == [content_of(releases[1]), content_of(releases[0]), {}]
    assert sorted(each.changed for each in done) == [False, True]
    assert {each.why for each in done if not each.changed} == {
        "another publisher of this release was first"
    }
    assert len({each.commit for each in done}) == 1
    assert len(hub.datasets[NAME].commits) == 3


def test_two_publishers_of_a_new_dataset_make_one_commit(hub, releases):
    with together(hub, 2, "/repos/create"):
        done = at_once(lambda: publish(releases[1]), lambda: publish(releases[1]))
    assert states(hub) == [content_of(releases[1]), {}]
    assert sorted(each.changed for each in done) == [False, True]


def test_publishers_of_different_releases_make_whole_commits_one_after_the_other(hub, releases):
    publish(releases[0])
    hub.datasets[NAME].commit({"notes.md": b"mine"})
    with together(hub, 3):
        done = at_once(*(lambda each=each: publish(each) for each in releases[1:]))
    assert all(each.changed for each in done)
    found = states(hub)
    wanted = [{"notes.md": b"mine", **content_of(release)} for release in releases[1:]]
    assert len(found) == 3 + 3
    assert all(found.count(state) == 1 for state in wanted)
    assert all(state in wanted for state in found[:3])
    assert is_linear(hub)
    for release, each in zip(releases[1:], done, strict=True):
        assert hub.datasets[NAME].commits[each.commit].content() == {
            "notes.md": b"mine",
            **content_of(release),
        }


def test_somebody_edits_the_dataset_meanwhile(hub, releases):
    publish(releases[0])
    edits = iter([{"notes.md": b"1"}, {"README.md": b"# mine"}, {"more.md": b"3"}])

    def edit(method, path):
        if "/commit/" in path and (files := next(edits, None)):
            hub.datasets[NAME].commit(files)

    hub.listeners.append(edit)
    publish(releases[1])
    assert hub.count(*COMMIT) == 1 + 4
    assert shown(hub) == {"notes.md": b"1", "more.md": b"3", **content_of(releases[1])}
    assert is_linear(hub)


def test_a_commit_whose_answer_was_lost_is_not_made_again_on_top_of_another(hub, releases):
    """Its publisher learns nothing, another one publishes, and then it looks: its work is done."""
    publish(releases[0])
    others = []

    def publish_another(method, path):
        if others or "/revision/main" not in path or hub.count(*COMMIT) < 2:
            return
        others.append(None)
        hub.datasets[NAME].commit(content_of(releases[2]), deleted=set(content_of(releases[1])))

    hub.listeners.append(publish_another)
    with hub.failing(Fault("forget", *COMMIT)):
        done = publish(releases[1], tag="v1")
    assert others
    assert [done.changed, done.why] == [True, "committed, though the Hub's answer was lost"]
    assert hub.datasets[NAME].commits[done.commit].content() == content_of(releases[1])
    assert hub.datasets[NAME].tags == {"v1": done.commit}
    assert shown(hub) == content_of(releases[2])
    assert hub.count(*COMMIT) == 2


def test_a_pull_request_whose_answer_was_lost_is_not_opened_again(hub, releases):
    publish(releases[0])
    with hub.failing(Fault("hang_up", *COMMIT)):
        done = publish(releases[1], pull_request=True)
    assert done.changed
    assert done.url.endswith("/discussions/1")
    assert list(hub.datasets[NAME].pulls) == [1]


def test_two_publishers_of_one_tag_put_it_once(hub, releases):
    publish(releases[0])
    with together(hub, 2, "/tag/"):
        done = at_once(lambda: publish(releases[1], tag="v"), lambda: publish(releases[1], tag="v"))
    assert hub.datasets[NAME].tags == {"v": done[0].commit}


@pytest.mark.parametrize("kind", ["none", "forget", "reset", "412", "slow"])
def test_no_reader_ever_sees_a_part_of_a_release(hub, releases, kind):
    publish(releases[0])
    hub.datasets[NAME].commit({"notes.md": b"mine"})
    slow = [Fault("slow", path=each, times=ALWAYS, seconds=0.02) for each in ("/lfs/", "/tree/")]
    fault = [] if kind == "none" else [Fault(kind, *COMMIT, seconds=0.2)]
    with watched(hub) as seen, hub.failing(*fault, *slow):
        publish(releases[2])
        publish(releases[3])
    commits = [names(commit) for commit in reversed(hub.datasets[NAME].history())]
    assert len(commits) == 5
    assert seen == commits[2:] or seen == commits[2:4]
    assert len(seen) >= 2
