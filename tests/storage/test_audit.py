"""Damage of every kind is named, with the file; a store as the job left it is clean."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.audit import audit, check_part, check_scores, plan_audit, set_damage_aside
from rdpt_ray.storage.damage import parsed_table
from rdpt_ray.storage.drops import finish_drops, write_drops
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.recorded import record_bucket, write_records
from rdpt_ray.storage.runs import read_json, write_json
from rdpt_ray.storage.schemas import PROVENANCE, RECORDS, ROWS, SCORES, TOKENS, TRACES
from rdpt_ray.storage.scores import score_name
from rdpt_ray.storage.verified import VERIFIED
from tests.storage.small_store import STUDENT, TEACHER, SmallRun, small_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clean store, made once; tests harm copies of it."""
    folder = tmp_path_factory.mktemp("made")
    return folder / "store", small_run(open_root(str(folder / "store")), folder)


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "store")
    root = open_root(str(tmp_path / "store"))
    return root, replace(made[1], root=root)


def audited(root):
    return audit(plan_audit(root))


def told(root):
    """(file, expected, found) of all damage."""
    return [(each.file, each.expected, each.found) for each in audited(root).damage]


def test_a_store_as_a_job_left_it_is_clean(tmp_path, any_root):
    run = small_run(any_root, tmp_path)
    found = audited(any_root)
    assert (found.damage, found.notes) == ([], [])
    kinds = {name.split("/")[0] for name in any_root.names("")}
    assert kinds == {"traces", "scores", "tokens", "verified", "models", "runs"}
    assert found.num_files > 20
    assert len(run.parts) == 2


def test_a_pruned_run_and_one_that_is_not_finished_are_clean(tmp_path):
    root = open_root(str(tmp_path / "store"))
    small_run(root, tmp_path, 1, prune=True)
    SmallRun(root, 2, unit="line").ingest(tmp_path, range(20)).score(keep_tokens=False)
    SmallRun(root, 3).start(ended=None)
    assert root.names("partial")
    found = audited(root)
    assert (found.damage, found.notes) == ([], [])


# Damage, one kind at a time: what is done, to which file, and what is told


def flip(path):
    """One bit in the middle of the first page."""
    data = bytearray(path.read_bytes())
    data[40] ^= 4
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def empty(path):
    path.write_bytes(b"")


def not_utf8(path):
    table = pq.read_table(path)
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    column = pa.concat_arrays([bad, table.column("trace_id").combine_chunks()[1:]])
    rewrite(path, lambda table: table.set_column(0, "trace_id", column))


