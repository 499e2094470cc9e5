"""What is in a store is counted from footers and records, on every kind of file system."""

import io
import json
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdpt_ray.storage.contents import Listing
from rdpt_ray.storage.files import Root, open_root
from rdpt_ray.storage.footers import read_footer
from rdpt_ray.storage.runs import read_json, write_json
from rdpt_ray.storage.scores import score_name, write_scores
from rdpt_ray.storage.sessions import session_name, this_process
from tests.storage.small_store import STUDENT, TEACHER, SmallRun, small_run


def contents_of(root):
    return Listing(root).contents()


def test_a_store_is_counted(any_root, tmp_path):
    run = small_run(any_root, tmp_path)
    small_run(any_root, tmp_path, 2, range(8, 16), prune=True)
    any_root.write_bytes("README.md", b"hello")
    found = contents_of(any_root)
    sizes = {name: len(any_root.read_bytes(name)) for name in any_root.names("")}
    assert (found.files, found.bytes) == (len(sizes), sum(sizes.values()))
    (dataset,) = found.datasets
    assert (dataset.name, dataset.num_buckets, dataset.buckets_used) == ("demo", 2, 2)
    assert (dataset.parts, dataset.traces) == (len(any_root.names("traces")) - 1, 32)
    assert dataset.bytes == sum(
        sizes[name] for name in sizes if name.endswith("parquet") and "traces/" in name
    )
    assert sum(dataset.splitters.values()) == dataset.parts
    assert all(name.startswith("sentence-1") for name in dataset.splitters)
    student, teacher = found.models
    assert (student.key, student.parts, student.traces) == (STUDENT, dataset.parts, 32)
    assert student.facts["signals"] == ["rank"]
    assert student.cost["tokens"] == 160
    assert (teacher.key, teacher.traces, teacher.traces_begun) == (TEACHER, 16, 8)
    assert teacher.parts + teacher.parts_begun == dataset.parts
    assert found.rooms["tokens"]["files"] == dataset.parts
    assert found.rooms["(no folder)"] == {"files": 1, "bytes": 5}
    assert set(found.rooms) == {"(no folder)", "models", "runs", "tokens", "verified"}
    assert found.runs[0].run == run.id
    assert json.dumps(asdict(found))


def test_rooms_of_what_is_left_over_are_shown(tmp_path):
    root = open_root(str(tmp_path))
    root.write_bytes("scores/m/.x.1.ab.tmp", b"half")
    root.write_bytes("damaged/scores/m/x.parquet", b"broken")
    found = contents_of(root)
    assert found.rooms == {
        "damaged": {"files": 1, "bytes": 6},
        "temporaries": {"files": 1, "bytes": 4},
    }


def test_errors_are_counted_by_their_codes(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = small_run(root, tmp_path)
    _, key = run.parts[0]
    table = root.read_table(score_name(TEACHER, key))
    rows = table.to_pylist()
    for row, error in ((0, "context_exceeded: 9 tokens"), (1, "context_exceeded: 8"), (2, "x: y")):
        rows[row] = {**dict.fromkeys(rows[row]), "trace_id": rows[row]["trace_id"], "error": error}
    write_scores(root, TEACHER, key, [row["trace_id"] for row in rows], rows)
    assert read_footer(root, score_name(TEACHER, key)).errors == {"context_exceeded": 2, "x": 1}
    student, teacher = contents_of(root).models
    assert (student.errors, teacher.errors) == ({}, {"context_exceeded": 2, "x": 1})


def test_a_footer_is_read_in_ranges(s3_root, s3_store, tmp_path):
    """Of a large file the footer and nothing else, where no row has an error."""
    run = small_run(s3_root, tmp_path, 1, range(8))
    _, key = run.parts[0]
    table = s3_root.read_table(score_name(STUDENT, key))
    name = score_name(STUDENT, "e" * 32)
    s3_root.write_bytes(name, large(table))
    size = len(s3_root.read_bytes(name))
    s3_store.gets.clear()
    assert read_footer(s3_root, name).rows == 200_000
    assert s3_store.served(name) < size / 5


def large(table):
    rows = table.take([0] * 200_000)
    column = pa.array([f"{number:032x}" for number in range(200_000)])
    buffer = io.BytesIO()
    pq.write_table(rows.set_column(0, "trace_id", column), buffer, compression="none")
    return buffer.getvalue()


# Runs


def test_how_far_runs_came_and_how_often_they_were_started(tmp_path):
    root = open_root(str(tmp_path / "store"))
    finished = small_run(root, tmp_path, 1)
    SmallRun(root, 2).start(ended="failed").start(ended="interrupted", session="0002").ingest(
        tmp_path, range(3)
    )
    SmallRun(root, 3).start(ended=None, process=this_process())
    SmallRun(root, 4).ingest(tmp_path, range(3))
    root.write_bytes("runs/demo-000000000005/manifest.json", b"{")
    found = {run.run: run for run in contents_of(root).runs}
    assert [run.state for run in found.values()] == [
        "finished",
        "unfinished",
        "live",
        "unfinished",
        "damaged",
    ]
    assert [run.started for run in found.values()] == [1, 2, 1, None, None]
    assert [run.rows_read for run in found.values()] == [17, 7, None, 7, None]
    first = found[finished.id]
    assert (first.selected, first.rejected, first.quarantined) == (8, 8, 1)
    assert first.finished_at == "2026-11-26T22:34:24+00:00"
    assert first.cost["student"]["seconds"] == 1.5
    second = found["demo-000000000002"]
    assert second.cost["teacher"] == {"parts": 0, "traces": 8, "tokens": 160, "seconds": 3.0}


def test_starts_that_were_swept_are_known_by_the_manifest(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = small_run(root, tmp_path)
    manifest = read_json(root, f"{run.folder}/manifest.json")
    before = contents_of(root)
    manifest["sessions"] = [read_json(root, session_name(run.id, "0001"))]
    write_json(root, f"{run.folder}/manifest.json", manifest)
    assert contents_of(root).runs == before.runs
    root.delete(session_name(run.id, "0001"))
    assert contents_of(root).runs == before.runs
    assert contents_of(root).models[0].cost == before.models[0].cost


def test_the_cost_of_a_run_of_a_version_that_did_not_count_starts(tmp_path):
    root = open_root(str(tmp_path / "store"))
    run = small_run(root, tmp_path)
    root.delete(session_name(run.id, "0001"))
    manifest = read_json(root, f"{run.folder}/manifest.json")
    told = {"role": "student", "scored": 16, "tokens": 100, "tokens_per_s": 50.0}
    manifest["facts"]["models"] = [told, {**told, "role": "teacher", "tokens": 0}]
    write_json(root, f"{run.folder}/manifest.json", manifest)
    (found,) = contents_of(root).runs
    assert found.cost == {"student": {"traces": 16, "tokens": 100, "seconds": 2.0}}
    assert contents_of(root).models[0].cost == found.cost["student"]


# What is damaged


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 nothing that is Parquet PAR1"])
def test_a_table_that_cannot_be_read_is_named(tmp_path, content):
    root = open_root(str(tmp_path / "store"))
    run = small_run(root, tmp_path)
    _, key = run.parts[0]
    root.write_bytes(score_name(STUDENT, key), content)
    root.write_bytes(f"models/{STUDENT}.json", b"{")
    found = contents_of(root)
    assert found.unreadable == [score_name(STUDENT, key)]
    assert (found.models[0].parts, found.models[0].traces) == (2, 8)


def test_a_store_that_is_not_there_is_empty(tmp_path):
    assert Listing(Root(str(tmp_path / "none"))).files == {}
