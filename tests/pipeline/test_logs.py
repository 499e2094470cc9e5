"""A job's log as JSON: every line an object that says what it is about."""

import io
import json
import logging
import sys
import threading
import warnings
from datetime import UTC, datetime

import pytest
from rich.table import Table

from rdpt_ray.pipeline.logs import about, job_console, start_log, tell
from rdpt_ray.pipeline.progress import stage


@pytest.fixture
def lines(monkeypatch):
    """Log as JSON, and give what was logged."""
    root, ours = logging.getLogger(), logging.getLogger("rdpt_ray")
    before, level, file = root.handlers[:], ours.level, io.StringIO()
    monkeypatch.setenv("RDPT_LOG", "json")
    monkeypatch.setattr(sys, "stderr", file)
    start_log()
    yield lambda: [json.loads(line) for line in file.getvalue().splitlines()]
    root.handlers[:] = before
    ours.setLevel(level)
    logging.captureWarnings(False)


def test_without_the_variable_nothing_changes(monkeypatch, capsys):
    monkeypatch.delenv("RDPT_LOG", raising=False)
    before = logging.getLogger().handlers[:]
    start_log()
    tell("part committed", part="x")
    job_console().print("hello")
    assert logging.getLogger().handlers == before
    assert capsys.readouterr().err == "hello\n"


def test_a_line_says_when_and_what_it_is_about(lines):
    with about(run="demo-1", session="s"), about(stage="score", role="teacher"):
        tell("part committed", part="ab", tokens=5)
    tell("after")
    first, second = lines()
    when = datetime.fromisoformat(first.pop("time"))
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60
    assert first == {
        "level": "info",
        "message": "part committed",
        "logger": "rdpt_ray",
        "run": "demo-1",
        "session": "s",
        "stage": "score",
        "role": "teacher",
        "part": "ab",
        "tokens": 5,
    }
    assert second.keys() == {"time", "level", "message", "logger"}


def test_what_is_printed_becomes_lines_that_are_not_folded(lines):
    table = Table("name", "value", box=None)
    table.add_row("[red]", "2")
    console = job_console()
    console.print("a" * 300 + "\n\nb [bold]c[/]", style="red")
    console.print("no ", end="")
    console.print("end")
    console.print(table)
    told = [line["message"] for line in lines()]
    assert told[:3] == ["a" * 300, "b c", "no end"]
    assert len(told) == 5


def test_progress_has_numbers_for_machines(lines):
    with stage(job_console(), "score teacher", 4) as advance:
        advance(4, "")
    first, last = lines()
    assert (first["message"], first["done"], first["total"]) == ("score teacher: 0/4", 0, 4)
    assert last["message"].startswith("score teacher: 4/4 in ")
    assert (last["done"], last["eta_s"]) == (4, 0)


def test_warnings_and_errors_of_libraries_are_lines_too(lines):
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logging.getLogger("another.package").exception("it broke: %s", object)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    broke, warned = lines()
    assert (broke["level"], broke["logger"]) == ("error", "another.package")
    assert "line one\nline two" in broke["traceback"]
    assert (warned["level"], warned["logger"]) == ("warning", "py.warnings")
    assert "careful" in warned["message"]


def test_it_is_started_once(lines):
    for _ in range(3):
        start_log()
        job_console().print("once")
    assert len(lines()) == 3


def test_threads_do_not_mix_what_their_lines_are_about(lines):
    begun = threading.Barrier(2)

    def work(run):
        with about(run=run):
            begun.wait()
            tell("at work", own=run)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((line["run"], line["own"]) for line in lines()) == [("a", "a"), ("b", "b")]
