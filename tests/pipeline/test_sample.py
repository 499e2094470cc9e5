"""`rdpt sample` on the miniature teacher: a dataset, a recording, and what happens when it is disturbed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError, InputError, QuarantineError
from rdpt_ray.pipeline.sample import read_samples, sample
from rdpt_ray.pipeline.sample_plan import cut_into_parts
from rdpt_ray.storage.audit import audit, plan_audit
from rdpt_ray.storage.contents import Listing
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.sweep import SweepOptions, plan_sweep
from tests.pipeline.conftest import MINIATURE, QUIET, miniature_rows, read_run, run, write_jsonl

NUM_PROMPTS = 24
NUM_CANDIDATES = 3
BAD = [{"prompt": None}, {"prompt": " "}]


def prompts(count=NUM_PROMPTS):
    rows = {row["prompt"]: row for row in miniature_rows(0, 4 * count + 8)}
    return [
        {"prompt": prompt, "reference_answer": row["reference_answer"], "license": row["license"]}
        for prompt, row in list(rows.items())[:count]
    ]


def tree_of(folder, *, rows, actors=1, **section):
    """A config; the store and the responses lie beside the prompts."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "name": "small",
        "input": {"path": str(folder / "samples")},
        "models": {
            "teacher": {
                "model": str(MINIATURE / "teacher"),
                "pool": {"min_actors": actors, "max_actors": actors},
            },
            "student": {"model": str(MINIATURE / "student")},
        },
        "store": str(folder / "store"),
        "sample": {
            "prompts": {"path": write_jsonl(folder / "prompts.jsonl", rows)},
            "to": str(folder / "samples"),
            "num_candidates": NUM_CANDIDATES,
            "max_tokens": 160,
            "part_samples": 18,
            **section,
        },
    }


def sample_by(tree):
    config = parse_config(tree)
    return sample(config, QUIET, ask=config.sample, role=config.sample.role, to=config.sample.to)


def rows_of(found):
    return [row for table in read_samples(open_root(found.dataset)) for row in table.to_pylist()]


def files(folder):
    """Name -> bytes and inode: whether a file is the same, and was not written again."""
    return {
        path.name: (path.read_bytes(), path.stat().st_ino)
        for path in sorted(Path(folder).iterdir())
    }


