"""Reason codes: all listed, all explained, always storable."""

import pyarrow as pa
import pytest

from rdpt_ray.storage.faults import MAX_DETAIL_CHARS, REASONS, Fault


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_snake_case_and_explained(reason):
    assert reason.replace("_", "").isalnum()
    assert reason == reason.lower()
    assert len(REASONS[reason]) > 10
    assert Fault(reason).detail == REASONS[reason]


def test_an_unlisted_reason_is_refused():
    with pytest.raises(KeyError):
        Fault("because")


@pytest.mark.parametrize("text", ["\ud800", "x" * 5000, "\ud800" * 5000, "\U0001f600" * 5000])
def test_detail_and_column_fit_into_arrow(text):
    fault = Fault("malformed_json", text, text)
    assert 0 < len(fault.detail) <= MAX_DETAIL_CHARS
    assert pa.array([fault.detail, fault.column]).null_count == 0
