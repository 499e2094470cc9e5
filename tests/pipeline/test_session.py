"""What a driver writes of itself while it works."""

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from ray.exceptions import RayTaskError
from rich.console import Console

from rdpt_ray.errors import Interrupted, StoreError
from rdpt_ray.pipeline.account import account, numerics_of
from rdpt_ray.pipeline.interrupts import interruptible
from rdpt_ray.pipeline.part_report import ScoredPart
from rdpt_ray.pipeline.session import MAX_ERROR, AtWork, at_work
from rdpt_ray.plan_config import PlanConfig
from rdpt_ray.storage.costs import cost_of
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


def test_a_request_to_leave_that_a_library_caught_is_not_lost(root):
    """A job that was asked to leave ran to its end once; this is one way in which it can."""

    def work():
        with (
            at_work(root, "run", "a", QUIET, drain_s=1) as session,
            session.stage("select", 2) as advance,
        ):
            with suppress(Exception):
                signal.raise_signal(signal.SIGTERM)
            advance(1, "")
            pytest.fail("the second part was begun")

    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        work()
    assert read_session(root, "runs/run/sessions/a.json").ended == "interrupted"


def test_a_signal_while_a_session_begins_ends_it(root, monkeypatch):
    begin = AtWork.begin

    def begun(session):
        begin(session)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(AtWork, "begin", begun)
    with pytest.raises(Interrupted), at_work(root, "run", "a", QUIET, drain_s=1):
        pytest.fail("it was begun")
    assert read_session(root, "runs/run/sessions/a.json").ended == "interrupted"


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


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreError("a.parquet: " + 2000 * "x"), "StoreError: a.parquet: xxx"),
        (ValueError("a secret, perhaps"), "ValueError"),
        (
            RayTaskError("f", "ray::f()\nrdpt_ray.errors.ModelError: no weights", None),
            "ModelError: no weights",
        ),
    ],
)
def test_a_session_says_why_it_failed(root, error, told):
    with (
        suppress(StoreError, ValueError, RayTaskError),
        at_work(root, "run", "a", QUIET, drain_s=1) as session,
    ):
        raise error
    found = read_session(root, session.file).error
    assert found.startswith(told)
    assert len(found) <= MAX_ERROR
    assert "secret" not in found


def test_a_record_says_how_fast_it_goes_and_what_it_cost(root):
    models = {"teacher": {"key": "t-1", "model": "org/teacher", "all": True}}
    plan = PlanConfig(price_per_hour={"CPU": 36.0, "H100": 3600.0}, currency="EUR")
    with at_work(root, "run", "a", QUIET, drain_s=1, models=models, plan=plan) as session:
        assert read_session(root, session.file).models == models
        with session.stage("score teacher", 30, role="teacher") as advance:
            for _ in range(2):
                time.sleep(0.2)
                done = replace(part(10), actor_s=4.0, busy_s=3.0, on="H100", num_on=0.5)
                session.count("teacher", "t-1", done)
                advance(10, "")
            session._write()
            told = read_session(root, session.file).progress
        session.done_with("teacher")
    assert (told["stage"], told["role"], told["done"]) == ("score teacher", "teacher", 20)
    assert told["per_s"] > 0
    assert told["eta_s"] == pytest.approx(10 / told["per_s"], rel=0.05)
    assert told["tokens_per_s"] == pytest.approx(100 * told["per_s"], rel=0.05)
    (record,) = sessions_of(root, "run")
    counts = record.counts["teacher"]
    assert (counts["actor_s"], counts["busy_s"], counts["spent_s"]) == (8.0, 6.0, {"H100": 4.0})
    assert cost_of(counts, record.prices) == pytest.approx(4.0)
    assert record.prices["currency"] == "EUR"
    assert record.models["teacher"] == {**models["teacher"], "done": True}


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