@pytest.fixture(scope="module")
def sampled(ray_cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled")
    good = prompts()
    tree = tree_of(folder, rows=[*good[:5], *BAD, *good, good[0]])
    return tree, sample_by(tree), folder


@pytest.mark.ray
def test_every_prompt_gets_its_candidates_and_every_row_is_accounted_for(sampled):
    tree, found, folder = sampled
    asked = NUM_PROMPTS * NUM_CANDIDATES
    told = found.to_json()
    assert told | {"complete": 0, "tokens": 0} == {
        "run": found.run,
        "dataset": str(folder / "samples"),
        "prompts": NUM_PROMPTS,
        "samples": asked,
        "sampled": asked,
        "reused": 0,
        "quarantined": 2,
        "errors": 0,
        "complete": 0,
        "tokens": 0,
    }
    rows = rows_of(found)
    assert {(row["prompt_id"], row["candidate"]) for row in rows} == {
        (prompt, number) for prompt in {row["prompt_id"] for row in rows} for number in range(3)
    }
    assert found.complete == sum(row["complete"] for row in rows)
    assert found.tokens == sum(len(row["token_ids"]) for row in rows)
    assert len({row["sample_uuid"] for row in rows}) == asked
    for row in rows:
        assert len(row["token_ids"]) == len(row["logprobs"]) == row["response_tokens"]
        assert max(row["logprobs"]) <= 0
        assert row["response"].startswith("<think>\n")
        assert row["metadata"]["sample_uuid"] == row["sample_uuid"]
        assert (row["teacher_name"], row["license"]) == ("teacher", "apache-2.0")
    quarantined = read_run_table(found, "quarantine")
    assert [(row["row"], row["reason"]) for row in quarantined] == [
        (5, "null_value"),
        (6, "empty_text"),
    ]
    manifest = json.loads(Path(found.run, "manifest.json").read_text())
    assert manifest["facts"]["kind"] == "sample"
    assert manifest["counts"]["repeated"] == 6
    assert manifest["counts"]["rows_read"] == NUM_PROMPTS + 6 + 2
    cost = manifest["sessions"][0]["counts"]["teacher"]
    assert cost["traces"] == asked
    assert cost["tokens"] > found.tokens  # prompts are counted too

    before = files(folder / "samples")
    again = sample_by(tree)
    assert (again.sampled, again.reused, again.samples) == (0, asked, asked)
    assert files(folder / "samples") == before


def read_run_table(found, table):
    return pq.read_table(Path(found.run) / table).to_pylist()


@pytest.mark.ray
def test_the_store_takes_it_for_a_run_of_its_own(sampled):
    root = open_root(str(sampled[2] / "store"))
    assert audit(plan_audit(root)).damage == []
    (listed,) = [each for each in Listing(root).contents().runs if "sample" in each.run]
    assert (listed.state, listed.quarantined, listed.started) == ("finished", 2, 1)
    assert listed.cost["teacher"]["traces"] == NUM_PROMPTS * NUM_CANDIDATES
    swept = plan_sweep(root, SweepOptions(unused=True, unfinished_s=0.0), time.time() + 10)
    run_files = [each.name for each in swept.removals if "sessions" not in each.name]
    assert [name for name in run_files if "-sample-" in name] == []


@pytest.mark.ray
@pytest.mark.slow
def test_bytes_do_not_depend_on_actors_and_growth_samples_what_is_new(sampled, tmp_path):
    tree = tree_of(tmp_path, rows=prompts(), actors=2)
    sample_by(tree)
    first = files(tmp_path / "samples")
    expected = files(sampled[2] / "samples")
    assert {name: data for name, (data, _) in first.items()} == {
        name: data for name, (data, _) in expected.items()
    }
    more = tree_of(tmp_path, rows=prompts(NUM_PROMPTS + 4), num_candidates=4)
    found = sample_by(more)
    assert (found.sampled, found.reused) == (NUM_PROMPTS + 4 * 4, 72)
    now = files(tmp_path / "samples")
    assert {name: now[name] for name in first} == first
    deleted = next(iter(first))
    (tmp_path / "samples" / deleted).unlink()
    assert sample_by(more).sampled == 18
    assert files(tmp_path / "samples")[deleted][0] == first[deleted][0]
    streams = {(row["prompt_id"], row["candidate"]): row["token_ids"] for row in rows_of(found)}
    assert len(streams) == found.samples == 4 * (NUM_PROMPTS + 4)


def reasoning_of(done, role):
    """trace_id -> its row of a role's scores."""
    key = json.loads(Path(done.uri, "manifest.json").read_text())["models"][role]["key"]
    table = pq.read_table(Path(done.uri).parents[1] / "scores" / key)
    return {row["trace_id"]: row for row in table.to_pylist()}


@pytest.mark.ray
@pytest.mark.slow
def test_what_was_recorded_selects_as_the_teacher_itself_would(sampled):
    """At temperature 1 the model's tokens are nearly always those that its tokenizer would make."""
    tree, found, _ = sampled
    scored = run(tree)
    recorded = {
        "model": str(MINIATURE / "teacher"),
        "engine": "precomputed",
        "recorded": {"path": found.dataset},
    }
    unread = run({**tree, "models": {**tree["models"], "teacher": recorded}})
    assert unread.summary.rows_read == scored.summary.rows_read == found.samples
    assert unread.summary.quarantined == scored.summary.quarantined
    cost = json.loads(Path(unread.uri, "manifest.json").read_text())["sessions"][-1]["counts"]
    assert '"engine": "precomputed"' in cost["teacher"]["numerics"][0]
    one, other = reasoning_of(scored, "teacher"), reasoning_of(unread, "teacher")
    same = 0
    for trace_id, row in one.items():
        there = other[trace_id]
        assert there["error"] is None
        if row["num_tokens"] != there["num_tokens"]:
            continue  # it was written in other tokens than its text is cut into
        assert there["sum_logprob"] == pytest.approx(row["sum_logprob"], abs=1e-4)
        same += 1
    assert same > 0.9 * len(one)
    assert {row["num_prompt_tokens"] for row in other.values()} == {0}
    assert len(one) > 30  # the others never closed their reasoning, or are repeated

    def chosen(done):
        return {row["trace_id"] for row in read_run(done, "selected")}

    assert len(chosen(scored)) > NUM_PROMPTS // 2
    assert chosen(scored) == chosen(unread)


@pytest.mark.ray
@pytest.mark.slow
def test_an_actor_that_is_killed_costs_its_part_and_nothing_else(sampled, tmp_path):
    tree = tree_of(tmp_path, rows=prompts(), part_samples=18, max_tokens=160)
    killed = []

    def strike():
        while not killed:
            held = list((tmp_path / "store").glob("attempts/*/*.json"))
            for process in psutil.process_iter(["cmdline"]):
                if held and "SamplePart" in " ".join(process.info["cmdline"] or ()):
                    process.kill()
                    killed.append(process.pid)
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=strike, daemon=True)
    thread.start()
    found = sample_by(tree)
    assert killed
    assert found.samples == NUM_PROMPTS * NUM_CANDIDATES
    now, expected = files(tmp_path / "samples"), files(sampled[2] / "samples")
    assert {name: len(data) for name, (data, _) in now.items()}.keys() == expected.keys()
    assert {(row["sample_uuid"], *row["token_ids"]) for row in rows_of(found)} == {
        (row["sample_uuid"], *row["token_ids"]) for row in rows_of(sampled[1])
    }
    assert not list((tmp_path / "store").glob("attempts/*/*.json"))