def rewrite(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def without_a_row(path):
    rewrite(path, lambda table: table.slice(1))


def in_another_order(path):
    rewrite(path, lambda table: table.take(list(range(table.num_rows))[::-1]))


def without_a_column(path):
    rewrite(path, lambda table: table.drop_columns(table.schema.names[-1]))


def edited(column, change):
    """Change the values of a column in its first row that has one."""

    def edit(path):
        def changed(table):
            rows = table.to_pylist()
            row = next(row for row in rows if row[column] is not None)
            row[column] = change(row[column])
            return pa.Table.from_pylist(rows, schema=table.schema)

        rewrite(path, changed)

    return edit


def cleared(column):
    return edited(column, lambda _: None)


def first_entry(value):
    return lambda values: [value, *values[1:]]


def error_without_detail(path):
    def changed(table):
        rows = table.to_pylist()
        rows[0] = {**dict.fromkeys(rows[0]), "trace_id": rows[0]["trace_id"], "error": "oops"}
        return pa.Table.from_pylist(rows, schema=SCORES)

    rewrite(path, changed)


def list_beside_an_error(path):
    def changed(table):
        rows = table.to_pylist()
        rows[0]["error"] = "engine_error: it broke"
        return pa.Table.from_pylist(rows, schema=SCORES)

    rewrite(path, changed)


def briers(path):
    def changed(table):
        rows = [{**row, "sum_brier": row["sum_rank"]} for row in table.to_pylist()]
        return pa.Table.from_pylist(rows, schema=SCORES)

    rewrite(path, changed)


PART = "traces/demo/*/*.parquet"
WHOLE = f"scores/{STUDENT}/*.parquet"
TOKENS_OF = "tokens/*/*/*/*.parquet"
VERDICTS = "verified/*/*.parquet"
SCHEMAS = {
    PART: TRACES,
    WHOLE: SCORES,
    TOKENS_OF: TOKENS,
    VERDICTS: VERIFIED,
    "runs/*/rows/*.parquet": ROWS,
    "runs/*/provenance/*.parquet": PROVENANCE,
}

DAMAGE = {
    "flipped part": (PART, flip, "valid Parquet"),
    "truncated part": (PART, truncate, "valid Parquet"),
    "empty part": (PART, empty, "valid Parquet"),
    "part not UTF-8": (PART, not_utf8, "valid Parquet"),
    "part lacks a row": (PART, without_a_row, "traces whose part-key is"),
    "part in another order": (PART, in_another_order, "traces whose part-key is"),
    "part lacks a column": (PART, without_a_column, "the columns trace_id string"),
    "another response": (PART, edited("response", lambda text: text[:-1] + "!"), "the texts of"),
    "a longer response": (PART, edited("response", lambda text: text + "!"), "sentences that tile"),
    "another prompt": (PART, edited("messages", lambda m: [{**m[0], "content": "?"}]), "the texts"),
    "no role": (PART, edited("messages", lambda m: [{**m[0], "role": None}]), "a role and a"),
    "a span moved": (
        PART,
        edited("sentences", lambda s: [{**s[0], "end": s[0]["end"] - 1}, *s[1:]]),
        "sentences that tile the response",
    ),
    "a span lost": (PART, edited("sentences", lambda spans: spans[:-1]), "sentences that tile"),
    "no spans": (PART, edited("sentences", lambda _: []), "sentences that tile"),
    "a null span": (PART, edited("sentences", lambda s: [None, *s[1:]]), "sentences that tile"),
    "spans merged": (
        PART,
        edited("sentences", lambda s: [{"start": 0, "end": s[-1]["end"]}]),
        "traces whose part-key",
    ),
    "null answer_start": (PART, cleared("answer_start"), "no null in what models read"),
    "answer_start outside": (PART, edited("answer_start", lambda _: 10_000), "an answer_start"),
    "flipped scores": (WHOLE, flip, "valid Parquet"),
    "scores lack a row": (WHOLE, without_a_row, "traces of its part, in their order"),
    "scores in another order": (WHOLE, in_another_order, "traces of its part, in their order"),
    "scores lack a column": (WHOLE, without_a_column, "the columns trace_id string"),
    "a list too short": (WHOLE, edited("sum_logprob", lambda x: x[1:]), "entries of sum_logprob"),
    "a list too long": (WHOLE, edited("num_tokens", lambda x: [*x, 1]), "entries of num_tokens"),
    "no list": (WHOLE, cleared("first_logprob"), "a list first_logprob for"),
    "a list beside an error": (WHOLE, list_beside_an_error, "no list sum_logprob beside"),
    "an error without detail": (WHOLE, error_without_detail, "an error as code: detail"),
    "above zero": (WHOLE, edited("sum_logprob", first_entry(0.5)), "log-probabilities of at most"),
    "infinite": (WHOLE, edited("sum_logprob", first_entry(-float("inf"))), "log-probabilities of"),
    "nan": (WHOLE, edited("sum_logprob", first_entry(float("nan"))), "null in sum_logprob exactly"),
    "null for a sentence with tokens": (
        WHOLE,
        edited("first_logprob", first_entry(None)),
        "null in first_logprob exactly",
    ),
    "a score for a sentence without a token": (
        WHOLE,
        edited("sum_logprob", lambda x: [*x[:-1], -1.0]),
        "null in sum_logprob exactly",
    ),
    "unread": (WHOLE, edited("num_tokens", first_entry(None)), "a number of tokens for every"),
    "negative": (WHOLE, edited("num_tokens", first_entry(-1)), "a number of tokens for every"),
    "a sum above its first": (WHOLE, edited("sum_logprob", first_entry(-1e-7)), "a sum_logprob of"),
    "no ranks": (WHOLE, cleared("sum_rank"), "sum_rank of every trace"),
    "ranks too high": (WHOLE, edited("sum_rank", first_entry(9e9)), "sum_rank from 0 to 100"),
    "briers nobody asked for": (WHOLE, briers, "no sum_brier"),
    "flipped tokens": (TOKENS_OF, flip, "valid Parquet"),
    "a token lost": (TOKENS_OF, edited("logprobs", lambda x: x[1:]), "as many logprobs as starts"),
    "a token outside": (TOKENS_OF, edited("ends", first_entry(9999)), "tokens inside their"),
    "a token above zero": (TOKENS_OF, edited("logprobs", first_entry(0.1)), "log-probabilities of"),
    "tokens null": (TOKENS_OF, cleared("starts"), "starts exactly where there is no error"),
    "flipped verdicts": (VERDICTS, flip, "valid Parquet"),
    "verdicts in another order": (VERDICTS, in_another_order, "in the order of their trace_ids"),
    "a verdict on a stranger": (VERDICTS, edited("trace_id", lambda _: "0"), "of its part"),
    "no verdict and no reason": (VERDICTS, cleared("correct"), "a detail where it is not known"),
    "flipped ledger": ("runs/*/rows/*.parquet", flip, "valid Parquet"),
    "ledger lacks a row": ("runs/*/rows/*.parquet", without_a_row, "rows, as ingested"),
    "flipped selection": ("runs/*/selected/*.parquet", flip, "sha256"),
    "selection lacks a row": ("runs/*/selected/*.parquet", without_a_row, "sha256"),
    "flipped manifest": ("runs/*/manifest.json", truncate, "a JSON object"),
    "flipped ingested.json": ("runs/*/ingested.json", truncate, "a JSON list"),
    "flipped session": ("runs/*/sessions/*.json", truncate, "a JSON object"),
    "flipped dataset.json": ("traces/*/dataset.json", truncate, "a JSON object"),
    "flipped model": ("models/*.json", truncate, "a JSON object"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_its_file(store, kind):
    pattern, harm, expected = DAMAGE[kind]
    root, _ = store
    path = sorted(Path(root.uri).glob(pattern))[0]
    harm(path)
    found = audited(root).damage
    assert {each.file for each in found} == {str(path.relative_to(root.uri))}
    assert expected in " ".join(each.expected for each in found)
    assert all(each.found and each.remedy for each in found)


# Files that are sound and in the wrong place


def swap(one, other):
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def test_a_renamed_part_is_named(store):
    root, _ = store
    path = sorted(Path(root.uri).glob(PART))[0]
    path.rename(path.with_name(f"{'0' * 32}.parquet"))
    found = audited(root)
    assert f"{path.parent.relative_to(root.uri)}/{'0' * 32}.parquet" in {
        each.file for each in found.damage if "whose part-key is 0000" in each.expected
    }
    assert str(path.relative_to(root.uri)) in {
        each.file for each in found.damage if "that the run demo-" in each.expected
    }
    assert any("parts that no dataset has" in note for note in found.notes)


def test_a_part_under_a_name_that_is_none_is_named(store):
    root, _ = store
    path = sorted(Path(root.uri).glob(PART))[0]
    path.rename(path.with_name("copy.parquet"))
    assert ("a name that the store gives", "another") in [each[1:] for each in told(root)]


def test_a_part_in_another_bucket_is_named(store):
    root, run = store
    (bucket, key), _ = run.parts
    folder = Path(root.uri) / "traces/demo"
    there = folder / f"bucket={1 - bucket:04d}" / f"{key}.parquet"
    (folder / f"bucket={bucket:04d}" / f"{key}.parquet").rename(there)
    found = {each.file: each.expected for each in audited(root).damage}
    assert found[str(there.relative_to(root.uri))] == f"prompts of bucket {1 - bucket} of 2"


def test_scores_of_two_parts_that_were_swapped_are_named(store):
    root, _ = store
    files = sorted(Path(root.uri).glob(WHOLE))
    swap(*files)
    found = told(root)
    assert [each[0] for each in found] == [str(path.relative_to(root.uri)) for path in files]
    assert all("traces of its part" in each[1] for each in found)


def test_scores_of_two_models_that_were_swapped_are_named(store):
    root, run = store
    _, key = run.parts[0]
    files = [Path(root.uri) / score_name(model, key) for model in (STUDENT, TEACHER)]
    swap(*files)
    assert told(root) == [
        (f"scores/{STUDENT}/{key}.parquet", f"scores of {STUDENT}", f"those of {TEACHER}"),
        (f"scores/{TEACHER}/{key}.parquet", f"scores of {TEACHER}", f"those of {STUDENT}"),
    ]


def test_a_piece_with_a_stranger_is_named(store):
    root, run = store
    (_, one), (_, other) = run.parts
    table = root.read_table(score_name(STUDENT, one)).slice(0, 1)
    root.write_table(f"partial/{STUDENT}/{other}/0123.parquet", table, {"model": STUDENT})
    ((file, expected, _),) = told(root)
    assert (file, expected) == (
        f"partial/{STUDENT}/{other}/0123.parquet",
        "the 8 traces of its part",
    )


def test_scores_of_a_part_that_no_dataset_has_are_a_note(store):
    root, _ = store
    root.write_table(
        score_name(STUDENT, "f" * 32), pa.table({name: [] for name in SCORES.names}, schema=SCORES)
    )
    found = audited(root)
    assert found.damage == []
    assert found.notes == [
        "scores: 1 files are about parts that no dataset has; `rdpt store gc --unused` deletes those"
        " that no run refers to"
    ]


def test_a_file_of_somebody_else_is_a_note(store):
    root, _ = store
    root.write_bytes("README.md", b"hello")
    found = audited(root)
    assert (found.damage, found.notes) == ([], ["README.md: not a file of the store"])


# Runs


@pytest.mark.parametrize("table", ["rows", "selected", "rejected", "quarantine", "provenance"])
def test_a_missing_table_is_named(store, table):
    root, run = store
    name = f"{run.folder}/{table}/bucket=0001.parquet"
    root.delete(name)
    assert told(root) == [(name, "a table of every bucket of the run", "no file")]


def test_a_missing_report_is_named(store):
    root, run = store
    root.delete(f"{run.folder}/report/index.html")
    assert told(root) == [
        (f"{run.folder}/report/index.html", "the report of a finished run", "no file")
    ]


@pytest.mark.parametrize("count", ["rows_read", "selected", "rejected", "quarantined"])
@pytest.mark.parametrize("where", [["counts"], ["counts", "summary"]], ids=["counts", "both"])
def test_a_manifest_that_was_edited_is_named(store, count, where):
    root, run = store
    manifest = read_json(root, f"{run.folder}/manifest.json")
    for section in where:
        manifest[section][count] += 1
    write_json(root, f"{run.folder}/manifest.json", manifest)
    ((file, _, found),) = told(root)
    assert file == f"{run.folder}/manifest.json"
    assert str(manifest["counts"][count]) in found


def test_counts_that_add_up_and_are_not_those_of_the_tables_are_named(store):
    root, run = store
    manifest = read_json(root, f"{run.folder}/manifest.json")
    for section in ("counts", "summary"):
        manifest[section]["selected"] += 1
        manifest[section]["rejected"] -= 1
    write_json(root, f"{run.folder}/manifest.json", manifest)
    assert [each[1] for each in told(root)] == [
        "selected 8, the rows of selected/",
        "rejected 8, the rows of rejected/",
    ]


@pytest.mark.parametrize("kept", [True, False], ids=["sums", "no sums"])
def test_rows_that_moved_between_tables_are_named(store, kept):
    root, run = store
    if not kept:  # as a manifest of an earlier version
        manifest = read_json(root, f"{run.folder}/manifest.json")
        del manifest["files"]
        write_json(root, f"{run.folder}/manifest.json", manifest)
    names = [f"{run.folder}/{table}/bucket=0000.parquet" for table in ("selected", "rejected")]
    one, other = (Path(root.uri) / name for name in names)
    swap(one, other)
    found = told(root)
    assert {each[0] for each in found} == set(names)
    assert kept == any("sha256" in each[1] for each in found)
    assert any(each[1] == "selected traces only" for each in found)


def test_a_manifest_without_what_others_look_up_is_named(store):
    root, run = store
    write_json(root, f"{run.folder}/manifest.json", {"facts": {}})
    ((file, expected, _),) = told(root)
    assert (file, expected) == (f"{run.folder}/manifest.json", "an object config")


# One part alone, as a job asks


def test_a_part_and_its_scores_can_be_checked_alone(store):
    root, run = store
    for bucket, key in run.parts:
        table = root.read_table(f"traces/demo/bucket={bucket:04d}/{key}.parquet")
        assert check_part(root, "demo", bucket, key) == []
        assert check_scores(root, STUDENT, key, table) == []
        assert check_scores(root, "another", key, table) == []
        path = Path(root.uri) / score_name(STUDENT, key)
        edited("sum_logprob", lambda values: values[1:])(path)
        (found,) = check_scores(root, STUDENT, key, table)
        assert found.file == score_name(STUDENT, key)
        flip(Path(root.uri) / f"traces/demo/bucket={bucket:04d}/{key}.parquet")
        (found,) = check_part(root, "demo", bucket, key)
        assert found.is_derived


def test_a_part_that_cannot_be_read_is_not_taken_for_damaged(store):
    root, run = store
    bucket, key = run.parts[0]
    path = Path(root.uri) / f"traces/demo/bucket={bucket:04d}/{key}.parquet"
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError):
        check_part(root, "demo", bucket, key)


# Setting aside


def test_what_is_set_aside_is_made_again(store, tmp_path):
    """The next run over the same input writes the same bytes."""
    root, run = store
    path = Path(root.uri)
    harmed = [sorted(path.glob(pattern))[0] for pattern in (PART, WHOLE, TOKENS_OF, VERDICTS)]
    before = [each.read_bytes() for each in harmed]
    for each in harmed:
        truncate(each)
    plan = plan_audit(root)
    found = audit(plan)
    moved = set_damage_aside(plan, found)
    names = [str(each.relative_to(path)) for each in harmed]
    assert moved == sorted(f"damaged/{name}" for name in names)
    assert found.damage == []
    assert not any(each.exists() for each in harmed)
    assert all(f"{name}: was set aside" in " ".join(audited(root).notes) for name in names[:2])
    again = replace(run, number=2, buckets=[]).ingest(tmp_path, range(8)).score().verify()
    assert [each.read_bytes() for each in harmed] == before
    assert again.parts == run.parts
    assert audited(root).damage == []


def test_a_run_that_is_not_finished_ingests_again_what_was_set_aside(store):
    root, run = store
    root.delete(f"{run.folder}/manifest.json")
    truncate(sorted(Path(root.uri).glob(PART))[0])
    plan = plan_audit(root)
    assert f"damaged/{run.folder}/ingested.json" in set_damage_aside(plan, audit(plan))
    assert not root.exists(f"{run.folder}/ingested.json")


def test_tables_of_a_run_stay_where_they_are(store):
    root, run = store
    name = f"{run.folder}/selected/bucket=0000.parquet"
    truncate(Path(root.uri) / name)
    plan = plan_audit(root)
    found = audit(plan)
    assert set_damage_aside(plan, found) == []
    assert {each.file for each in found.damage} == {name}
    assert "delete the run's folder" in found.damage[0].remedy


# Recordings and drops


def recorded(root, num_buckets=2):
    """Records as the engine precomputed reads them."""
    folder = f"recorded/{'e' * 32}"
    ids = [f"trace-{number}" for number in range(8)]
    for bucket in range(num_buckets):
        rows = [
            {"id": each, "token_ids": [1, 2], "logprobs": [-0.5, -1.0], "error": None}
            for each in ids
            if record_bucket(each, num_buckets) == bucket
        ]
        write_records(root, folder, bucket, pa.Table.from_pylist(rows, schema=RECORDS))
    write_json(root, f"{folder}/index.json", {"folder": folder, "num_buckets": num_buckets})
    return folder


def other_bucket(id):
    """An id of the other bucket, that sorts first."""
    names = (f"a{number}" for number in range(99))
    return next(each for each in names if record_bucket(each, 2) != record_bucket(id, 2))


def test_records_that_cannot_be_trusted_are_read_from_the_recording_again(store):
    root, _ = store
    folder = recorded(root)
    assert told(root) == []
    name = f"{folder}/bucket=0001.parquet"
    flip(Path(root.uri) / name)
    plan = plan_audit(root)
    found = audit(plan)
    assert [each.file for each in found.damage] == [name]
    # The index, which says that all is there, goes first.
    assert set_damage_aside(plan, found) == [f"damaged/{folder}/index.json", f"damaged/{name}"]
    assert not root.exists(f"{folder}/index.json")


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (in_another_order, "records sorted by id, none twice"),
        (edited("id", other_bucket), "records of bucket"),
    ],
)
def test_records_that_cannot_be_found_are_named(store, harm, expected):
    root, _ = store
    path = sorted(Path(root.uri, recorded(root)).glob("*.parquet"))[0]
    harm(path)
    ((file, told_of, _),) = told(root)
    assert (file, told_of.startswith(expected)) == (str(path.relative_to(root.uri)), True)


