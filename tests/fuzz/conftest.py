"""Says at the end of a session how many cases the fuzzers ran."""

from collections import Counter

import pytest

CASES = Counter()


@pytest.fixture
def count_cases():
    """Takes the name of a fuzzer and how many cases it ran."""

    def count(fuzzer, cases):
        CASES[fuzzer] += cases

    return count


def pytest_terminal_summary(terminalreporter):
    for fuzzer, cases in CASES.items():
        terminalreporter.write_line(f"fuzzed by {fuzzer}: {cases} cases")
    if CASES:
        terminalreporter.write_line(f"fuzzed in all: {CASES.total()} cases")
