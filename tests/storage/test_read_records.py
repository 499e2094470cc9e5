"""Files of recorded log-probabilities: good rows as they are, bad ones with what is wrong."""

import gzip
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.model_config import RecordedConfig
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.read_records import check_records, read_records
from rdpt_ray.storage.schemas import RECORDS

GOOD = [
    {"sample_uuid": f"u{index}", "token_ids": [index, 2, 3], "logprobs": [-0.5, -1.25, -index]}
    for index in range(40)
]
SPEC = RecordedConfig(path="x")


def read(path, spec=SPEC):
    (file,) = list_inputs(InputConfig(path=str(path)))
    check_records(file, spec)
    tables = list(read_records(file, spec))
    assert all(table.schema == RECORDS for table in tables)
    return pa.concat_tables(tables).to_pylist()


def expected(rows):
    return [
        {
            "id": row["sample_uuid"],
            "token_ids": row["token_ids"],
            "logprobs": row["logprobs"],
            "error": None,
        }
        for row in rows
    ]


def write_parquet(path, rows, **types):
    table = pa.Table.from_pylist(rows)
    for name, kind in types.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table.column(name).cast(kind))
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    "types",
    [
        {},
        {"token_ids": pa.list_(pa.int32()), "logprobs": pa.list_(pa.float32())},
        {"token_ids": pa.large_list(pa.uint32()), "logprobs": pa.large_list(pa.float64())},
    ],
)
def test_parquet_rows_are_records(tmp_path, types):
    assert read(write_parquet(tmp_path / "a.parquet", GOOD, **types)) == expected(GOOD)


def test_jsonl_rows_are_records_and_whole_number_ids_become_text(tmp_path):
    rows = [*GOOD, {"sample_uuid": 7, "token_ids": [], "logprobs": []}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines.encode()))
    assert read(path) == expected([*GOOD, {**rows[-1], "sample_uuid": "7"}])


def test_columns_are_named_by_the_config(tmp_path):
    rows = [{"id": "u", "ids": [1], "lp": [-0.5]}]
    spec = RecordedConfig(path="x", id_column="id", tokens_column="ids", logprobs_column="lp")
    (record,) = read(write_parquet(tmp_path / "a.parquet", rows), spec)
    assert (record["id"], record["token_ids"], record["logprobs"]) == ("u", [1], [-0.5])


BAD = [
    ({"sample_uuid": None}, None, "an id is NoneType"),
    ({"sample_uuid": True}, None, "an id is bool"),
    ({"sample_uuid": 1.5}, None, "an id is float"),
    ({"token_ids": None}, "u0", "recorded_malformed: the token ids"),
    ({"token_ids": [1, -1, 2]}, "u0", "recorded_malformed: the token ids"),
    ({"token_ids": [1, 2.5, 2]}, "u0", "recorded_malformed: the token ids"),
    ({"token_ids": [1, True, 2]}, "u0", "recorded_malformed: the token ids"),
    ({"token_ids": [1, 2**40, 2]}, "u0", "recorded_malformed: the token ids"),
    ({"token_ids": "1 2 3"}, "u0", "recorded_malformed: the token ids"),
    ({"logprobs": [-0.5, None, -0.5]}, "u0", "recorded_malformed: the log-probabilities"),
    ({"logprobs": [-0.5, "-0.5", -0.5]}, "u0", "recorded_malformed: the log-probabilities"),
    ({"logprobs": [10**400]}, "u0", "recorded_malformed: the log-probabilities"),
]


@pytest.mark.parametrize(("change", "identity", "error"), BAD)
def test_a_bad_row_keeps_its_id_and_says_why(tmp_path, change, identity, error):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ({**GOOD[0], **change}, GOOD[1])))
    bad, good = read(path)
    assert bad["id"] == identity
    assert bad["error"].startswith(error)
    assert bad["token_ids"] is bad["logprobs"] is None
    assert [good] == expected(GOOD[1:2])


def test_numbers_that_are_none_stay_none_in_parquet_and_not_finite_ones_stay(tmp_path):
    rows = [{**GOOD[0], "logprobs": [math.nan, -math.inf, -1e300]}, {**GOOD[1], "logprobs": None}]
    first, second = read(write_parquet(tmp_path / "a.parquet", rows))
    assert math.isnan(first["logprobs"][0])
    assert first["logprobs"][1:] == [-math.inf, float(np.float32(-math.inf))]
    assert second["error"].startswith("recorded_malformed")


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"sample_uuid": "\\ud800", "token_ids": [], "logprobs": []}']
)
def test_a_line_that_is_no_record_does_not_end_the_file(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n" + json.dumps(GOOD[0]) + "\n")
    bad, good = read(path)
    assert bad["id"] in (None, "?")
    assert [good] == expected(GOOD[:1])


def test_a_damaged_file_costs_its_own_rows(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", GOOD)
    path.write_bytes(path.read_bytes()[:-30])
    (bad,) = read(path)
    assert bad["error"].startswith("corrupt_file: ")
    assert bad["id"] is None
    path = tmp_path / "b.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD[0]).encode())[:-12])
    assert read(path)[-1]["error"].startswith("corrupt_file: ")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"uuid": "u", "token_ids": [1], "logprobs": [-1.0]}],
            "one column 'sample_uuid', found uuid, token_ids",
        ),
        (
            [{"sample_uuid": "u", "token_ids": ["a"], "logprobs": [-1.0]}],
            "lists of whole numbers, got list",
        ),
        ([{"sample_uuid": "u", "token_ids": [1], "logprobs": "x"}], "lists of floats, got string"),
    ],
)
def test_columns_that_are_missing_or_of_another_type_end_the_job_at_once(tmp_path, rows, said):
    with pytest.raises(InputError, match=said) as raised:
        read(write_parquet(tmp_path / "a.parquet", rows))
    assert "a.parquet" in str(raised.value)


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (pa.array([0, 2**62, 1], pa.timestamp("us")), "unreadable_value"),
        (pa.array([b"a", b"\xff", b"c"]).view(pa.string()), "invalid_utf8"),
    ],
)
def test_an_id_that_python_cannot_hold_costs_its_row_only(tmp_path, ids, reason):
    lists = pa.array([[1], [2], [3]], pa.list_(pa.int32()))
    logprobs = pa.array([[-1.0]] * 3)
    table = pa.table({"sample_uuid": ids, "token_ids": lists, "logprobs": logprobs})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet")
    assert len(rows) == 3
    assert rows[1]["error"].startswith(f"{reason}: ")
    assert ("an id is" in rows[0]["error"]) if rows[0]["error"] else rows[0]["token_ids"] == [1]
