"""A round makes only the buckets that differ from those of the round before; the rest is copied."""

import io
import json

import pyarrow as pa
import pytest
from rich.console import Console

from rdpt_ray.config import ThresholdsConfig, parse_config
from rdpt_ray.errors import StoreError
from rdpt_ray.method.budget import Cut
from rdpt_ray.method.verifiers import verifier_id
from rdpt_ray.pipeline import select as selecting
from rdpt_ray.pipeline.curate import curate
from rdpt_ray.pipeline.ingest import IngestedBucket
from rdpt_ray.pipeline.select import Selection
from rdpt_ray.pipeline.unchanged import Rounds
from rdpt_ray.selection_config import SelectionConfig, VerifyConfig
from rdpt_ray.storage.drops import finish_drops, write_drops
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.schemas import SCORES
from rdpt_ray.storage.scores import score_name
from rdpt_ray.storage.verified import VERIFIED, verified_name
from tests.pipeline.conftest import config_tree, miniature_rows, run, table_bytes, write_jsonl
from tests.pipeline.test_select import ledger, score, stored, trace

SETTINGS = {"kind": "curate", "rdpt_ray": "1"}
SURE, UNSURE = (-0.01, -0.01), (-1.0, -1.0)


def job(store, run, **changed):
    rounds = Rounds(changed.pop("settings", SETTINGS), changed.pop("earlier", None))
    fields = {
        "store": store,
        "dataset": "d",
        "run": run,
        "model_keys": {"student": "s", "teacher": "t"},
        "thresholds": ThresholdsConfig(),
        "selection": SelectionConfig(),
        "num_examples": 2,
        "rounds": rounds,
    }
    return Selection(**(fields | changed))


def rows_of(store, run, identities):
    ledger(store, identities)
    if run != "runs/r":
        name = "rows/bucket=0000.parquet"
        store.write_bytes(f"{run}/{name}", store.read_bytes(f"runs/r/{name}"))


def tables(store, run):
    return {
        name: store.read_bytes(f"{run}/{name}/bucket=0000.parquet")
        for name in ("selected", "rejected", "quarantine", "provenance")
    }


class World:
    """One bucket of one part, selected by a first round; a second one finds its ledger written."""

    def __init__(self, folder):
        self.store = open_root(str(folder))
        self.key = stored(
            self.store,
            [trace("a", "p", 0), trace("b", "p", 1)],
            [score("a", *SURE), score("b", *UNSURE)],
            [score("a", *UNSURE), score("b", *UNSURE)],
        )
        self.bucket = IngestedBucket(0, 2, 0, {self.key: 2})
        rows_of(self.store, "runs/first", ["a", "b"])
        rows_of(self.store, "runs/second", ["a", "b"])
        assert self.select("runs/first")["is_taken_over"] is False

    def select(self, run, **changed):
        text = selecting._selected(self.bucket, job=job(self.store, run, **changed))
        return json.loads(text)

    def second(self, **changed):
        return self.select("runs/second", **({"earlier": "runs/first"} | changed))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_what_nothing_has_touched_is_copied_and_counts_the_same(world):
    taken = world.second()
    assert taken["is_taken_over"] is True
    assert tables(world.store, "runs/second") == tables(world.store, "runs/first")
    made = world.second(earlier=None)
    assert made == {"summary": taken["summary"], "is_taken_over": False}
    assert tables(world.store, "runs/second") == tables(world.store, "runs/first")


def add_row(world):
    rows_of(world.store, "runs/second", ["a", "b", "a"])


def lose_row(world):
    rows_of(world.store, "runs/second", ["a"])


def drop(world):
    write_drops(world.store, "runs/second", "contaminated", 0, {"a": "of a test"})
    finish_drops(world.store, "runs/second", "contaminated", {0: 1})


def score_again(world):
    other = pa.Table.from_pylist([score("a", *UNSURE), score("b", *SURE)], schema=SCORES)
    world.store.write_table(score_name("t", world.key), other)


