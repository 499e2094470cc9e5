"""Large files on their way: interrupted at any request, in pieces, through Xet; none is uploaded twice."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.hub_faults import Patience
from tests.hub.client import environment
from tests.hub.wire import ALWAYS, Fault
from tests.publish.hub_releases import NAME, content_of, publish, release_of, shown, states

REPOSITORY = Path(__file__).resolve().parents[2]


def started(hub, release, *, xet=False, tries=8, token=None, **more):
    """A process that publishes a release."""
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    found = environment(hub, release.folder.parent, xet=xet, **({"token": token} if token else {}))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.publish.publish_folder", release.folder, NAME, str(tries)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**kept, **found, **more},
    )


def finished(process):
    """What a process that publishes told at the end."""
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return json.loads(out.splitlines()[-1])


def killed_at(hub, release, number):
    """Publish from a process that is killed while its request of this number arrives; None if it ended."""
    seen = []

    def kill(method, path):
        seen.append(path)
        if len(seen) == number:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    hub.listeners.append(kill)
    process = started(hub, release)
    process.communicate(timeout=120)
    hub.listeners.remove(kill)
    return process.returncode == -signal.SIGKILL


def check_killed(hub, releases, number):
    """A publisher that is killed leaves one state or the other, and the next one goes on where it was."""
    first, second = releases
    publish(first)
    assert killed_at(hub, second, number)
    assert shown(hub) in (content_of(first), content_of(second))
    publish(second)
    assert states(hub) == [content_of(second), content_of(first), {}]
    assert set(Counter(hub.uploads()).values()) == {1}


@pytest.fixture
def releases(tmp_path):
    return release_of(tmp_path / "run-1"), release_of(tmp_path / "run-2", "second", shards=3)


@pytest.mark.parametrize("number", [9, 15])
def test_a_publisher_that_is_killed_leaves_nothing_half_done(hub, releases, number):
    check_killed(hub, releases, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [*range(1, 9, 2), *range(10, 15), *range(16, 23, 2)])
def test_a_publisher_may_be_killed_at_any_request(hub, releases, number):
    check_killed(hub, releases, number)


def test_an_upload_that_fails_in_the_middle_is_not_begun_again(hub, releases):
    publish(releases[0])
    put = Fault("500", "PUT", "^/lfs/", after=3, times=ALWAYS)
    with hub.failing(put), pytest.raises(PublishError, match="Error while uploading"):
        publish(releases[1], patience=Patience(tries=1))
    assert shown(hub) == content_of(releases[0])
    publish(releases[1])
    assert shown(hub) == content_of(releases[1])
    assert set(Counter(hub.uploads()).values()) == {1}


def test_what_is_on_the_hub_already_is_not_uploaded(hub, tmp_path):
    one = release_of(tmp_path / "one", "same")
    two = release_of(tmp_path / "two", "same", more={"README.md": b"---\nlicense: mit\n---\nother"})
    publish(one)
    before = hub.uploads()
    publish(two)
    assert hub.uploads() == before
    assert states(hub)[:2] == [content_of(two), content_of(one)]


def test_large_files_travel_in_pieces(hub, releases):
    hub.part_bytes = 200
    publish(releases[0])
    assert shown(hub) == content_of(releases[0])
    assert hub.count("PUT", r"/lfs/org/traces/\w+/2\?") == 4
    assert not hub.uploads()


def test_a_release_travels_through_xet(hub, releases, tmp_path):
    """The storage is a folder that the client itself fills; the hub is only told the names of the files."""
    hub.xet = str(tmp_path / "cas")
    (tmp_path / "cas").mkdir()
    done = finished(started(hub, releases[1], xet=True))
    assert done["changed"]
    listed = hub.datasets[NAME].head().files
    large = [file for file in releases[1].files if file.path.endswith(".parquet")]
    assert [listed[file.path].sha256 for file in large] == [file.sha256 for file in large]
    assert [listed[file.path].size for file in large] == [file.num_bytes for file in large]
    assert hub.count("GET", "/xet-write-token/") >= 1
    assert not hub.count("POST", "/lfs/objects/batch")
    stored = [path for path in (tmp_path / "cas").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in stored) >= sum(file.num_bytes for file in large)
    assert not finished(started(hub, releases[1], xet=True))["changed"]
    assert len(states(hub)) == 2
