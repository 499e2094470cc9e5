"""What `rdpt status` prints: all of it in 80 columns, and nothing of it read as markup."""

import io
from dataclasses import replace

from rich.console import Console

from rdpt_ray.publish.status_tables import MAX_FINISHED, print_leases, print_status
from rdpt_ray.storage.lease_status import LeaseStatus
from rdpt_ray.storage.model_status import ModelStatus
from rdpt_ray.storage.status import DriverStatus, RunStatus

DRIVER = DriverStatus(
    session="0001",
    host="worker-[red]7",
    started_at="2026-11-27T06:00:00+00:00",
    state="live",
    job="nightly-7",
    silent_s=4.2,
    stage="score teacher",
    done=640,
    total=1280,
    eta_s=125.0,
    in_hand=2,
)
TEACHER = ModelStatus(
    "teacher",
    "org/teacher",
    "t-1",
    state="at work",
    done=640,
    total=1280,
    tokens=210_000,
    tokens_per_s=1234.4,
    busy_share=0.917,
    errors=1,
    eta_s=3700.0,
)


def shown(*runs):
    file = io.StringIO()
    print_status(Console(file=file, width=200), runs)
    text = file.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    return text, " ".join(text.split())


def test_a_run_at_work():
    run = RunStatus(
        "demo-1",
        "running",
        next="nothing: it goes on by itself",
        drivers=[DRIVER],
        models=[ModelStatus("student", state="done", done=1280, total=1280, tokens=5), TEACHER],
        rows_read=1301,
        quarantined=21,
        cost=1.319,
        currency="USD",
    )
    _, words = shown(run)
    assert "demo-1 running" in words
    assert "stage score teacher: 640 of 1,280 driver" in words
    assert "live, on worker-[red]7 since 2026-11-27T06:00:00+00:00, Ray job nightly-7" in words
    assert "last beat 4.2 s ago, 2 parts in hand" in words
    assert "student done, 1,280 of 1,280 traces (100 %), 5 tokens" in words
    assert "210,000 tokens, 1,234 tokens/s, model busy 92 %, 1 error, ends in 1 h 1 min" in words
    assert "rows 1,301 read, 21 set aside so far" in words
    assert "cost 1.32 USD" in words
    assert "cost 0.0012 USD" in shown(replace(run, cost=0.00123))[1]
    assert "next nothing: it goes on by itself" in words


def test_a_stage_without_a_model_has_its_own_end():
    run = RunStatus("demo-1", "running", drivers=[replace(DRIVER, stage="select")])
    assert "stage select: 640 of 1,280, ends in 2 min 5 s" in shown(run)[1]


def test_a_dead_run_says_why_and_how_often_it_was_started():
    killed = DriverStatus("1", "a", "2026-11-27T05:00:00+00:00", "dead", silent_s=90.0)
    failed = DriverStatus("2", "b", "2026-11-27T06:00:00+00:00", "failed", error="StoreError: full")
    run = RunStatus("demo-1", "dead", started_at=killed.started_at, drivers=[killed, failed])
    text, words = shown(run)
    assert "why StoreError: full" in words
    assert "started 2 times, first 2026-11-27T05:00:00+00:00" in words
    assert "not begun" in words
    assert "cost" not in text


def test_finished_runs_are_short_and_only_the_last_are_shown():
    runs = [
        RunStatus(f"demo-{n}", "finished", finished_at=f"2026-11-{n:02d}", rows_read=9, selected=4)
        for n in range(1, MAX_FINISHED + 4)
    ]
    text, words = shown(*runs)
    assert "3 older finished runs; --json has all" in words
    assert "demo-3 " not in words
    assert "demo-4 finished at 2026-11-04; 9 rows read, 4 selected, 0 quarantined" in words
    assert "next" not in text


def test_what_nobody_knows_is_left_out():
    _, words = shown(RunStatus("demo-1", "dead", next="x", models=[ModelStatus("teacher")]))
    assert words == "demo-1 dead teacher to come next x"


def test_leases_say_who_holds_them_since_when_and_which_number():
    held = LeaseStatus("night[ly]", 7, "held", "head-1", "2026-11-27T02:17:00+00:00", 60, 4.2)
    file = io.StringIO()
    silent = replace(held, state="silent", silent_s=90.0)
    print_leases(Console(file=file, width=200), [held, silent, replace(held, state="free")])
    words = " ".join(file.getvalue().split())
    since = "round 7, on head-1 since 2026-11-27T02:17:00+00:00"
    assert f"lease night[ly] held {since}, last beat 4.2 s ago lease" in words
    assert f"lease night[ly] silent {since}, last beat 1 min 30 s ago next the next round" in words
    assert "lease night[ly] free" in words
