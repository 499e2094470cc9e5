import pytest

from rdpt_ray.errors import StoreError
from rdpt_ray.publish.run_tables import buckets_of, read_rows
from rdpt_ray.storage.runs import read_manifest
from tests.publish.finished_run import candidate, finished_run, rows_of, sums


def test_rows_come_as_they_are(tmp_path):
    run = finished_run(tmp_path)
    for table in ("selected", "rejected", "provenance"):
        names = [f"{table}/{bucket}" for bucket in buckets_of(run, read_manifest(run))]
        assert [row for name in names for row in read_rows(run, name)] == rows_of(run, table)


def test_a_bucket_of_many_row_groups_is_read(tmp_path):
    """Read across them, pyarrow fails over the classes, which are in dictionaries of each group."""
    one = candidate("0?", "a.", "b.")
    rows = [
        one | {"trace_id": f"t{at}"} for at in range(2_100)
    ]  # the store's groups have 1,024 rows
    run = finished_run(tmp_path, rows)
    (name,) = [name for name in run.names("provenance") if run.read_table(name).num_rows]
    assert [row["trace_id"] for row in read_rows(run, name)] == [row["trace_id"] for row in rows]


def test_only_some_columns_and_prompts(tmp_path):
    run = finished_run(tmp_path, sums(40))
    prompts = {row["prompt_id"] for row in rows_of(run, "selected")[::3]}
    found = [
        row
        for name in run.names("selected")
        for row in read_rows(run, name, columns=["trace_id", "prompt_id"], prompts=prompts)
    ]
    assert {row["prompt_id"] for row in found} == prompts
    assert set(found[0]) == {"trace_id", "prompt_id"}


def test_a_file_that_the_manifest_lists_and_is_not_there(tmp_path):
    run = finished_run(tmp_path)
    run.delete("rejected/bucket=0002.parquet")
    with pytest.raises(StoreError, match=r"rejected/bucket=0002.parquet: missing"):
        buckets_of(run, read_manifest(run))


def test_manifests_of_older_versions_list_no_files(tmp_path):
    run = finished_run(tmp_path)
    manifest = read_manifest(run)
    del manifest["files"]
    assert len(buckets_of(run, manifest)) == 3
