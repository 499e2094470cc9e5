"""A round that was overtaken publishes nothing, wherever it was stopped in between."""

import json
from contextlib import contextmanager

import pytest

from rdpt_ray.errors import LeaseError
from rdpt_ray.publish.fence import SCHEDULE, Round, must_mark, round_in, round_of
from rdpt_ray.publish.folder import publish_to_folder
from rdpt_ray.publish.release import RELEASE
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.files import Root, open_root
from rdpt_ray.storage.leases import take_lease
from tests.publish.finished_run import finished_run
from tests.publish.hub_releases import (
    COMMIT,
    NAME,
    content_of,
    load_release,
    publish,
    release_of,
    shown,
    states,
)


@pytest.fixture
def take(tmp_path):
    """Take the next lease from a holder that is silent, or has ended."""
    root = Root(str(tmp_path / "store"))
    return lambda schedule="nightly": take_lease(root, schedule, 0.05)


@pytest.fixture
def scheduled(tmp_path):
    """A release of a round, with a title of its own."""

    def make(lease, title):
        release = release_of(tmp_path / f"{title} {lease.number}", title)
        path = release.folder / RELEASE
        path.write_text(json.dumps({**json.loads(path.read_text()), SCHEDULE: round_of(lease)}))
        return load_release(release.folder)

    return make


@contextmanager
def meanwhile(hub, act):
    """Do something once, when the first commit is on its way to the hub: its publisher has looked already."""
    left = [act]

    def listener(method, path):
        if "/commit/" in path and left:
            left.pop()()

    hub.listeners.append(listener)
    yield
    hub.listeners.remove(listener)
    assert not left


def number_shown(hub):
    return json.loads(shown(hub)[RELEASE])[SCHEDULE]["number"]


def test_a_release_says_which_round_made_it_and_is_the_same_release(tmp_path, take):
    finished_run(tmp_path / "run")
    run, lease = open_root(str(tmp_path / "run")), take()
    by_hand = make_release(run, tmp_path / "by hand", PublishConfig())
    by_round = make_release(run, tmp_path / "by round", PublishConfig(), lease)
    assert by_hand.release_id == by_round.release_id
    told = json.loads((by_round.folder / RELEASE).read_text())
    assert round_in(told) == Round("nightly", lease.record.series, 1)
    assert round_in(json.loads((by_hand.folder / RELEASE).read_text())) is None


def test_an_overtaken_round_publishes_nothing(hub, take, scheduled):
    old = take()
    new = take()
    with pytest.raises(LeaseError, match="round 2 of nightly has taken over"):
        publish(scheduled(old, "old"), lease=old)
    assert hub.count(*COMMIT) == 0
    publish(scheduled(new, "new"), lease=new)
    assert number_shown(hub) == 2


def test_a_round_overtaken_between_its_look_and_its_commit_publishes_nothing(hub, take, scheduled):
    first = take()
    publish(scheduled(first, "first"), lease=first)
    old = take()

    def overtake():
        new = take()
        publish(scheduled(new, "new"), lease=new)

    with meanwhile(hub, overtake), pytest.raises(LeaseError):
        publish(scheduled(old, "old"), lease=old)
    assert number_shown(hub) == 3
    assert len(states(hub)) == 3
    assert hub.count(*COMMIT) == 3, "the third was refused: the head had moved"


def test_an_equal_release_is_marked_against_a_round_that_may_live(hub, take, scheduled):
    """Else that one's commit, which was on its way already, would replace it: the head had not moved."""
    first = take()
    publish(scheduled(first, "same"), lease=first)
    first.end("finished")
    old = take()
    marked = []

    def overtake():
        new = take()
        marked.append(publish(scheduled(new, "same"), lease=new))

    with meanwhile(hub, overtake), pytest.raises(LeaseError):
        publish(scheduled(old, "old"), lease=old)
    assert [each.changed for each in marked] == [True]
    assert number_shown(hub) == 3
    history = hub.datasets[NAME].history()
    changed = {path for path, blob in history[0].files.items() if history[1].files[path] != blob}
    assert changed == {RELEASE}
    assert len(states(hub)) == 3


