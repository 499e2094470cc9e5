"""Evaluation sets: every text of every row, or a ConfigError that says what is wrong where."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rdpt_ray.errors import ConfigError
from rdpt_ray.selection_config import EvaluationSetConfig
from rdpt_ray.storage.evaluation_sets import list_evaluation_sets, read_evaluation_sets

ROWS = [
    {"problem": "one", "choices": ["x", "y"], "id": 1},
    {"problem": None, "choices": None, "id": 2},
    {"problem": "three", "choices": [], "id": 3},
]


def read(path, columns=("problem",), format="auto"):
    sets = {"aime24": EvaluationSetConfig(path=str(path), columns=list(columns), format=format)}
    return list(read_evaluation_sets(sets, list_evaluation_sets(sets)))


@pytest.fixture(params=["parquet", "jsonl", "jsonl.zst"])
def path(request, tmp_path):
    path = tmp_path / f"set.{request.param}"
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    if request.param == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        packed = request.param.endswith("zst")
        path.write_bytes(zstandard.compress(lines) if packed else lines)
    return path


def test_every_text_is_labelled_with_its_row(path):
    assert read(path) == [("aime24 row 0", "one"), ("aime24 row 2", "three")]
    assert read(path, ["problem", "choices"])[:2] == [
        ("aime24 row 0", "one"),
        ("aime24 row 0", "x\ny"),
    ]


def test_a_set_of_several_files_names_them(path, tmp_path):
    (tmp_path / f"z{path.name}").write_bytes(path.read_bytes())
    labels = [label for label, _ in read(tmp_path)]
    assert labels[0] == f"aime24 {path.name} row 0"
    assert len(labels) == 4


def test_the_fingerprint_is_of_the_content(path):
    sets = {"a": EvaluationSetConfig(path=str(path), columns=["problem"])}
    before = list_evaluation_sets(sets)["a"][0].fingerprint
    assert list_evaluation_sets(sets)["a"][0].fingerprint == before
    path.write_bytes(path.read_bytes() + b"\n")
    assert list_evaluation_sets(sets)["a"][0].fingerprint != before


def test_a_missing_column_is_named_with_the_nearest(path):
    with pytest.raises(ConfigError) as caught:
        read(path, ["problems"])
    message = str(caught.value)
    assert message.startswith("selection.filters.contamination.sets.aime24: ")
    assert f"{path.name}: has no column 'problems'" in message
    assert "did you mean 'problem'?" in message


def test_a_value_that_is_no_text_is_named(path):
    with pytest.raises(ConfigError, match="row 0: column 'id': expected text, got int"):
        read(path, ["id"])


def test_a_missing_file_is_the_configs_fault(tmp_path):
    where = r"selection\.filters\.contamination\.sets\.aime24\.path: .*none\.parquet does not exist"
    with pytest.raises(ConfigError, match=where):
        read(tmp_path / "none.parquet")


def test_a_damaged_file_is_the_configs_fault(path):
    path.write_bytes(path.read_bytes()[:-5])
    if path.suffix == ".jsonl":
        path.write_bytes(path.read_bytes() + b"\n{broken")
    with pytest.raises(ConfigError, match=rf"sets\.aime24: .*{path.name}: "):
        read(path)


@pytest.mark.parametrize(
    ("line", "said"), [("[1]", "row 1: expected a JSON object"), ("{1}", "row 1: ")]
)
def test_a_bad_line_is_named(tmp_path, line, said):
    path = tmp_path / "set.jsonl"
    path.write_text('{"problem": "a"}\n' + line + "\n")
    with pytest.raises(ConfigError, match=said):
        read(path)
