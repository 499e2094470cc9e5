"""Reason codes: all listed, all explained, always storable."""

from pathlib import Path

import pyarrow as pa
import pytest

from rdpt_ray.storage.faults import MAX_DETAIL_CHARS, REASONS, Fault


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_snake_case_and_explained(reason):
    assert reason.replace("_", "").isalnum()
    assert reason == reason.lower()
    assert len(REASONS[reason]) > 10
    assert Fault(reason).detail == REASONS[reason]


def test_the_documentation_lists_every_reason_in_the_same_words():
    documented = (Path(__file__).parents[2] / "docs/data.md").read_text()
    _, _, table = documented.partition("While ingesting:\n\n| code | meaning |\n| --- | --- |\n")
    rows = table.partition("\n\n")[0].splitlines()
    assert rows == [f"| {reason} | {meaning} |" for reason, meaning in REASONS.items()]


def test_an_unlisted_reason_is_refused():
    with pytest.raises(KeyError):
        Fault("because")


@pytest.mark.parametrize("text", ["\ud800", "x" * 5000, "\ud800" * 5000, "\U0001f600" * 5000])
def test_detail_and_column_fit_into_arrow(text):
    fault = Fault("malformed_json", text, text)
    assert 0 < len(fault.detail) <= MAX_DETAIL_CHARS
    assert pa.array([fault.detail, fault.column]).null_count == 0
