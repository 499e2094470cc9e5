"""Ingestion under files that are wrong in every way: no crash, no hang, no lost row."""

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import hostile
from tests.fuzz.test_coverage_guided import RUNS
from tests.fuzz.whole_path import Case, check

MAX_ARROW_BYTES = 3 << 30
"""More than Arrow may hold at once for any of these files."""


class Drawn:
    """Choices that hypothesis makes, and can make smaller."""

    def __init__(self, draw):
        self.draw = draw

    def whole(self, low, high):
        return self.draw(st.integers(low, high))

    def chars(self):
        return self.draw(st.text(max_size=20))

    def raw(self):
        return self.draw(st.binary(max_size=20))


@st.composite
def made_by(draw, make):
    return make(Drawn(draw))


PLAIN = ("jsonl", "json", "ndjson")
ENDINGS = (*PLAIN, "jsonl.gz", "jsonl.zst", "parquet")


@st.composite
def any_bytes(draw):
    ending, data = draw(st.sampled_from(ENDINGS)), draw(st.binary(max_size=300))
    return Case(f"a.{ending}", data, lines=data if ending in PLAIN else None)


FILES = {
    "bytes": any_bytes(),
    "jsonl": made_by(hostile.jsonl),
    "parquet": made_by(hostile.parquet),
}


FEW = {"bytes": 500, "jsonl": 1_000, "parquet": 1_000}
MANY = {"bytes": 5_000, "jsonl": 7_000, "parquet": 7_000}


def test_both_fuzzers_come_to_more_than_100_000_cases():
    assert sum(RUNS.values()) + sum(MANY.values()) > 100_000


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("amount", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FILES)
def test_any_file_is_read_whole(kind, amount, count_cases):
    ran, before = 0, pa.default_memory_pool().max_memory()

    @settings(
        max_examples=amount[kind],
        phases=[Phase.generate, Phase.shrink],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(FILES[kind])
    def case(file):
        nonlocal ran
        check(file)
        ran += 1

    case()
    count_cases(f"hypothesis, {kind}", ran)
    assert ran >= amount[kind]
    assert pa.default_memory_pool().max_memory() <= max(before, MAX_ARROW_BYTES)
