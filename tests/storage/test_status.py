"""How far runs are, told from real small stores: on a disk, in memory, behind an S3 API."""

import json
import os
import threading
import time
from dataclasses import asdict

import pytest

from rdpt_ray.storage.attempts import Attempt, hold
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.runs import read_json, write_json
from rdpt_ray.storage.scores import partial_folder, score_name
from rdpt_ray.storage.sessions import session_name, this_process
from rdpt_ray.storage.status import SILENT_S, status_of_runs
from tests.storage.small_store import STUDENT, TEACHER, SmallRun, small_run

ELSEWHERE = "another-boot/pid:[1]/7@100"
PRICES = {"currency": "EUR", "per_hour": {"CPU": 3600.0}}
MODELS = {
    "student": {"key": STUDENT, "model": "org/student", "all": True, "done": True},
    "teacher": {"key": TEACHER, "model": "org/teacher", "all": True},
}


def a_run(root, folder, number=2, *, scored=(), **how):
    """A run that was ingested; its student has read everything, its teacher these parts."""
    run = SmallRun(root, number, **how).ingest(folder, range(8))
    for bucket, key in run.parts:
        run.score_part("student", STUDENT, bucket, key, keep_tokens=False)
    for place in scored:
        run.score_part("teacher", TEACHER, *run.parts[place], keep_tokens=False)
    return run


def start(run, session="0001", *, process=None, **changes):
    """The record of a driver in the middle of the teacher's stage."""
    run.start(ended=None, process=process or this_process(), session=session)
    name = session_name(run.id, session)
    record = read_json(run.root, name)
    record |= {
        "models": MODELS,
        "prices": PRICES,
        "progress": {
            "stage": "score teacher",
            "role": "teacher",
            "done": 8,
            "total": 16,
            "per_s": 0.5,
            "eta_s": 16.0,
            "tokens_per_s": 70.0,
        },
    }
    for counts in record["counts"].values():
        counts |= {"errors": 1, "actor_s": 4.0, "busy_s": 3.0, "spent_s": {"CPU": 2.0}}
    write_json(run.root, name, record | changes)
    return name


def take(run, name, place=0):
    """A part in the hands of an actor of a session."""
    attempt = Attempt(name, "node", "process")
    assert hold(run.root, TEACHER, run.parts[place][1], attempt, [])


def only(found):
    (run,) = found
    return run


def test_a_run_at_work(any_root, tmp_path):
    run = a_run(any_root, tmp_path, scored=[0])
    name = start(run)
    take(run, name, 1)
    found = only(status_of_runs(any_root))
    assert (found.run, found.state) == (run.id, "running")
    driver = only(found.drivers)
    assert (driver.state, driver.in_hand, driver.stage) == ("live", 1, "score teacher")
    assert 0 <= driver.silent_s < 60
    student, teacher = found.models
    counts = [count for bucket in run.buckets for count in bucket.parts.values()]
    assert (student.state, student.done, student.total) == ("done", 16, 16)
    assert (student.parts_done, student.parts) == (len(counts), len(counts))
    assert (teacher.state, teacher.done, teacher.total) == ("at work", counts[0], 16)
    assert (teacher.tokens, teacher.errors, teacher.busy_share) == (80, 1, 0.75)
    assert (teacher.per_s, teacher.tokens_per_s) == (0.5, 70.0)
    assert teacher.eta_s == pytest.approx((16 - counts[0]) / 0.5)
    assert (found.rows_read, found.quarantined) == (17, 1 + 2)
    assert (found.cost, found.currency) == (pytest.approx(4.0), "EUR")
    assert json.dumps(asdict(found))


