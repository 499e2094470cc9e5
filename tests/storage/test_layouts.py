"""Every public dataset that is recognised: rows faithful to its schema, and every fact of their traces."""

import io
import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.input_config import LAYOUTS as CONFIGURED
from rdpt_ray.input_config import InputConfig
from rdpt_ray.storage.columns import COLUMNS, INTO_METADATA
from rdpt_ray.storage.faults import REASONS
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.layouts import LAYOUTS
from rdpt_ray.storage.reading import choose_reading, read_types
from rdpt_ray.storage.schemas import INGESTED
from tests.storage.dataset_rows import ASK, DATASETS, READ, SHARED, THOUGHT, turns

FACTS = ("reference_answer", "correct", "teacher_name", "source", "license")


def expected(name):
    shared = SHARED.get(name, {})
    for own in DATASETS[name][1]:
        metadata = {**shared.get("metadata", {}), **own.get("metadata", {})} or None
        blank = {**dict.fromkeys(FACTS), "messages": ASK, **READ}
        yield {**blank, **shared, **own, "metadata": metadata}


def as_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


WRITERS = {"a.parquet": as_parquet, "a.jsonl": as_lines}


def one(text):
    return [(0, len(text))]


def read(data, name, **options):
    """The file's layout and its rows; `name` says the file's type, and may hint at its dataset."""
    fsspec.filesystem("memory").pipe(f"/layouts/{name}", data)
    config = InputConfig(path=f"memory://layouts/{name}", **options)
    [file] = list_inputs(config)
    check_columns([file], config)
    rows = []
    for table in read_file(file, config, split=one):
        assert table.schema == INGESTED
        table.validate(full=True)
        rows += table.to_pylist()
    return choose_reading(config, read_types(file), file.uri).layout.name, rows


def told(row):
    return {
        **{name: row[name] for name in ("response", "answer_start", "complete", *FACTS)},
        "messages": [(message["role"], message["content"]) for message in row["messages"]],
        "metadata": row["metadata"] and json.loads(row["metadata"]),
    }


def test_every_layout_can_be_named_in_the_config_and_is_tested():
    assert set(CONFIGURED) == set(LAYOUTS) == set(DATASETS)
    documented = (Path(__file__).parents[2] / "docs/inputs.md").read_text()
    for layout in LAYOUTS.values():
        assert f"\n| {layout.name} | " in documented
        assert all(column in documented for column in layout.needs)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_a_layout_names_columns_that_traces_have(layout):
    mappings = [layout.columns, layout.lists, *layout.variants, *layout.constants]
    for name in (name for mapping in mappings for name in mapping):
        assert name.startswith(INTO_METADATA) or name.partition(".")[0] in COLUMNS


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_recognised_and_every_fact_of_its_traces_is_right(name, file):
    row, _ = DATASETS[name]
    found, rows = read(WRITERS[file]([row, row]), f"{name}/{file}")
    assert found == name
    assert [entry["reason"] for entry in rows] == [None] * len(rows)
    traces = list(expected(name))
    assert [told(entry) for entry in rows] == traces * 2
    items = list(range(len(traces)))
    assert [(entry["row"], entry["item"]) for entry in rows] == [
        (row, item) for row in (0, 1) for item in items
    ]


@pytest.mark.parametrize("name", DATASETS)
def test_a_layout_can_be_forced(name):
    found, rows = read(as_lines([DATASETS[name][0]]), "x.jsonl", format=name)
    assert found == name
    assert [told(entry) for entry in rows] == list(expected(name))


def changed(name, **values):
    return {**DATASETS[name][0], **values}


def reasons(row, name="x.jsonl", **options):
    return [
        (entry["item"], entry["reason"], entry["column"])
        for entry in read(as_lines([row]), name, **options)[1]
    ]


@pytest.mark.parametrize("generations", [None, []])
def test_a_row_without_candidates_is_one_fault(generations):
    row = changed("openr1-math-220k", generations=generations)
    assert reasons(row) == [(0, "no_response", "generations")]