def test_drops_are_counted(store):
    root, run = store
    write_drops(root, run.folder, "near_duplicate", 1, {"a": "because", "b": "because"})
    finish_drops(root, run.folder, "near_duplicate", {1: 2})
    assert told(root) == []
    name = f"{run.folder}/drops/near_duplicate/bucket=0001.parquet"
    without_a_row(Path(root.uri) / name)
    assert told(root) == [(name, "2 rows, as in index.json", "1")]
    root.delete(name)
    assert told(root) == [(name, "a table of every bucket of the run", "no file")]


# A law


@settings(max_examples=300)
@given(st.sampled_from(sorted(SCHEMAS)), st.integers(0, 1 << 40))
def test_no_flipped_bit_gives_other_rows_unnoticed(made, pattern, place):
    """What is not noticed lies in statistics, indexes or names that no row is read by."""
    path = sorted(made[0].glob(pattern))[0]
    data = bytearray(path.read_bytes())
    good, _ = parsed_table(bytes(data), SCHEMAS[pattern])
    bit = place % (8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    table, findings = parsed_table(bytes(data), SCHEMAS[pattern])
    assert bool(findings) == (table is None)
    assert table is None or table.equals(good)


def test_what_a_job_writes_after_the_store_was_listed_is_not_missing(store):
    root, run = store
    name = f"{run.folder}/selected/bucket=0001.parquet"
    content = root.read_bytes(name)
    root.delete(name)
    plan = plan_audit(root)
    root.write_bytes(name, content)
    assert audit(plan).damage == []
