"""Traces that hold items of evaluation sets go, with the item named; others stay."""

import json
import random

import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.pipeline.contamination import find_contaminated, load_evaluation_sets, search_part
from rdpt_ray.selection_config import ContaminationConfig
from rdpt_ray.storage.drops import count_drops
from tests.pipeline.screened_store import all_drops, screened, trace

VOCABULARY = [f"{a}{b}{c}" for a in "bdfkl" for b in "aeiou" for c in "nrst"]


def text(seed, count=40):
    return " ".join(random.Random(seed).choices(VOCABULARY, k=count))


@pytest.fixture
def sets(tmp_path):
    """A set of long items and one of short ones."""
    long, short = tmp_path / "aime24.jsonl", tmp_path / "short.jsonl"
    long.write_text("".join(json.dumps({"problem": text(row)}) + "\n" for row in range(10)))
    short.write_text(json.dumps({"question": "What is 1 + 1?"}) + "\n")
    return {
        "aime24": {"path": str(long), "columns": ["problem"]},
        "short": {"path": str(short), "columns": ["question"]},
    }


def found(parts, job, config):
    overlap, _ = load_evaluation_sets(ContaminationConfig.model_validate(config))
    responses = config.get("responses", False)
    return {
        trace_id: label
        for part in parts
        for trace_id, label in search_part(part, job, overlap, responses=responses)
    }


def test_prompts_that_hold_an_item_are_found_and_others_are_not(tmp_path, sets):
    run = " ".join(text(7).split()[20:33])
    traces = [
        trace(f"Solve: {text(3).upper()}!", "a"),
        trace(f"Solve: {run.title()}?", "b"),
        trace("what is 1+1", "c"),
        trace("what is 1+1 and why", "d"),
        trace(text(100), text(3)),
        trace("q", "r", system=text(4)),
    ]
    parts, job = screened(tmp_path, traces, {})
    ids = [one["trace_id"] for one in traces]
    expected = {
        ids[0]: "aime24 row 3",
        ids[1]: "aime24 row 7",
        ids[2]: "short row 0",
        ids[5]: "aime24 row 4",
    }
    assert found(parts, job, {"sets": sets}) == expected
    assert found(parts, job, {"sets": sets, "responses": True}) == {
        **expected,
        ids[4]: "aime24 row 3",
    }


def test_texts_of_other_words_are_never_found(tmp_path, sets):
    traces = [trace(text(1000 + place, 200), text(2000 + place, 200)) for place in range(100)]
    parts, job = screened(tmp_path, traces, {})
    assert found(parts, job, {"sets": sets, "responses": True}) == {}


def test_every_copy_is_found_whatever_is_around_it(tmp_path, sets):
    rng = random.Random(0)
    traces = [
        trace(f"{text(900 + place, rng.randrange(30))} {text(place % 10)} {place}", "r")
        for place in range(100)
    ]
    parts, job = screened(tmp_path, traces, {})
    labels = found(parts, job, {"sets": sets})
    assert [labels[one["trace_id"]] for one in traces] == [
        f"aime24 row {place % 10}" for place in range(100)
    ]


def test_a_set_that_is_gone_is_the_configs_fault(tmp_path):
    config = {"sets": {"x": {"path": str(tmp_path / "none.jsonl"), "columns": ["a"]}}}
    parts, job = screened(tmp_path, [trace("p", "r")], {"contamination": config})
    with pytest.raises(ConfigError, match=r"contamination\.sets\.x\.path"):
        find_contaminated(parts, job)


def test_the_fingerprints_are_those_of_the_files(sets):
    _, fingerprints = load_evaluation_sets(ContaminationConfig.model_validate({"sets": sets}))
    assert fingerprints.keys() == {"aime24", "short"}
    assert all("sha256:" in each for files in fingerprints.values() for each in files)


@pytest.mark.ray
def test_the_stage_writes_drops_once(ray_cluster, tmp_path, sets):
    traces = [
        trace(f"{text(place)} {other}", text(other)) for place in (3, 50) for other in (60, 61)
    ]
    config = {"contamination": {"sets": sets}}
    parts, job = screened(tmp_path, traces, config)
    assert find_contaminated(parts, job) == {"contaminated": 2}
    assert all_drops(job) == {
        one["trace_id"]: ("contaminated", "aime24 row 3") for one in traces[:2]
    }
    assert find_contaminated([], job) == {"contaminated": 2}
    assert count_drops(job.store, job.run, "contaminated") == 2
    off, job = screened(tmp_path, traces, {}, run="runs/off")
    assert find_contaminated(off, job) == {}