DRIVER = """
import json, sys
from rich.console import Console
from rdpt_ray.config import parse_config
from rdpt_ray.pipeline.sample import sample
config = parse_config(json.load(open(sys.argv[1])))
sample(config, Console(quiet=True), ask=config.sample, role="teacher", to=config.sample.to)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_that_is_killed_is_continued_and_nothing_is_sampled_twice(ray_cluster, tmp_path):
    tree = tree_of(tmp_path, rows=prompts(), part_samples=3)
    (tmp_path / "config.json").write_text(json.dumps(tree))
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "config.json")],
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
    )
    deadline = time.monotonic() + 200
    samples = tmp_path / "samples"
    while len(list(samples.glob("[!.]*"))) < 2:
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = files(samples)
    found = sample_by(tree)
    assert found.samples == NUM_PROMPTS * NUM_CANDIDATES
    assert found.sampled < found.samples
    now = files(samples)
    there = {name for name in before if not name.startswith(".")}
    assert {name: now[name] for name in there} == {name: before[name] for name in there}
    sample_by(tree_of(tmp_path / "calm", rows=prompts(), part_samples=3))
    calm = files(tmp_path / "calm" / "samples")
    assert {name: data for name, (data, _) in now.items() if name[0] != "."} == {
        name: data for name, (data, _) in calm.items()
    }


@pytest.mark.ray
def test_other_settings_need_another_folder(sampled, tmp_path):
    tree, _, _ = sampled
    cooler = {**tree, "sample": {**tree["sample"], "temperature": 0.6}}
    with pytest.raises(ConfigError, match=r"temperature 1\.0 there, 0\.6 here"):
        sample_by(cooler)


def test_wrong_configs_end_before_anything_is_touched(tmp_path):
    tree = tree_of(tmp_path, rows=prompts(2))
    with pytest.raises(ConfigError, match=r"models\.distilled: needed for the role distilled"):
        sample_by({**tree, "sample": {**tree["sample"], "role": "distilled"}})
    teacher = {"model": "x", "engine": "precomputed", "recorded": {"path": "x"}}
    with pytest.raises(
        ConfigError, match=r"models\.teacher: the engine precomputed does not sample"
    ):
        sample_by({**tree, "models": {**tree["models"], "teacher": teacher}})
    with pytest.raises(InputError, match="does not exist"):
        sample_by({**tree, "sample": {**tree["sample"], "prompts": {"path": "nowhere"}}})
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "samples").exists()


@pytest.mark.ray
def test_too_many_bad_rows_end_it_before_a_model_is_loaded(ray_cluster, tmp_path):
    tree = tree_of(tmp_path, rows=[*prompts(2), *BAD])
    with pytest.raises(QuarantineError, match="2 of 4 rows of the prompts are quarantined"):
        sample_by({**tree, "fail_above": "10%"})
    assert not (tmp_path / "samples").exists()


def test_parts_are_a_pure_function_of_what_is_missing():
    missing = {f"{number:032x}": (0, 1, 2) for number in range(10)}
    parts = cut_into_parts(missing, key="k", part_samples=7)
    assert [len(part) for part in parts.values()] == [2] * 5
    assert cut_into_parts(dict(reversed(missing.items())), key="k", part_samples=7) == parts
    assert not parts.keys() & cut_into_parts(missing, key="l", part_samples=7).keys()
    (huge,) = cut_into_parts({"a" * 32: tuple(range(20))}, key="k", part_samples=7).values()
    assert huge == ["a" * 32]
