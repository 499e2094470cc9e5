"""What a driver writes of itself while it works."""

import threading
import time
from contextlib import suppress

import pytest
from rich.console import Console

from rdpt_ray.errors import Interrupted
from rdpt_ray.pipeline.account import account, numerics_of
from rdpt_ray.pipeline.score import ScoredPart
from rdpt_ray.pipeline.session import AtWork, at_work, interruptible
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.sessions import new_session, read_session, sessions_of

QUIET = Console(quiet=True)


@pytest.fixture
def root(tmp_path):
    return Root(str(tmp_path))


def part(traces, again=0, numerics='{"dtype": "float32"}'):
    return ScoredPart("key", traces, 1, 0, 100 * traces, 0.5, again, numerics)


def test_the_account_of_all_sessions_adds_up(root):
    for name, again in (("a", 0), ("b", 3)):
        with at_work(root, "run", name, QUIET, drain_s=1) as session:
            session.count("student", "s-1", part(10))
            session.count("student", "s-1", part(5, again, '{"dtype": "bfloat16"}'))
            session.count("teacher", "t-1", part(2))
    sessions = sessions_of(root, "run")
    assert sessions[0].counts["teacher"]["model_key"] == "t-1"
    told = account(sessions, damaged=4)
    assert (told.started, told.damaged, told.read_again, told.read) == (2, 4, 3, 34)
    student = told.costs[0]
    assert (student.role, student.parts, student.traces, student.tokens) == ("student", 4, 30, 3000)
    assert student.actor_seconds == 2.0
    assert numerics_of(sessions) == {
        "student": ['{"dtype": "bfloat16"}', '{"dtype": "float32"}'],
        "teacher": ['{"dtype": "float32"}'],
    }


@pytest.mark.parametrize(
    ("error", "ended"),
    [(None, "finished"), (Interrupted("asked"), "interrupted"), (ValueError("a bug"), "failed")],
)
def test_a_session_says_how_it_ended(root, error, ended):
    with (
        suppress(Interrupted, ValueError),
        at_work(root, "run", "a", QUIET, drain_s=1) as session,
    ):
        assert read_session(root, session.file).ended is None
        if error is not None:
            raise error
    assert read_session(root, session.file).ended == ended


def test_stages_leave_their_times_and_how_far_they_are(root):
    with at_work(root, "run", "a", QUIET, drain_s=1) as session:
        with session.stage("score student", 10) as advance:
            advance(4, "")
            assert session.record.progress == {"stage": "score student", "done": 4, "total": 10}
            time.sleep(0.05)
        with session.timed("score student"):
            time.sleep(0.05)
    (record,) = sessions_of(root, "run")
    assert record.timings["score student"] >= 0.1


def test_a_record_can_be_written_while_it_grows(root):
    """A dict that changes its size while it is copied is an error in Python."""
    session = AtWork(root, new_session("a", "run"), QUIET, 1)
    stop = threading.Event()

    def grow():
        for place in range(5_000):
            session.count(f"teacher:{place}", "t-1", part(1))
        stop.set()

    growing = threading.Thread(target=grow)
    growing.start()
    while not stop.is_set():
        session._write()
    growing.join()
    session._write()
    assert len(read_session(root, session.file).counts) == 5_000


def test_a_stall_in_a_thread_s_session_ends_the_wait_for_it(root):
    """Nothing heard the alarm there, so the process died of it without a word."""

    def work():
        with at_work(root, "r", "s", QUIET, drain_s=1) as session:
            session.stall("no actor has done anything")

    thread = threading.Thread(target=work)

    def wait():
        with interruptible():
            thread.start()
            time.sleep(30)

    with pytest.raises(Interrupted, match="run the same command again"):
        wait()
    thread.join()
