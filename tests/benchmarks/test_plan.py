"""The benchmark of plans says what it can run; that it runs is seen by running it."""

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "plan.py"


def test_an_unknown_job_is_refused_with_those_there_are():
    command = [sys.executable, str(BENCHMARK), "--only", "demo,smollm3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "no job smollm3; there are demo, smollm2" in done.stderr
