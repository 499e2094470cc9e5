"""Ingestion under a fuzzer that looks for new paths through the code: fixed seeds, a fixed number of runs."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz import seeds

RUNS = {"lines": 30_000, "streams": 12_000, "pages": 18_000, "rows": 14_000, "tables": 9_000}
"""Target of `fuzz_ingestion` -> how many cases; 3 to 8 ms of a processor each."""

REPOSITORY = Path(__file__).parents[2]

ON_ITS_OWN = ("sh", "-c", '"$@"; exit $?', "sh")
"""Linux counts a parent's memory into its child's peak, which libFuzzer looks at; not into a grandchild's."""


def fuzz(target, folder):
    """Run one target; how many cases ran, and how many places in the code they reached."""
    folder.mkdir()
    corpus = seeds.write(target, folder)
    done = subprocess.run(
        [
            *ON_ITS_OWN,
            *(sys.executable, "-m", "tests.fuzz.fuzz_ingestion", target),
            f"-runs={RUNS[target]}",
            *("-seed=1", "-max_len=8192", "-timeout=120", "-rss_limit_mb=3000"),
            *("-print_final_stats=1", f"-dict={folder}/words.dict", f"-artifact_prefix={folder}/"),
            str(corpus),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    told = f"{target} ended with {done.returncode}:\n{done.stderr[-6000:]}"
    cases = re.search(r"^stat::number_of_executed_units: +(\d+)", done.stderr, re.M)
    assert done.returncode == 0, told
    assert cases, told
    places = re.findall(r"cov: (\d+)", done.stderr)[-1]
    return int(cases[1]), int(places)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_path_that_is_found_breaks_ingestion(tmp_path, count_cases):
    pytest.importorskip("atheris")
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda target: fuzz(target, tmp_path / target), RUNS)
        for target, (cases, places) in zip(RUNS, found, strict=True):
            count_cases(f"atheris, {target} ({places} places in the code)", cases)
            assert cases >= RUNS[target]
