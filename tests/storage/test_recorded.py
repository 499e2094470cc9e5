"""Records in the store: found by id, each once, whatever the order; damage is named."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdpt_ray.errors import StoreError
from rdpt_ray.storage import recorded
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.recorded import (
    find_records,
    record_bucket,
    records_folder,
    write_records,
)
from rdpt_ray.storage.schemas import RECORDS
from rdpt_ray.storage.sources import InputFile

BUCKETS = 8


def row(identity, count=3, error=None):
    rng = random.Random(identity)
    if error:
        return {"id": identity, "error": error}
    return {
        "id": identity,
        "token_ids": [rng.randrange(1000) for _ in range(count)],
        "logprobs": [float(np.float32(-rng.random())) for _ in range(count)],
    }


def write(root, rows, folder="recorded/x"):
    by_bucket = {}
    for each in rows:
        by_bucket.setdefault(record_bucket(each["id"], BUCKETS), []).append(each)
    return sum(
        write_records(root, folder, bucket, pa.Table.from_pylist(group, schema=RECORDS))
        for bucket, group in by_bucket.items()
    )


def find(root, *identities):
    return find_records(identities, root=root, folder="recorded/x", num_buckets=BUCKETS)


@pytest.fixture
def root(tmp_path):
    return open_root(str(tmp_path))


def test_every_record_is_found_by_its_id_alone(root):
    rows = [row(f"id-{index}", count=index % 7) for index in range(300)]
    assert write(root, random.Random(0).sample(rows, 300)) == 300
    for each in rows:
        (found,) = find(root, each["id"]).values()
        token_ids, logprobs = found
        assert token_ids.tolist() == each["token_ids"]
        assert logprobs.tolist() == each["logprobs"]
        assert (token_ids.dtype, logprobs.dtype) == (np.int32, np.float32)
    assert find(root, *(each["id"] for each in rows)).keys() == {each["id"] for each in rows}


def test_ids_without_a_record_are_left_out(root):
    write(root, [row("a")])
    assert find(root, "b", *(f"c{index}" for index in range(30))) == {}
    assert find(root) == {}


def test_the_bytes_do_not_depend_on_the_order(root, tmp_path):
    rows = [row(f"id-{index}") for index in range(40)]
    write(root, rows)
    write(root, rows[::-1], folder="recorded/y")
    for path in (tmp_path / "recorded" / "x").iterdir():
        assert path.read_bytes() == (tmp_path / "recorded" / "y" / path.name).read_bytes()


def test_the_same_record_twice_is_one_and_two_that_differ_are_an_error(root):
    other = {**row("b"), "logprobs": [-9.0, -9.0, -9.0]}
    assert write(root, [row("a"), row("b"), row("a"), other, row("b"), row("c")]) == 3
    found = find(root, "a", "b", "c")
    assert found["b"].startswith("recorded_duplicate: 3 records have this id")
    assert found["a"][0].tolist() == row("a")["token_ids"]
    assert not isinstance(found["c"], str)


def test_what_was_wrong_with_a_row_is_kept(root):
    write(root, [row("a", error="recorded_malformed: x"), row("b")])
    assert find(root, "a") == {"a": "recorded_malformed: x"}


def test_only_row_groups_that_may_hold_an_id_are_read(root, tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "GROUP_BYTES", 4_000)
    rows = [row(f"{index:05d}", count=300) for index in range(400)]
    write(root, rows)
    read = []
    whole = pq.ParquetFile.read_row_group

    def noting(self, group, **kwargs):
        read.append(group)
        return whole(self, group, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noting)
    assert set(find(root, "00017", "00300")) == {"00017", "00300"}
    assert len(read) == 2
    groups = [
        pq.read_metadata(path).num_row_groups
        for path in (tmp_path / "recorded" / "x").glob("*.parquet")
    ]
    assert min(groups) >= 10


def test_a_damaged_file_is_named(root, tmp_path):
    write(root, [row(f"id-{index}") for index in range(60)])
    for path in (tmp_path / "recorded" / "x").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"recorded/x/bucket=000\d\.parquet: .*delete its folder"):
        find(root, "id-1")


def test_the_folder_is_named_by_content_and_columns():
    def file(fingerprint, uri="a"):
        return InputFile(0, uri, "parquet", None, 1, fingerprint, uri, uri)

    class Spec:
        id_column, tokens_column, logprobs_column = "sample_uuid", "token_ids", "logprobs"

    class Other(Spec):
        logprobs_column = "lp"

    both = [file("1"), file("2", "b")]
    assert records_folder(both, Spec()) == records_folder(both[::-1], Spec())
    names = {
        records_folder(files, spec)
        for files, spec in ((both, Spec()), (both, Other()), (both[:1], Spec()))
    }
    assert len(names) == 3
