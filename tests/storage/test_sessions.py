"""Which drivers live: told without comparing clocks, with real processes of this machine."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.sessions import (
    Watch,
    is_alive,
    live_sessions,
    new_session,
    read_session,
    session_name,
    sessions_of,
    this_process,
    write_session,
)

ELSEWHERE = "another-boot/pid:[1]/7@100"


@pytest.fixture
def root(tmp_path):
    return Root(str(tmp_path))


def some_session(root, name="a", run="run", **changes):
    session = new_session(name, run)
    for key, value in changes.items():
        setattr(session, key, value)
    write_session(root, session)
    return session


@contextmanager
def killed():
    """What a process calls itself, and what kills it."""
    told = "from rdpt_ray.storage.sessions import this_process; print(this_process(), flush=True)"
    code = f"{told}; input()"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True
    ) as child:

        def kill():
            child.kill()
            child.wait()

        yield child.stdout.readline().strip(), kill


def test_a_record_is_read_back_as_it_was_written(root):
    session = some_session(root, progress={"stage": "score", "done": 1, "total": 2})
    assert read_session(root, session_name("run", "a")) == session


def test_sessions_of_a_run_come_in_the_order_they_started(root):
    for name, when in (("a", "2026-03-02"), ("b", "2026-03-01"), ("c", "2026-03-03")):
        some_session(root, name, started_at=when)
    some_session(root, "d", run="other")
    assert [each.session for each in sessions_of(root, "run")] == ["b", "a", "c"]


def test_a_process_is_alive_until_it_ends():
    with killed() as (name, kill):
        assert is_alive(name) is True
        assert is_alive(this_process()) is True
        kill()
        assert is_alive(name) is False


def test_a_number_used_again_is_another_process():
    number_again = this_process().rpartition("@")[0] + "@1"
    assert is_alive(number_again) is False


@pytest.mark.parametrize("number", ["", "@1", "seven@1", "-7@1"])
def test_of_a_record_that_is_none_nothing_is_known(number):
    """It was a ValueError, and anybody may write a file."""
    assert is_alive(this_process().rpartition("/")[0] + "/" + number) is None


def test_of_other_hosts_nothing_is_known():
    assert is_alive(ELSEWHERE) is None


@pytest.mark.parametrize("ended", ["finished", "interrupted", "failed"])
def test_who_says_that_it_ended_is_over(root, ended):
    some_session(root, process=ELSEWHERE, ended=ended)
    assert Watch(root).is_over(session_name("run", "a"))


def test_a_session_without_a_record_is_over(root):
    assert Watch(root).is_over(session_name("run", "a"))


def test_a_killed_process_on_this_host_is_over_at_once(root):
    with killed() as (process, kill):
        some_session(root, process=process)
        watch = Watch(root, lease_s=1000)
        assert not watch.is_over(session_name("run", "a"))
        kill()
        assert watch.is_over(session_name("run", "a"))


def test_a_beat_that_stands_still_ends_the_lease_and_one_that_moves_does_not(root):
    still, moving = (some_session(root, name, process=ELSEWHERE) for name in ("a", "b"))
    watch = Watch(root, lease_s=0.5)
    names = [session_name("run", name) for name in ("a", "b")]
    over = []
    for _ in range(8):
        over = [watch.is_over(name) for name in names]
        moving.beat += 1
        write_session(root, moving)
        time.sleep(0.1)
    assert over == [True, False]
    assert still.beat == 0


@pytest.mark.parametrize("shift_s", [-1e9, 1e9])
def test_clocks_do_not_matter(root, shift_s, monkeypatch):
    """The observer's clock is set back or forward by decades while it watches."""
    some_session(root, process=ELSEWHERE, started_at="2999-01-01T00:00:00+00:00")
    watch, real = Watch(root, lease_s=0.3), time.time
    assert not watch.is_over(session_name("run", "a"))
    monkeypatch.setattr(time, "time", lambda: real() + shift_s)
    assert not watch.is_over(session_name("run", "a"))
    time.sleep(0.35)
    assert watch.is_over(session_name("run", "a"))


def test_live_sessions_are_those_that_beat_or_run_here(root):
    some_session(root, "here")
    some_session(root, "done", ended="finished")
    with killed() as (process, kill):
        kill()
        some_session(root, "killed", process=process)
    assert live_sessions(root) == [session_name("run", "here")]
