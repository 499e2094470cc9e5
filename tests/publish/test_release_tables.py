import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rdpt_ray.errors import StoreError
from rdpt_ray.publish.release_tables import MAX_LICENSES, OTHER, write_tables
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.runs import read_manifest
from tests.publish.finished_run import candidate, classes_of, finished_run, rows_of, sums


def write(tmp_path, run, **publish):
    folder = tmp_path / "release"
    folder.mkdir()
    found = write_tables(run, read_manifest(run), folder, PublishConfig(**publish))
    read = {
        shards.config: [
            row for path in shards.paths for row in pq.read_table(folder / path).to_pylist()
        ]
        for shards in found.shards
    }
    return found, read


def test_every_selected_trace_is_published_once_in_the_order_of_the_run(tmp_path):
    run = finished_run(tmp_path / "run")
    _, read = write(tmp_path, run)
    selected = rows_of(run, "selected")
    assert [row["trace_id"] for row in read["default"]] == [row["trace_id"] for row in selected]
    for row, source in zip(read["default"], selected, strict=True):
        assert row["messages"][:-1] == source["messages"]
        assert f"{row['reasoning']}\n\n{row['answer']}" == source["response"]
        for fact in ("prompt_id", "license", "reference_answer", "correct", "num_teacher"):
            assert row[fact] == source[fact]
    assert list(read) == ["default", "provenance"]


def test_provenance_says_of_every_sentence_where_it_comes_from(tmp_path):
    run = finished_run(tmp_path / "run")
    _, read = write(tmp_path, run)
    for row, source in zip(read["provenance"], rows_of(run, "selected"), strict=True):
        assert row["trace_id"] == source["trace_id"]
        sentences = row["sentences"]
        assert "".join(each["text"] for each in sentences) == source["response"]
        assert [each["provenance"] for each in sentences] == classes_of(source)
        assert all(
            each["text"] == source["response"][each["start"] : each["end"]] for each in sentences
        )
        assert sentences[0]["teacher_prob"] in (pytest.approx(0.9), 0.5, pytest.approx(0.1))
        assert "distilled_prob" not in sentences[0]


def test_the_first_format_is_the_default_and_rejected_traces_come_on_request(tmp_path):
    run = finished_run(tmp_path / "run")
    _, read = write(tmp_path, run, formats=["sharegpt", "messages", "axolotl"], rejected=True)
    assert list(read) == ["default", "messages", "axolotl", "provenance", "rejected"]
    assert "conversations" in read["default"][0]
    rejected = read["rejected"]
    assert {row["drop_reason"] for row in rejected} == {"outranked"}
    assert "conversations" in rejected[0]
    assert len(rejected) == len(rows_of(run, "rejected")) > 0
    both = [row["trace_id"] for row in read["provenance"]]
    assert both == [row["trace_id"] for row in rows_of(run, "provenance")]
    selected = {row["trace_id"] for row in read["default"]}
    assert all(row["selected"] == (row["trace_id"] in selected) for row in read["provenance"])


def test_axolotl_spans_follow_the_classes(tmp_path):
    run = finished_run(tmp_path / "run")
    _, read = write(tmp_path, run, formats=["axolotl"])
    for row, source in zip(read["default"], rows_of(run, "selected"), strict=True):
        spans = row["messages"][-1]["training_detail"]
        assert [each["provenance"] for each in spans if each["provenance"]] == classes_of(source)
        assert all(each["train"] == (each["provenance"] in (None, "TEACHER")) for each in spans)


def test_traces_that_the_teacher_did_not_read_have_no_classes(tmp_path):
    run = finished_run(tmp_path / "run")
    for name in run.names("provenance"):
        table = run.read_table(name)
        for column in ("provenance", "teacher_prob"):
            at = table.schema.get_field_index(column)
            kind = table.schema.field(at)
            table = table.set_column(at, kind, pa.nulls(table.num_rows, kind.type))
        run.write_table(name, table)
    _, read = write(tmp_path, run, rejected=True)
    sentence = read["provenance"][0]["sentences"][0]
    assert (sentence["provenance"], sentence["teacher_prob"]) == (None, None)
    assert sentence["student_prob"] is not None


def test_an_empty_selection_is_empty_tables(tmp_path):
    run = finished_run(tmp_path / "run", [])
    found, read = write(tmp_path, run, rejected=True)
    assert read == {"default": [], "provenance": [], "rejected": []}
    assert all(len(shards.paths) == 1 for shards in found.shards)


def test_licenses_are_counted_to_a_limit(tmp_path):
    rows = [
        candidate(f"{at}?", "Think.", "Yes.", license=f"own-{at}") for at in range(MAX_LICENSES + 5)
    ]
    rows.append(candidate("none?", "Think.", "Yes.", license=None))
    found, _ = write(tmp_path, finished_run(tmp_path / "run", rows))
    assert len(found.licenses) == MAX_LICENSES + 1
    assert found.licenses[OTHER] == 6
    assert found.licenses.total() == MAX_LICENSES + 6


def test_a_missing_bucket_is_told(tmp_path):
    run = finished_run(tmp_path / "run")
    run.delete("selected/bucket=0001.parquet")
    with pytest.raises(StoreError, match=r"selected/bucket=0001.parquet: missing"):
        write(tmp_path, run)


def test_tables_that_do_not_belong_together_are_told(tmp_path):
    run = finished_run(tmp_path / "run")
    for name in run.names("provenance"):
        run.write_table(name, run.read_table(name).slice(1))
    with pytest.raises(StoreError, match="no row in its place for trace"):
        write(tmp_path, run)


def test_damage_is_told(tmp_path):
    run = finished_run(tmp_path / "run")
    name = "selected/bucket=0001.parquet"
    run.write_bytes(name, run.read_bytes(name)[:-100])
    with pytest.raises(StoreError, match=r"selected/bucket=0001.parquet: not a valid Parquet"):
        write(tmp_path, run)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 12), st.integers(1, 3), st.integers(1, 2_000))
def test_shards_of_any_size_hold_the_same_rows(
    tmp_path_factory, num_prompts, per_prompt, shard_bytes
):
    folder = tmp_path_factory.mktemp("law")
    run = finished_run(folder / "run", sums(num_prompts, per_prompt))
    _, read = write(folder, run, shard_bytes=shard_bytes)
    assert [row["trace_id"] for row in read["default"]] == [
        row["trace_id"] for row in rows_of(run, "selected")
    ]
