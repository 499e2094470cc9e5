"""The benchmark runs, and its last line holds what readers of it rely on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "pruning.py"


def run(*arguments):
    command = [sys.executable, str(BENCHMARK), "--quick", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
def test_the_last_line_has_every_figure_or_says_why_not():
    done = run("--only", "simulated")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["identical"] is True
    assert 0.1 < figures["saved_k4"] < figures["saved_k8"] < figures["saved_k16"] < 1
    assert figures["saved_demo"] is None
    assert figures["why"] == "not asked for: demo"
    assert all(not isinstance(value, list | dict) for value in figures.values())


def test_an_unknown_section_is_refused_with_those_there_are():
    done = run("--only", "simulated,demi")
    assert done.returncode != 0
    assert "no section demi; there are simulated, demo" in done.stderr
