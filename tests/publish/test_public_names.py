"""What a published manifest tells of the machines and folders that a run was made with: nothing."""

import json

import pytest

from rdpt_ray.publish.facts import InputFacts, ModelFacts
from rdpt_ray.publish.public_names import public_manifest, public_name
from tests.browser.viewer_page import page_of


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("/home/somebody/models/student/", "student"),
        ("file:///home/somebody/traces.parquet", "traces.parquet"),
        ("~/student", "student"),
        ("../elsewhere/student", "student"),
        ("C:\\Users\\somebody\\student", "student"),
        ("s3://key:secret@bucket/traces?X-Amz-Signature=abc#part", "s3://bucket/traces"),
        ("hf://datasets/org/name@v1/data.parquet", "hf://datasets/org/name@v1/data.parquet"),
        ("org/model", "org/model"),
        ("examples/student", "examples/student"),
    ],
)
def test_a_place_is_told_without_what_is_private_in_it(name, public):
    assert public_name(name) == public


@pytest.mark.parametrize("key", ["path", "chat_template", "to", "anything"])
def test_places_are_private_under_any_key(key):
    """A chat template's file stood there with its whole path."""
    told = {"config": {key: "/home/somebody/x.jinja", "more": [{key: ["s3://u:pass@host/x"]}]}}
    public = public_manifest(told)
    assert public == {"config": {key: "x.jinja", "more": [{key: ["s3://host/x"]}]}}


def test_what_is_no_place_stays():
    told = {"name": "a / b", "reason": "filter: complete", "ratio": 0.5, "template": "{{ x }}\n/y"}
    assert public_manifest(told) == told


def test_who_ran_it_where_is_left_out():
    told = {
        "sessions": [{"host": "node-17"}],
        "config": {"store": "/store", "models": {"teacher": {"endpoint": "http://10.0.0.1"}}},
        "summary": {"points": ["a text"], "selected": 3},
    }
    text = json.dumps(public_manifest(told))
    assert text == '{"config": {"models": {"teacher": {}}}, "summary": {"selected": 3}}'


def test_the_report_is_published_too_and_holds_no_folder(tmp_path):
    """It showed the whole path of a model or an input on this machine."""
    html = page_of(
        tmp_path / "run",
        models=(ModelFacts("teacher", "/home/somebody/teacher", "f" * 40, "float32", 9, 0, 900),),
        inputs=(InputFacts("/home/somebody/in.jsonl", 9),),
    )
    assert "somebody" not in html
    assert "<bdi>teacher</bdi>" in html
    assert "<bdi>in.jsonl</bdi>" in html