def test_without_a_part_in_hand_it_waits(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = a_run(root, tmp_path)
    start(run)
    found = only(status_of_runs(root))
    assert found.state == "waiting"
    assert "machines are to come" in found.next


def test_while_no_model_reads_there_is_nothing_to_wait_for(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = a_run(root, tmp_path)
    start(run, progress={"stage": "select", "done": 1, "total": 2, "per_s": 1.0, "eta_s": 1.0})
    found = only(status_of_runs(root))
    assert found.state == "running"
    assert [model.state for model in found.models] == ["done", "to come"]
    for place, state in ((0, "begun"), (1, "done")):
        run.score_part("teacher", TEACHER, *run.parts[place], keep_tokens=False)
        assert only(status_of_runs(root)).models[1].state == state


def test_two_drivers_share_a_run(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = a_run(root, tmp_path)
    take(run, start(run), 0)
    take(run, start(run, "0002"), 1)
    found = only(status_of_runs(root))
    assert [each.in_hand for each in found.drivers] == [1, 1]
    teacher = found.models[1]
    assert (teacher.per_s, teacher.eta_s) == (1.0, 16.0)
    assert teacher.tokens == 160


def test_what_is_committed_and_not_yet_heard_of_gives_a_rate_too(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = a_run(root, tmp_path, scored=[0])
    heard = {"stage": "score teacher", "role": "teacher", "done": 0, "total": 16, "running_s": 4.0}
    start(run, progress={**heard, "per_s": None, "eta_s": None, "tokens_per_s": None})
    teacher = only(status_of_runs(root)).models[1]
    assert teacher.done > 0
    assert teacher.per_s == teacher.done / 4
    assert teacher.eta_s == pytest.approx((16 - teacher.done) / teacher.per_s)
    start(run, progress={**heard, "total": 16 - teacher.done, "per_s": None})
    assert only(status_of_runs(root)).models[1].per_s is None  # all of it was there before


def test_what_a_demand_leaves_unread_counts_as_done(tmp_path):
    """With pruning a part's scores lie in a partial file, and nothing more is to be read of it."""
    root = open_root(str(tmp_path / "store"))
    run = a_run(root, tmp_path, prune=True, scored=[0])
    _, key = run.parts[0]
    assert root.names(partial_folder(TEACHER, key))
    assert not root.exists(score_name(TEACHER, key))
    start(run)
    assert only(status_of_runs(root)).models[1].done == 0
    models = {**MODELS, "teacher": {**MODELS["teacher"], "all": False}}
    start(run, models=models)
    teacher = only(status_of_runs(root)).models[1]
    assert teacher.done == next(iter(run.buckets[0].parts.values()))
    assert teacher.eta_s == 16.0


@pytest.mark.parametrize(
    ("ended", "error", "words"),
    [
        (None, None, "its driver is gone"),
        ("interrupted", None, "asked to leave"),
        ("failed", "StoreError: no space", "mend what its log says"),
        ("finished", None, "a single stage"),
    ],
)
def test_a_run_that_nobody_works_on(tmp_path, ended, error, words):
    root = open_root(str(tmp_path / "store"))
    run = a_run(root, tmp_path, scored=[0])
    gone = this_process().rpartition("/")[0] + "/1@1"  # this machine's, and another start time
    start(run, process=gone, ended=ended, error=error)
    found = only(status_of_runs(root))
    assert (found.state, found.drivers[0].state) == ("dead", ended or "dead")
    assert found.drivers[0].error == error
    assert words in found.next
    assert "run its command again" in found.next
    assert found.models[1].done == next(iter(run.buckets[0].parts.values()))
    assert (found.models[1].per_s, found.models[1].eta_s) == (None, None)


def test_a_run_that_never_began_and_one_that_is_damaged(tmp_path):
    root = open_root(str(tmp_path / "store"))
    SmallRun(root, 1).ingest(tmp_path, range(2))
    root.write_bytes("runs/demo-000000000005/manifest.json", b"{")
    first, second = status_of_runs(root)
    assert (first.state, first.drivers, first.models) == ("dead", [], [])
    assert (second.state, second.next) == ("damaged", "rdpt store verify says what to do")


def test_a_finished_run(any_root, tmp_path):
    run = small_run(any_root, tmp_path)
    found = only(status_of_runs(any_root))
    assert (found.run, found.state) == (run.id, "finished")
    assert (found.rows_read, found.selected, found.quarantined) == (17, 8, 1)
    assert found.finished_at == "2026-11-26T22:34:24+00:00"
    assert only(status_of_runs(any_root, run.id)) == found
    assert status_of_runs(any_root, "demo-none") == []


# Who lives elsewhere


def test_a_driver_elsewhere_lives_if_its_beat_moves(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = a_run(root, tmp_path)
    name = start(run, process=ELSEWHERE)
    record = read_json(root, name)

    def beat():
        time.sleep(0.5)
        write_json(root, name, record | {"beat": record["beat"] + 1})

    beating = threading.Thread(target=beat)
    beating.start()
    found = only(status_of_runs(root, wait_s=20))
    beating.join()
    assert (found.state, found.drivers[0].state) == ("waiting", "live")


def test_one_that_stands_still_is_dead_after_the_wait(tmp_path):
    root = open_root(str(tmp_path / "store"))
    start(a_run(root, tmp_path), process=ELSEWHERE)
    begun = time.monotonic()
    assert only(status_of_runs(root, wait_s=1.5)).state == "dead"
    assert 1.5 <= time.monotonic() - begun < 10


def test_an_old_record_is_not_waited_for(tmp_path):
    root = open_root(str(tmp_path / "store"))
    name = start(a_run(root, tmp_path), process=ELSEWHERE)
    old = time.time() - SILENT_S - 60
    os.utime(root.path(name), (old, old))
    begun = time.monotonic()
    found = only(status_of_runs(root, wait_s=20))
    assert found.state == "dead"
    assert found.drivers[0].silent_s == pytest.approx(SILENT_S + 60, abs=10)
    assert time.monotonic() - begun < 5


def test_without_a_wait_the_age_of_the_record_decides(tmp_path):
    root = open_root(str(tmp_path / "store"))
    name = start(a_run(root, tmp_path), process=ELSEWHERE)
    assert only(status_of_runs(root, wait_s=0)).state == "waiting"
    old = time.time() - 90
    os.utime(root.path(name), (old, old))
    assert only(status_of_runs(root, wait_s=0)).state == "dead"


@pytest.mark.parametrize("section", ["models", "counts", "progress", "prices"])
@pytest.mark.parametrize("value", [None, 5, [], {"teacher": 5}])
def test_a_record_of_another_version_does_no_harm(tmp_path, section, value):
    root = open_root(str(tmp_path / "store"))
    start(a_run(root, tmp_path), **{section: value}, ended="failed")
    assert only(status_of_runs(root)).state == "dead"