def test_a_bad_candidate_never_costs_its_siblings():
    row = changed(
        "openr1-math-220k",
        generations=[None, THOUGHT, "<think>cut", 7, THOUGHT],
        is_reasoning_complete=None,
        finish_reasons=None,
        correctness_math_verify=[True, True, True, True, "yes"],
    )
    assert reasons(row, format="openr1-math-220k") == [
        (0, "null_value", "generations"),
        (1, None, None),
        (2, "unclosed_reasoning", "generations"),
        (3, "wrong_type", "generations"),
        (4, "wrong_type", "correctness_math_verify"),
    ]


def test_parallel_lists_that_are_null_or_short_are_null_facts():
    lists = set(LAYOUTS["openr1-math-220k"].lists.values()) - {"generations"}
    for short in (None, [], [None]):
        row = changed("openr1-math-220k", generations=[THOUGHT] * 2, **dict.fromkeys(lists, short))
        _, rows = read(as_lines([row]), "x.jsonl")
        assert [(entry["correct"], entry["complete"]) for entry in rows] == [(None, True)] * 2


def test_one_teacher_of_two():
    nothing = {"gemini_thinking_trajectory": None, "gemini_attempt": None}
    both = {**nothing, "deepseek_thinking_trajectory": None, "deepseek_attempt": None}
    assert reasons(changed("s1k-1.1", **nothing)) == [(1, None, None)]
    assert reasons(changed("s1k-1.1", **both))[0][:2] == (0, "no_response")
    assert reasons(changed("s1k-1.1", gemini_attempt=None)) == [
        (0, "null_value", "gemini_attempt"),
        (1, None, None),
    ]


def test_the_input_of_nemotron_is_a_string_or_messages():
    for given_as in (ASK[0][1], [{"role": "user", "content": ASK[0][1]}]):
        row = changed("llama-nemotron-post-training", input=given_as)
        _, [entry] = read(as_lines([row]), "x.jsonl")
        assert told(entry) == next(expected("llama-nemotron-post-training"))
    assert reasons(changed("acereason-1.1-sft", input=None)) == [(0, "null_value", "input")]


def test_reasoning_off_has_no_reasoning():
    for answer in ("It is 4.", "<think></think>It is 4.", "<think>\n\n</think>\n\nIt is 4."):
        row = changed("nemotron-post-training", reasoning="off", messages=turns(answer))
        _, [entry] = read(as_lines([row]), "x.jsonl")
        assert (entry["response"], entry["answer_start"]) == ("It is 4.", 0)


def test_am_without_a_content_is_read_from_its_info():
    ask, answer = DATASETS["am-deepseek-r1-distilled"][0]["messages"]
    row = {"messages": [ask, {**answer, "content": None}]}
    _, [entry] = read(as_lines([row]), "x.jsonl")
    assert told(entry) == next(expected("am-deepseek-r1-distilled"))


def test_multilingual_thinking_without_messages_or_thinking_is_read_from_its_columns():
    messages = DATASETS["multilingual-thinking"][0]["messages"]
    bare = [{key: message[key] for key in ("role", "content")} for message in messages]
    for held in (None, bare, bare[:-1]):
        row = changed("multilingual-thinking", messages=held)
        found, [entry] = read(as_lines([row]), "x.jsonl")
        assert found == "multilingual-thinking"
        assert told(entry) == next(expected("multilingual-thinking"))


def test_what_was_written_keeps_its_identity():
    _, [first] = read(as_lines([DATASETS["plain"][0]]), "x.jsonl")
    _, [again] = read(as_lines([first]), "y.jsonl")
    assert again == {**first, "file": again["file"]}


@pytest.mark.parametrize(("depth", "kept"), [(99, False), (101, True), (100_000, True)])
def test_metadata_in_a_text_that_is_nested_too_deeply_stays_a_text(depth, kept):
    metadata = '{"a":' * depth + "1" + "}" * depth
    _, [entry] = read(as_lines([changed("rdpt", metadata=metadata)]), "x.jsonl")
    assert entry["reason"] is None
    assert (json.loads(entry["metadata"]) == metadata) is kept


def test_a_number_is_a_reference_answer():
    _, [entry] = read(as_lines([changed("limo", answer=4)]), "x.jsonl")
    assert entry["reference_answer"] == "4"


