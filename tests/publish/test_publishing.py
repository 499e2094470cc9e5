"""A run that was published is not made into a dataset again while nothing has changed."""

import io
import json

import pytest
from rich.console import Console

from rdpt_ray.publish.publishing import PUBLISHED, publish_run
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.files import Root, open_root
from rdpt_ray.storage.leases import take_lease
from tests.publish.finished_run import finished_run
from tests.publish.hub_releases import NAME

QUIET = Console(file=io.StringIO())
NOTHING = "nothing has changed since it was published"


@pytest.fixture
def run(tmp_path):
    finished_run(tmp_path / "run")
    return open_root(str(tmp_path / "run"))


@pytest.fixture(params=["hub", "folder"])
def to(request, hub, tmp_path):
    return f"hf://datasets/{NAME}" if request.param == "hub" else str(tmp_path / "dataset")


@pytest.fixture
def read_tables(monkeypatch):
    """The tables that were read from here on."""
    names, read = [], Root.opened
    monkeypatch.setattr(
        Root, "opened", lambda root, name: (names.append(name), read(root, name))[1]
    )
    return names


def test_published_again_it_reads_no_table(run, to, hub, read_tables):
    first = publish_run(run, PublishConfig(to=to), QUIET)
    assert first.changed
    assert read_tables
    read_tables.clear()
    asked = len(hub.requests)
    again = publish_run(run, PublishConfig(to=to), QUIET)
    assert (again.changed, again.why) == (False, NOTHING)
    assert (again.commit, again.url) == (first.commit, first.url)
    assert not read_tables
    assert len(hub.requests) - asked <= 1


def test_another_config_is_another_dataset(run, to, read_tables):
    publish_run(run, PublishConfig(to=to), QUIET)
    assert publish_run(run, PublishConfig(to=to, rejected=True), QUIET).changed
    read_tables.clear()
    assert publish_run(run, PublishConfig(to=to), QUIET).changed, "only the last one is known"
    assert read_tables


def test_what_somebody_has_changed_there_is_looked_at(run, hub, tmp_path):
    config = PublishConfig(to=f"hf://datasets/{NAME}")
    publish_run(run, config, QUIET)
    hub.datasets[NAME].commit({"notes.md": b"mine"})
    told = publish_run(run, config, QUIET)
    assert (told.changed, told.why) == (False, "it is there already")
    hub.datasets[NAME].commit({}, deleted=["release.json"])
    assert publish_run(run, config, QUIET).changed

    folder = tmp_path / "dataset"
    config = PublishConfig(to=str(folder))
    publish_run(run, config, QUIET)
    next(folder.glob("data/*")).unlink()
    assert publish_run(run, config, QUIET).changed
    assert publish_run(run, config, QUIET).why == NOTHING


def test_a_round_that_has_to_mark_the_release_makes_it(run, to, tmp_path):
    store = Root(str(tmp_path / "store"))
    first = take_lease(store, "nightly", 0.05)
    assert publish_run(run, PublishConfig(to=to), QUIET, first).changed
    second = take_lease(store, "nightly", 60)
    assert second.record.at_large == 1
    assert publish_run(run, PublishConfig(to=to), QUIET, second).changed
    second.end("finished")
    third = take_lease(store, "nightly", 60)
    for _ in range(2):
        told = publish_run(run, PublishConfig(to=to), QUIET, third)
        assert (told.changed, told.why) == (False, NOTHING)


def test_a_damaged_record_only_costs_work(run, to):
    publish_run(run, PublishConfig(to=to), QUIET)
    for damage in (b"", b"[]", b"{", json.dumps({"from": None}).encode()):
        run.write_bytes(PUBLISHED, damage)
        assert not publish_run(run, PublishConfig(to=to), QUIET).changed
