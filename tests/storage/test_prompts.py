"""Prompts of rows with and without responses; a trace of a prompt has its id."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdpt_ray.errors import InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.storage.canonical import to_prompt, to_trace
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.prompts import read_prompts

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"
ASKED = [{"role": "user", "content": "1 + 1?"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "<think>\na\n</think>\n\nb"}]


def read(path, **config):
    spec = InputConfig(path=str(path), **config)
    files = list_inputs(spec)
    check_columns(files, spec, prompts_only=True)
    return [row for file in files for row in read_prompts(file, spec)]


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "1 + 1?", "response": "b"},
        {"messages": ANSWERED},
        {"messages": ASKED, "response": "b"},
        {"prompt": "1 + 1?", "system": "Be short.", "response": "b"},
        {"messages": [{"role": "system", "content": "x"}, *ANSWERED]},
    ],
)
def test_a_prompt_has_the_id_that_its_traces_have(values):
    trace = to_trace(values)
    without = {name: value for name, value in values.items() if name != "response"}
    for given in (values, without):
        prompt = to_prompt(given)
        assert prompt.prompt_id == trace.prompt_id
        assert prompt.messages == trace.messages


def test_rows_are_prompts_or_faults_with_their_place(tmp_path):
    rows = [
        {"prompt": "1 + 1?", "reference_answer": "2", "metadata": {"level": 3}},
        {"prompt": None},
        {"messages": ASKED, "license": "mit"},
        {"prompt": " "},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"prompt": 5},
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no json\n")
    found = read(path, defaults={"license": "cc0", "source": "s"})
    assert [row.row for row in found] == list(range(7))
    first, third = found[0].prompt, found[2].prompt
    assert first.prompt_id == third.prompt_id
    assert (first.reference_answer, first.metadata) == ("2", '{"level":3}')
    assert (first.license, third.license, third.source) == ("cc0", "mit", "s")
    faults = [row.quarantined() for row in found if isinstance(row.prompt, Fault)]
    assert [(each["row"], each["reason"]) for each in faults] == [
        (1, "null_value"),
        (3, "empty_text"),
        (4, "unknown_role"),
        (5, "wrong_type"),
        (6, "malformed_json"),
    ]
    assert all(each["file"] == str(path) and each["detail"] for each in faults)


def test_a_parquet_file_of_prompts_alone_will_do_and_one_without_them_will_not(tmp_path):
    pq.write_table(pa.table({"problem": ["1 + 1?"], "solved": [True]}), tmp_path / "a.parquet")
    (row,) = read(tmp_path / "a.parquet", columns={"prompt": "problem"})
    assert row.prompt.messages == [("user", "1 + 1?")]
    with pytest.raises(InputError, match=r"set input\.columns: \{prompt: problem\}"):
        read(tmp_path / "a.parquet")


def test_the_rows_of_a_trace_dataset_are_asked_again():
    """Whatever their responses are like; only the row without a prompt is no prompt."""
    found = read(MINIATURE / "traces.parquet")
    reasons = Counter(row.prompt.reason for row in found if isinstance(row.prompt, Fault))
    assert reasons == {"null_value": 1}
    assert (
        len({row.prompt.prompt_id for row in found if not isinstance(row.prompt, Fault)}) == 322
    )  # two of traces that were cut
