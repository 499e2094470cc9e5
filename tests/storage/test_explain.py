"""What is said of an input before it is ingested, for machines and for people."""

import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError, InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.storage.explain import explain_input
from rdpt_ray.storage.explain_rows import NUM_ROWS
from rdpt_ray.storage.explain_text import WIDTH, render_explanations

ROW = {
    "problem": "2+2?",
    "answer": "4",
    "source": "olympiads",
    "messages": [{"role": "user", "content": "2+2?"}],
    "generations": ["<think>two twos</think>It is 4.", "<think>hm</think>5"],
    "correctness_math_verify": [True, False],
}


def explain(path, rows, **options):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    [told] = explain_input(InputConfig(path=str(path), **options))
    json.dumps(dataclasses.asdict(told), allow_nan=False)
    text = render_explanations([told])
    assert all(len(line) <= WIDTH and line.isprintable() for line in text.split("\n"))
    return told, text


def test_a_recognised_file(tmp_path):
    rows = [ROW, {**ROW, "generations": ["</think>a<think>"]}, {**ROW, "generations": None}]
    told, text = explain(tmp_path / "a.jsonl", rows, defaults={"license": "mit"})
    assert (told.format, told.layout, told.advice) == ("jsonl", "openr1-math-220k", "")
    assert told.columns == {
        "problem": ("string", ["prompt"]),
        "answer": ("string", ["reference_answer"]),
        "source": ("string", ["source"]),
        "messages": ("list<{content, role}>", []),
        "generations": ("list<string>", ["response, an entry per candidate"]),
        "correctness_math_verify": ("list<bool>", ["correct, an entry per candidate"]),
    }
    assert (told.rows.num_rows, told.rows.num_candidates) == (3, 4)
    assert (told.rows.fewest, told.rows.most) == (1, 2)
    assert told.rows.markup == {"<think>": 2, "</think>": 1}
    assert told.rows.faults == {"ambiguous_markup": 1, "no_response": 1}
    assert told.rows.details["no_response"] == "generations: the list of candidates is null"
    assert told.rows.facts == {
        "license": {"mit (input.defaults)": 2},
        "teacher_name": {"not stated": 2},
        "source": {"olympiads": 2},
        "correct": {"true": 1, "false": 1},
        "complete": {"true": 2},
        "reference_answer": {"stated": 2},
    }
    first = told.rows.first
    assert (first.row, first.item, first.prompt) == (0, 0, "2+2?")
    assert (first.reasoning, first.num_reasoning) == ("two twos", 8)
    assert (first.answer, first.num_answer) == ("It is 4.", 8)
    for line in (
        "  layout     openr1-math-220k (open-r1/OpenR1-Math-220k)",
        "             generations: list<string> -> response, an entry per candidate",
        "  not read   messages",
        "  read       first rows: 3, candidates: 4, per row: 1 to 2",
        "  teacher    not stated",
        "             reasoning 8 characters: two twos",
    ):
        assert line in text.split("\n")


def test_a_mapping_means_nothing_is_recognised(tmp_path):
    columns = {"prompt": "problem", "response": "answer"}
    told, text = explain(tmp_path / "a.jsonl", [ROW], columns=columns)
    assert told.layout == "plain"
    assert told.why == ["input.columns is given, so nothing is recognised"]
    assert told.columns["problem"] == ("string", ["prompt"])
    assert "input.columns is given" in text


def test_a_layout_and_a_mapping_are_one_too_many():
    tree = {
        "name": "a",
        "input": {"path": "x", "format": "limo", "columns": {"prompt": "q"}},
        "models": {"teacher": {"model": "t"}, "student": {"model": "s"}},
        "store": "memory://s",
    }
    with pytest.raises(ConfigError, match="leave out columns"):
        parse_config(tree)


def test_columns_that_only_stand_in_for_others_say_so(tmp_path):
    row = {"prompt": "q", "response": "r", "reasoning": "x", "answer": "y", "messages": []}
    told, _ = explain(tmp_path / "a.jsonl", [row])
    assert told.columns["reasoning"][1] == ["reasoning, where response is null"]
    assert told.columns["messages"][1] == ["messages, where prompt is null"]
    del row["response"], row["prompt"]
    told, _ = explain(tmp_path / "b.jsonl", [row])
    assert told.columns["reasoning"][1] == ["reasoning"]
    assert told.columns["messages"][1] == ["messages"]


def test_an_unknown_file_says_what_to_do(tmp_path):
    told, text = explain(tmp_path / "a.jsonl", [{"question": "q", "solution": "s"}])
    assert told.layout == "plain"
    assert "input.columns: {prompt: question}" in told.advice
    assert "nearest is limo, which lacks a fitting answer" in told.advice
    assert told.rows.first is None
    assert "missing_column 1" in text


def test_a_forced_layout_says_what_it_lacks(tmp_path):
    told, _ = explain(tmp_path / "a.jsonl", [{"question": "q", "solution": "s"}], format="limo")
    assert (told.layout, told.why) == ("limo", ["input.format is limo"])
    assert told.advice == "columns it needs are missing or hold something else: answer"


@pytest.mark.parametrize("data", [b"", b"<html>503</html>", b"[]\n7\n"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.jsonl.gz"])
def test_an_unreadable_file_is_explained_too(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    told = explain_input(InputConfig(path=str(tmp_path / name)))
    assert told[0].rows.faults
    assert not told[0].columns
    assert "faults" in render_explanations(told)


def test_only_the_first_rows_are_read(tmp_path):
    rows = [{"prompt": f"q{index}", "response": "r", "source": str(index)} for index in range(300)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    [told] = explain_input(InputConfig(path=str(tmp_path)))
    assert told.rows.num_rows == told.rows.num_candidates == NUM_ROWS
    assert told.rows.facts["source"].popitem() == ("95 more", 95)
    [told] = explain_input(InputConfig(path=str(tmp_path), limit=3))
    assert told.rows.num_rows == 3


def test_every_file_and_no_file(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        explain(tmp_path / name, [ROW])
    told = explain_input(InputConfig(path=str(tmp_path)))
    assert [one.file[-7:] for one in told] == ["a.jsonl", "b.jsonl"]
    assert render_explanations(told).count("\n\n") == 1
    assert len(explain_input(InputConfig(path=str(tmp_path)), max_files=1)) == 1
    with pytest.raises(InputError, match="does not exist"):
        explain_input(InputConfig(path=str(tmp_path / "none")))


texts = st.text(st.characters(codec="utf-8"), max_size=200)


@settings(max_examples=50)
@given(st.dictionaries(texts, texts, max_size=3), texts, texts)
def test_whatever_a_file_holds_is_safe_to_show(tmp_path_factory, more, prompt, response):
    row = {**more, "prompt": prompt, "response": response, "source": "\x1b]0;x\x07\u202e" * 30}
    explain(tmp_path_factory.mktemp("explain") / "a.jsonl", [row])
