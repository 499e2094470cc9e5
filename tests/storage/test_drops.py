"""The drops of a run: by bucket, the first reason first, and nothing before it is all there."""

import pytest

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.drops import count_drops, finish_drops, forget_drops, read_drops, write_drops
from rdpt_ray.storage.files import open_root


@pytest.fixture
def root(tmp_path):
    return open_root(str(tmp_path))


def test_a_run_without_drops_has_none(root):
    assert read_drops(root, "runs/r", 3) == {}
    assert count_drops(root, "runs/r", "contaminated") is None


def test_drops_are_found_by_bucket_with_reason_and_detail(root):
    write_drops(root, "runs/r", "near_duplicate", 3, {"b": "like a", "c": "like a"})
    finish_drops(root, "runs/r", "near_duplicate", {3: 2})
    assert read_drops(root, "runs/r", 3) == {
        "b": ("near_duplicate", "like a"),
        "c": ("near_duplicate", "like a"),
    }
    assert read_drops(root, "runs/r", 4) == {}
    assert read_drops(root, "runs/other", 3) == {}
    assert count_drops(root, "runs/r", "near_duplicate") == 2


def test_a_reason_that_is_not_done_counts_as_none(root):
    write_drops(root, "runs/r", "contaminated", 0, {"a": "aime row 1"})
    assert read_drops(root, "runs/r", 0) == {}
    finish_drops(root, "runs/r", "contaminated", {0: 1})
    assert read_drops(root, "runs/r", 0) == {"a": ("contaminated", "aime row 1")}


def test_the_reason_that_was_looked_for_first_is_given(root):
    for reason in ("near_duplicate", "contaminated", "near_duplicate_prompt"):
        write_drops(root, "runs/r", reason, 0, {"a": reason})
        finish_drops(root, "runs/r", reason, {0: 1})
    assert read_drops(root, "runs/r", 0) == {"a": ("contaminated", "contaminated")}


def test_the_bytes_do_not_depend_on_the_order(root):
    write_drops(root, "runs/r", "contaminated", 0, {"a": "1", "b": "2"})
    write_drops(root, "runs/s", "contaminated", 0, {"b": "2", "a": "1"})
    names = [f"runs/{run}/drops/contaminated/bucket=0000.parquet" for run in "rs"]
    assert root.read_bytes(names[0]) == root.read_bytes(names[1])


def test_a_table_that_is_gone_is_named(root):
    finish_drops(root, "runs/r", "contaminated", {0: 1})
    with pytest.raises(StoreError, match=r"drops/contaminated/bucket=0000\.parquet"):
        read_drops(root, "runs/r", 0)


def test_what_is_forgotten_is_looked_for_again(root):
    write_drops(root, "runs/r", "contaminated", 0, {"a": "aime row 1"})
    for run in ("runs/r", "runs/s"):
        finish_drops(root, run, "contaminated", {0: 1})
    forget_drops(root, "runs/r")
    assert read_drops(root, "runs/r", 0) == {}
    assert count_drops(root, "runs/r", "contaminated") is None
    assert count_drops(root, "runs/s", "contaminated") == 1
