"""From columns to a dataset: the most telling layout wins, and what lacks is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.storage.layouts import LAYOUTS, PLAIN
from rdpt_ray.storage.recognise import explain_unknown, lacking, recognise

CHAT = "list<{from, value}>"


@pytest.mark.parametrize(
    ("types", "name"),
    [
        ({"prompt": "string", "response": "string", "system": "string"}, "plain"),
        ({"prompt": "string", "response": "string", "problem": "string"}, "plain"),
        ({"messages": "list<{content, role}>"}, "plain"),
        ({"messages": "list<{content, info, role}>"}, "am-deepseek-r1-distilled"),
        ({"conversations": CHAT}, "plain"),
        ({"conversations": CHAT, "system": "string"}, "openthoughts-114k"),
        ({"conversations": CHAT, "system": "list<string>"}, "plain"),
        (
            {"conversations": CHAT, "question": "string", "source": "string", "system": "string"},
            "openthoughts2",
        ),
        ({"question": "string", "solution": "string", "answer": "string"}, "limo"),
        ({"question": "string", "solution": "string", "answer": "int"}, "limo"),
        ({"problem": "string", "generations": "list<string>"}, "openr1-math-220k"),
        ({"problem": "string", "generations": "null"}, "openr1-math-220k"),
        ({"problem": "string", "generations": "string"}, "plain"),
        ({}, "plain"),
    ],
)
def test_recognise(types, name):
    assert recognise(types).layout.name == name


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("hf://datasets/bespokelabs/Bespoke-Stratos-17k/data/train.parquet", "bespoke-stratos"),
        ("hf://datasets/open-thoughts/OpenThoughts-114k/data/train.parquet", "openthoughts-114k"),
        ("/data/bespoke_stratos.jsonl", "bespoke-stratos"),
        ("/data/train.jsonl", "openthoughts-114k"),
        ("/data/limo.jsonl", "openthoughts-114k"),
    ],
)
def test_the_address_only_tells_apart_what_has_the_same_columns(uri, name):
    found = recognise({"conversations": CHAT, "system": "string"}, uri=uri)
    assert found.layout.name == name
    assert "has the same columns" in found.why[-1]


def test_the_evidence_names_columns_and_what_they_hold():
    types = {"problem": "string", "generations": "list<string>", "finish_reasons": "list<string>"}
    first, second = recognise(types).why
    assert first == (
        "columns problem: string and generations: list<string>:"
        " the columns that open-r1/OpenR1-Math-220k is known by"
    )
    assert second == "column finish_reasons: list<string> as well"


def test_what_comes_nearest_and_what_is_known():
    types = {"question": "string", "solution": "string", "answer": "list<string>"}
    found = recognise(types)
    assert found.layout is PLAIN
    nearest = "nearest is limo, which lacks a fitting answer (list<string>)"
    assert found.why == ("the columns are those of no known dataset", nearest)
    text = explain_unknown(types)
    assert text.startswith(nearest)
    assert all(name in text for name in LAYOUTS)
    assert "nearest" not in explain_unknown({"a": "string"})


types = st.dictionaries(
    st.sampled_from([name for layout in LAYOUTS.values() for name in layout.needs]) | st.text(),
    st.sampled_from(["string", "int", "null", "list<string>", "list<{content, role}>", CHAT]),
)


@given(types)
def test_a_recognised_layout_lacks_nothing(types):
    found = recognise(types)
    assert not lacking(found.layout, types)
    assert found.why
    assert list(LAYOUTS.values()).count(found.layout) == 1