def test_an_equal_release_is_left_alone_when_every_earlier_round_has_ended(hub, take, scheduled):
    for number in (1, 2, 3):
        lease = take()
        published = publish(scheduled(lease, "same"), lease=lease)
        lease.end("finished")
        assert published.changed is (number == 1)
    assert number_shown(hub) == 1
    assert hub.count(*COMMIT) == 1


def test_marked_once_is_enough(take):
    first = take()
    second = take()
    assert second.record.at_large == first.number
    there = Round("nightly", second.record.series, 2)
    second.end("finished")
    third = take()
    assert third.record.at_large == first.number
    assert not must_mark(third, there)
    assert must_mark(third, Round("nightly", third.record.series, 1))
    assert must_mark(third, Round("nightly", "another", 9))
    assert must_mark(third, None)
    assert not must_mark(None, None)


def test_a_later_rounds_release_is_not_replaced_whatever_the_store_says(hub, take, scheduled):
    """A store that was put back to an earlier state gives old numbers again."""
    leases = [take() for _ in range(3)]
    publish(scheduled(leases[2], "third"), lease=leases[2])
    root = Root(leases[0]._root.uri)
    for name in root.names("leases")[1:]:
        root.delete(name)
    with pytest.raises(
        LeaseError, match="round 3 of nightly has published there, and this is round 1"
    ):
        publish(scheduled(leases[0], "first"), lease=leases[0])
    assert shown(hub) == content_of(scheduled(leases[2], "third"))


def test_numbers_of_another_store_do_not_count(hub, take, scheduled, tmp_path):
    for _ in range(3):
        lease = take()
    publish(scheduled(lease, "old store"), lease=lease)
    new = take_lease(Root(str(tmp_path / "new store")), "nightly", 60)
    assert publish(scheduled(new, "new store"), lease=new).changed
    assert number_shown(hub) == 1


def test_a_folder_is_fenced_too(take, scheduled, tmp_path):
    folder = tmp_path / "dataset"
    old, new = take(), take()
    with pytest.raises(LeaseError):
        publish_to_folder(scheduled(old, "old"), str(folder), old)
    assert not folder.exists()
    assert publish_to_folder(scheduled(new, "new"), str(folder), new).changed
    new.end("finished")
    last = take()
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert not publish_to_folder(scheduled(last, "new"), str(folder), last).changed
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_folder_changes_no_more_once_its_round_is_overtaken(
    take, scheduled, tmp_path, monkeypatch
):
    folder = tmp_path / "dataset"
    first = take()
    publish_to_folder(scheduled(first, "first"), str(folder), first)
    old, write = take(), Root.write_bytes

    def overtaken_at_a_shard(root, name, data):
        write(root, name, data)
        if name.startswith("incoming-") and len(takers) == 0:
            takers.append(take())

    takers = []
    monkeypatch.setattr(Root, "write_bytes", overtaken_at_a_shard)
    with pytest.raises(LeaseError):
        publish_to_folder(scheduled(old, "old"), str(folder), old)
    assert "first" in (folder / "README.md").read_text()
    (new,) = takers
    publish_to_folder(scheduled(new, "new"), str(folder), new)
    assert "new" in (folder / "README.md").read_text()
    assert json.loads((folder / RELEASE).read_text())[SCHEDULE]["number"] == 3
    assert not [path for path in folder.iterdir() if path.name.startswith((".", "incoming"))]


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {SCHEDULE: None},
        {SCHEDULE: "x"},
        {SCHEDULE: {"name": "n", "series": "s"}},
        {SCHEDULE: {"name": "n", "series": "s", "number": "many"}},
        {SCHEDULE: {"name": "n", "series": "s", "number": float("inf")}},
    ],
)
def test_what_anybody_may_have_written_is_no_round(told):
    assert round_in(told) is None
