"""Publishers at the same time in one folder, each a process of its own: one at work, none mixed."""

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rdpt_ray.errors import PublishError, StoreError
from rdpt_ray.publish.folder import publish_to_folder
from rdpt_ray.publish.folder_claim import JOURNAL
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import PublishConfig
from tests.publish.finished_run import finished_run, sums
from tests.publish.test_folder import files_in, files_of

REFUSED = 7


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases")
    return [
        make_release(
            finished_run(folder / f"run-{size}", sums(size)), folder / str(size), PublishConfig()
        )
        for size in (6, 7)
    ]


class Stopped:
    """A publisher that stops just before its step-th change of a name, until it is told to go on."""

    def __init__(self, release, folder, step):
        self.pid = os.fork()
        if self.pid == 0:
            self._publish(release, folder, step)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

    def _publish(self, release, folder, step):
        replace, count = os.replace, 0

        def stopping(*args, **kwargs):
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGSTOP)
            return replace(*args, **kwargs)

        os.replace = stopping
        try:
            publish_to_folder(release, str(folder))
            os._exit(0)
        except PublishError:
            os._exit(REFUSED)
        finally:
            os._exit(1)

    def goes_on(self):
        """Its exit code."""
        os.kill(self.pid, signal.SIGCONT)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("step", [1, 4])
def test_who_comes_while_another_is_at_work_is_told(releases, tmp_path, step):
    publish_to_folder(releases[0], str(tmp_path))
    first = Stopped(releases[1], tmp_path, step)
    before = files_in(tmp_path)
    with pytest.raises(PublishError, match="another publisher is at work there"):
        publish_to_folder(releases[0], str(tmp_path))
    assert files_in(tmp_path) == before
    assert first.goes_on() == 0
    assert files_in(tmp_path) == files_of(releases[1])


def test_many_at_once_leave_one_release_whole(releases, tmp_path):
    barrier = threading.Barrier(6)

    def publish(at):
        barrier.wait()
        try:
            return publish_to_folder(releases[at % 2], str(tmp_path)).changed
        except PublishError:
            return None

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(publish, range(6)))
    assert True in done
    assert files_in(tmp_path) in [files_of(each) for each in releases]


def test_who_was_taken_for_killed_on_another_host_stops(releases, tmp_path):
    """At its next file: the one that it was writing may still land, as the documentation says."""
    publish_to_folder(releases[0], str(tmp_path))
    first = Stopped(releases[1], tmp_path, 1)  # it has yet to write its first file
    journal = json.loads((tmp_path / JOURNAL).read_text())
    (tmp_path / JOURNAL).write_text(json.dumps(journal | {"process": "another host/17@3"}))
    publish_to_folder(releases[0], str(tmp_path))
    assert first.goes_on() == REFUSED
    found = {
        name: content for name, content in files_in(tmp_path).items() if "incoming-" not in name
    }
    assert found == files_of(releases[0])


def test_who_fails_may_publish_again_from_the_same_process(releases, tmp_path):
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StoreError, match="data"):
        publish_to_folder(releases[0], str(tmp_path))
    assert json.loads((tmp_path / JOURNAL).read_text())["process"] is None
    (tmp_path / "data").unlink()
    assert publish_to_folder(releases[0], str(tmp_path)).changed
    assert files_in(tmp_path) == files_of(releases[0])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"process": 7, "paths": 7}', b"[" * 100_000])
def test_a_record_of_somebody_else_is_no_publisher(releases, tmp_path, content):
    (tmp_path / JOURNAL).write_bytes(content)
    assert publish_to_folder(releases[0], str(tmp_path)).changed
    assert files_in(tmp_path) == files_of(releases[0])
