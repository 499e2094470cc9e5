"""Sampled responses at rest: what a folder says of itself."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdpt_ray.errors import ConfigError, StoreError
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.samples import (
    SampleCounts,
    check_settings,
    held_samples,
    part_counts,
    read_samples,
    sample_parts,
    write_samples,
)

SETTINGS = {"model_key": "m-1", "temperature": 1.0, "top_k": None}


def row(prompt, candidate, tokens=3, error=None):
    good = {
        "response": "b",
        "complete": tokens == 3,
        "token_ids": [5] * tokens,
        "logprobs": [-0.5] * tokens,
        "response_tokens": tokens,
    }
    name = {"sample_uuid": f"{prompt}{candidate}", "prompt_id": prompt, "candidate": candidate}
    return name | ({"error": error} if error else good)


@pytest.fixture
def folder(tmp_path):
    root = open_root(str(tmp_path / "samples"))
    write_samples(root, "a" * 32, [row("p", 0), row("p", 1, tokens=5)], SETTINGS)
    write_samples(root, "b" * 32, [row("q", 0), row("q", 1, error="out_of_memory: x")], SETTINGS)
    return root


def test_what_is_there_is_counted_and_read(folder):
    keys = sample_parts(folder)
    assert keys == ["a" * 32, "b" * 32]
    check_settings(folder, keys, SETTINGS)
    assert part_counts(folder, keys) == [SampleCounts(2, 1, 8, 0), SampleCounts(2, 1, 3, 1)]
    held = held_samples(folder, keys, {"q", "z"}, 1)
    assert held.candidates["q"] == {0, 1}
    assert held.counts == SampleCounts(1, 1, 3, 0)
    assert held.parts == ["b" * 32]
    tables = list(read_samples(folder))
    assert [table.num_rows for table in tables] == [2, 2]
    assert tables[1]["error"].to_pylist() == [None, "out_of_memory: x"]


def test_a_part_that_is_there_stays(folder):
    before = folder.read_bytes("a" * 32 + ".parquet")
    write_samples(folder, "a" * 32, [row("other", 0)], SETTINGS)
    assert folder.read_bytes("a" * 32 + ".parquet") == before


def test_other_settings_and_other_files_are_refused(folder, tmp_path):
    here = {**SETTINGS, "temperature": 0.6}
    with pytest.raises(ConfigError, match=r"sampled otherwise: temperature 1\.0 there, 0\.6 here"):
        check_settings(folder, sample_parts(folder), here)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "samples" / ("c" * 32 + ".parquet"))
    with pytest.raises(ConfigError, match="`rdpt sample` did not write this file"):
        check_settings(folder, sample_parts(folder), SETTINGS)
    (tmp_path / "samples" / ("c" * 32 + ".parquet")).write_bytes(b"PAR1 no")
    with pytest.raises(StoreError, match=r"c\.parquet: not sampled responses"):
        check_settings(folder, sample_parts(folder), SETTINGS)
    (tmp_path / "samples" / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"a folder of its own .*found 'notes\.txt'"):
        sample_parts(folder)