def test_files_of_different_layouts_in_one_job():
    disk = fsspec.filesystem("memory")
    for name in DATASETS:
        disk.pipe(f"/mixed/{name}.jsonl", as_lines([DATASETS[name][0]]))
    config = InputConfig(path="memory://mixed")
    files = list_inputs(config)
    assert len(files) == len(DATASETS)
    for file in files:
        name = file.uri.rpartition("/")[2].removesuffix(".jsonl")
        rows = [row for table in read_file(file, config, split=one) for row in table.to_pylist()]
        assert [told(row) for row in rows] == list(expected(name))


def test_defaults_stand_where_a_row_states_nothing():
    rows = [changed("plain", license=license) for license in ("mit", None, " ")]
    defaults = {"license": "apache-2.0", "source": "here"}
    _, found = read(as_lines([*rows, {"prompt": "q"}]), "x.jsonl", defaults=defaults)
    assert [row["license"] for row in found] == ["mit", "apache-2.0", "apache-2.0", None]
    assert [row["source"] for row in found] == ["here", "here", "here", None]
    assert not any(row["teacher_name"] for row in found)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "info", "thinking", "x"]), inner)
    ),
    max_leaves=6,
)


def mutated(value):
    """The value, or another one, or one with some of its entries mutated or gone."""
    options = st.just(value) | values
    if isinstance(value, list):
        entries = st.tuples(*(mutated(entry) for entry in value)).map(list)
        options |= entries | st.integers(0, len(value)).map(lambda end: value[:end])
    if isinstance(value, dict):
        options |= st.fixed_dictionaries(
            {}, optional={key: mutated(entry) for key, entry in value.items()}
        )
    return options


@pytest.mark.parametrize("name", DATASETS)
@settings(max_examples=40)
@given(data=st.data())
def test_any_change_to_a_row_gives_traces_or_faults_and_counts_hold(name, data):
    row = DATASETS[name][0]
    broken = data.draw(
        st.fixed_dictionaries({}, optional={key: mutated(value) for key, value in row.items()})
    )
    forced = data.draw(st.sampled_from(["auto", name]))
    _, rows = read(as_lines([row, broken, row]), "x.jsonl", format=forced)
    num_traces = len(DATASETS[name][1])
    places = [(entry["row"], entry["item"]) for entry in rows]
    assert places == sorted(set(places))
    assert [place[0] for place in places].count(0) == num_traces
    assert [place[0] for place in places].count(2) == num_traces
    listed = broken.get(LAYOUTS[name].lists.get("response"))
    num_broken = [place[0] for place in places].count(1)
    assert num_broken == len(listed) if listed and isinstance(listed, list) else num_broken >= 1
    for entry in rows:
        assert (entry["reason"] is None) is (entry["trace_id"] is not None)
        assert entry["reason"] is None or entry["reason"] in REASONS
    assert [told(entry) for entry in rows[:num_traces]] == list(expected(name))
    assert [told(entry) for entry in rows[-num_traces:]] == list(expected(name))


columns = st.sampled_from(
    [
        pa.array([None, None]),
        pa.array([b"x", b"\xff"]),
        pa.array([1, 2]),
        pa.array(["", THOUGHT]),
        pa.array([["a"], None]),
        pa.array([[1], []]),
        pa.array([[[True]], [None]]),
        pa.array([[{"role": "user", "content": "q"}], []]),
        pa.array([{"a": 1}, None]),
        pa.array(["a", "a"]).dictionary_encode(),
    ]
)


@pytest.mark.parametrize("name", DATASETS)
@settings(max_examples=40)
@given(data=st.data())
def test_any_change_to_a_schema_gives_traces_or_faults_and_counts_hold(name, data):
    row = DATASETS[name][0]
    table = pa.Table.from_pylist([row, row])
    for column in data.draw(st.sets(st.sampled_from(list(row)))):
        index = table.schema.get_field_index(column)
        other = data.draw(st.none() | columns)
        table = table.remove_column(index)
        if other is not None:
            table = table.append_column(column, other)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    fsspec.filesystem("memory").pipe("/layouts/s.parquet", sink.getvalue())
    config = InputConfig(
        path="memory://layouts/s.parquet", format=data.draw(st.sampled_from(["auto", name]))
    )
    rows = [
        row
        for file in list_inputs(config)
        for part in read_file(file, config, split=one)
        for row in part.to_pylist()
    ]
    assert {entry["row"] for entry in rows} == ({0, 1} if table.num_columns else set())
    for entry in rows:
        assert (entry["reason"] is None) is (entry["trace_id"] is not None)
