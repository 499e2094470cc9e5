"""The benchmark runs, and its last line holds what readers of it rely on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "scale.py"


def run(*arguments):
    command = [sys.executable, str(BENCHMARK), "--quick", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300)
def test_the_last_line_has_every_figure_or_says_why_not():
    done = run("--only", "parts")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert 0 < figures["listing_s"] < 100
    assert figures["ingest_cpu_exponent"] is figures["pool_efficiency"] is None
    assert figures["why"] == "not asked for: growth, pool"
    assert all(not isinstance(value, list | dict) for value in figures.values())


def test_an_unknown_section_is_refused_with_those_there_are():
    done = run("--only", "parts,pol")
    assert done.returncode != 0
    assert "no section pol; there are growth, parts, pool" in done.stderr
