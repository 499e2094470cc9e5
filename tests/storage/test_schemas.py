"""The tables hold the columns that the design promises, and no two tables disagree about one."""

import pyarrow as pa
import pytest

from rdpt_ray.method.provenance import Provenance
from rdpt_ray.storage import schemas
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.schemas import (
    INGESTED,
    PROVENANCE,
    QUARANTINE,
    ROWS,
    SCORES,
    SELECTED,
    TRACES,
)

TABLES = {name: value for name, value in vars(schemas).items() if isinstance(value, pa.Schema)}

PROMISED = {
    "trace_id": "string",
    "prompt_id": "string",
    "candidate": "int32",
    "messages": "list<element: struct<role: string, content: string>>",
    "response": "string",
    "answer_start": "int32",
    "complete": "bool",
    "reference_answer": "string",
    "correct": "bool",
    "teacher_name": "string",
    "source": "string",
    "license": "string",
    "metadata": "string",
    "sentences": "list<element: struct<start: int32, end: int32>>",
}
"""The design's table of a trace."""


def type_of(schema, name):
    return str(schema.field(name).type).replace("item:", "element:")


def test_a_trace_has_the_columns_of_the_design():
    assert {name: type_of(TRACES, name) for name in TRACES.names} == PROMISED


def test_scores_selection_and_provenance_have_the_columns_of_the_design():
    assert type_of(SCORES, "sum_logprob") == "list<element: float>"
    assert type_of(SCORES, "num_tokens") == "list<element: int32>"
    assert type_of(SCORES, "error") == "string"
    assert type_of(SELECTED, "selection_score") == "double"
    assert type_of(SELECTED, "rank") == "int32"
    assert type_of(SELECTED, "selected") == "bool"
    assert type_of(SELECTED, "drop_reason") == "string"
    provenance = PROVENANCE.field("provenance").type.value_type
    assert pa.types.is_dictionary(provenance)
    assert provenance.value_type == pa.string()


def test_no_table_names_a_column_twice():
    assert len(TABLES) == 9
    for name, schema in TABLES.items():
        assert len(set(schema.names)) == len(schema.names), name


def test_a_column_has_one_type_wherever_it_appears():
    types = {}
    for schema in TABLES.values():
        for field in schema:
            assert types.setdefault(field.name, field.type) == field.type, field.name


def test_what_is_read_is_what_is_stored():
    """Ingestion cuts its rows into a ledger and a part by name, and the ledger joins the part again."""
    assert set(TRACES.names) < set(INGESTED.names)
    assert set(ROWS.names) < set(INGESTED.names)
    assert set(TRACES.names) | set(ROWS.names) == set(INGESTED.names)
    assert set(TRACES.names) | {"file", "row", "item"} < set(SELECTED.names)


def test_every_table_says_which_trace():
    """A record belongs to a trace only once it is joined to one."""
    assert all("trace_id" in TABLES[name].names for name in TABLES.keys() - {"RECORDS"})
    for schema in (INGESTED, ROWS, SELECTED, QUARANTINE):
        assert schema.names[:3] == ["file", "row", "item"]


EXAMPLES = {
    "string": "text \u4e2d",
    "int32": 7,
    "int64": 2**40,
    "bool": True,
    "double": 0.1,
    "list<element: float>": [0.5, None],
    "list<element: int32>": [3, 0],
    PROMISED["messages"]: [{"role": "user", "content": "?"}],
    PROMISED["sentences"]: [{"start": 0, "end": 5}],
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_row_of_every_table_survives_the_store(name):
    schema = TABLES[name]
    full = {
        field.name: [*Provenance, None]
        if field.name == "provenance"
        else EXAMPLES[type_of(schema, field.name)]
        for field in schema
    }
    rows = [full, dict.fromkeys(schema.names)]
    root = open_root("memory://schemas")
    root.write_table("table.parquet", pa.Table.from_pylist(rows, schema))
    table = root.read_table("table.parquet")
    assert table.schema.equals(schema)
    assert table.to_pylist() == rows
