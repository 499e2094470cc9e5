"""What an actor says it has spent adds up to its time, whatever the order in which its parts end."""

import logging
import threading
import time

import pytest

from rdpt_ray.model_config import PoolConfig
from rdpt_ray.pipeline.part_report import Duty, PartReport, ScoredPart

DUTY = Duty("runs/demo-1/sessions/abc.json", "teacher")


def part(key="ab", **changes):
    known = {"num_scored": 3, "num_errors": 1, "num_pruned": 0, "num_tokens": 50, "seconds": 0.25}
    return ScoredPart(key=key, **{**known, **changes})


def test_parts_that_end_at_once_share_the_actors_time():
    begun = time.monotonic()
    report = PartReport(DUTY, PoolConfig(num_cpus=2))
    busy = [0.0]
    report.busy_s = lambda: busy[0]
    told = []

    def work():
        for _ in range(20):
            time.sleep(0.005)
            busy[0] += 0.001
            told.append(report.of(part()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = report.of(part())
    total = sum(each.actor_s for each in [*told, last])
    assert total <= time.monotonic() - begun
    assert total == pytest.approx(time.monotonic() - begun, abs=0.05)
    assert sum(each.busy_s for each in [*told, last]) == pytest.approx(busy[0])
    assert all(each.actor_s >= 0 and each.busy_s >= 0 for each in told)
    assert (last.on, last.num_on) == ("CPU", 2.0)


def test_loading_counts_as_the_actors_time():
    report = PartReport(DUTY, PoolConfig())
    time.sleep(0.1)
    assert report.of(part()).actor_s >= 0.1


def test_without_a_cluster_a_gpu_has_no_name():
    told = PartReport(DUTY, PoolConfig(num_gpus=0.5)).of(part())
    assert (told.on, told.num_on) == ("GPU", 0.5)


def test_every_part_is_a_line_of_the_log(caplog):
    caplog.set_level(logging.INFO, "rdpt_ray")
    PartReport(DUTY, PoolConfig()).of(part(key="cd"))
    (line,) = caplog.records
    assert line.getMessage() == "part committed"
    assert line.facts == {
        "run": "demo-1",
        "session": "abc",
        "stage": "score",
        "role": "teacher",
        "part": "cd",
        "traces": 3,
        "errors": 1,
        "tokens": 50,
        "seconds": 0.25,
    }