def damage(world):
    name = "runs/first/rejected/bucket=0000.parquet"
    content = bytearray(world.store.read_bytes(name))
    content[len(content) // 2] ^= 1
    world.store.write_bytes(name, bytes(content))


def cut(world):
    name = "runs/first/rejected/bucket=0000.parquet"
    world.store.write_bytes(name, world.store.read_bytes(name)[:-40])


def empty(world):
    world.store.write_bytes("runs/first/quarantine/bucket=0000.parquet", b"")


def garble(world, content=b"{"):
    world.store.write_bytes("runs/first/made_of/bucket=0000.json", content)


def say_nothing(world):
    garble(world, b"{}")


def say_another_thing(world):
    garble(world, b"[]")


def count_wrong(world):
    name = "runs/first/made_of/bucket=0000.json"
    told = json.loads(world.store.read_bytes(name))
    told["summary"]["num_prompts"] = 99
    garble(world, json.dumps(told).encode())


def forget(world):
    world.store.delete("runs/first/provenance/bucket=0000.parquet")


@pytest.mark.parametrize(
    "change",
    [
        *(add_row, lose_row, drop, score_again, damage, cut, empty, forget),
        *(garble, say_nothing, say_another_thing, count_wrong),
    ],
)
def test_what_something_has_touched_is_made(world, change):
    change(world)
    assert world.second()["is_taken_over"] is False
    made = tables(world.store, "runs/second")
    world.second(earlier=None)
    assert made == tables(world.store, "runs/second")


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": SETTINGS | {"rdpt_ray": "2"}},
        {"thresholds": ThresholdsConfig(beta=0.3)},
        {"cut": Cut((), None, 0)},
        {"model_keys": {"student": "t", "teacher": "s"}},
        {"earlier": "runs/gone"},
    ],
)
def test_other_settings_make_it_anew(world, changed):
    assert world.second(**changed)["is_taken_over"] is False


def test_what_a_model_has_not_read_to_the_end_is_made_and_not_remembered(world):
    assert world.second()["is_taken_over"] is True
    assert world.store.names("runs/second/made_of")
    world.store.delete(score_name("t", world.key))
    assert world.second()["is_taken_over"] is False
    assert not world.store.names("runs/second/made_of")


def test_a_verdict_that_is_told_anew_makes_it_anew(world):
    """As a job with more time does to one that timed out."""
    verify = VerifyConfig(method="numeric")
    due = {"a": None, "b": None}
    name = verified_name(verifier_id("numeric"), world.key, due)

    def tell(correct):
        rows = [{"trace_id": each, "correct": correct, "detail": "timeout"} for each in due]
        world.store.write_table(name, pa.Table.from_pylist(rows, schema=VERIFIED))

    tell(None)
    world.select("runs/first", verify=verify)
    assert world.second(verify=verify)["is_taken_over"] is True
    tell(True)
    assert world.second(verify=verify)["is_taken_over"] is False
    world.store.delete(name)
    with pytest.raises(StoreError):
        world.second(verify=verify)


def test_without_a_schedule_nothing_is_remembered(world):
    world.second(rounds=None)
    assert not world.store.names("runs/second/made_of")


@pytest.mark.ray
def test_a_round_makes_only_the_buckets_that_new_rows_fall_into(tmp_path, ray_cluster):
    folder = tmp_path / "incoming"
    folder.mkdir()
    rows = miniature_rows(0, 80)
    write_jsonl(folder / "a.jsonl", rows[:60])
    tree = config_tree(tmp_path, actors=1)
    tree |= {"input": {"path": str(folder)}, "schedule": {"lease_s": 5}}

    def next_round():
        said = io.StringIO()
        return curate(parse_config(tree), Console(file=said, width=200)), said.getvalue()

    _, first = next_round()
    assert "as the round before left them" not in first
    write_jsonl(folder / "b.jsonl", rows[60:61])
    second, said = next_round()
    assert "selected: 6 of 7 buckets are as the round before left them" in said
    assert second.summary.rows_read == 61

    fresh = run(tree | {"store": str(tmp_path / "fresh"), "schedule": None})
    assert table_bytes(second) == table_bytes(fresh)
    assert second.summary.to_dict() == fresh.summary.to_dict()
