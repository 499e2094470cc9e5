"""Kill drivers, actors, raylets, nodes and whole clusters, at least thirty times over one run: the tables
are those of an undisturbed run, byte for byte, and nothing that was committed is made again."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import yaml

from rdpt_ray.pipeline.pools import OVERLAP
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import write_json
from tests.pipeline.chaos_world import (
    RDPT,
    Driver,
    Mischief,
    Nodes,
    committed,
    parts_in_hand,
    sessions,
    wait_for,
)
from tests.pipeline.conftest import config_tree, miniature_rows, table_bytes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEED = int(os.environ.get("RDPT_CHAOS_SEED", "20512"))
NUM_KILLS = 30
NUM_BUCKETS = 40
NUM_WORKERS = 2
NUM_ROWS = 2400
NUM_PARTS = 2 * NUM_BUCKETS
"""Files of scores, of both models."""
LAST_KILL = 0.85
"""Share of the parts by which the last kill should have come: a fast machine must not finish before."""

IN_HAND = dict.fromkeys(("actor", "raylet", "worker"), OVERLAP)
IN_HAND |= dict.fromkeys(("driver", "cluster"), OVERLAP * (NUM_WORKERS + 1))
"""How many parts can be in hand of what a kill ends."""


def largest_part(store):
    """Traces in it."""
    paths = Path(store).glob("traces/*/bucket=*/*.parquet")
    return max(pq.read_metadata(path).num_rows for path in paths)


def long_rows(count, repeat):
    """Traces that take a while: several of the demo's, one after the other."""
    rows = miniature_rows(0, 640)
    longer = []
    for place in range(count):
        some = [rows[(place * 7 + step * 13) % len(rows)] for step in range(repeat)]
        thoughts, answers = zip(*(row["response"].split("</think>") for row in some), strict=True)
        thought = "\n".join(text.replace("<think>", "").strip() for text in thoughts)
        longer.append(
            {
                "prompt": f"{rows[place % 320]['prompt']} (case {place // 4})",
                "response": f"<think>\n{thought}\n</think>\n\n{answers[-1].strip()}",
            }
        )
    return longer


def with_many_parts(folder, name="small"):
    """A store whose next dataset lies over many buckets, so that it has many parts."""
    root = Root(str(folder))
    write_json(root, f"traces/{name}/dataset.json", {"num_buckets": NUM_BUCKETS})
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that nobody disturbs, with a Ray of its own on this machine."""
    folder = tmp_path_factory.mktemp("undisturbed")
    tree = config_tree(folder, rows=long_rows(NUM_ROWS, repeat=6))
    for role in ("teacher", "student"):
        tree["models"][role] |= {"token_budget": 2048}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(tree))
    store = with_many_parts(folder / "store")
    told = subprocess.run(
        [str(RDPT), "curate", str(config), f"store={store}", "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    outcome = json.loads(told.stdout.strip().splitlines()[-1])
    return config, outcome, table_bytes(SimpleNamespace(uri=outcome["run"]))


@pytest.mark.timeout(1800)
def test_thirty_kills_lose_nothing_and_redo_only_what_was_in_hand(undisturbed, tmp_path, capsys):
    config, expected, tables = undisturbed
    store = with_many_parts(tmp_path / "store")
    nodes = Nodes(NUM_WORKERS)
    mischief = Mischief(nodes, SEED)
    rewritten = {}
    nodes.start()
    try:
        drivers = [Driver(config, store, nodes.address, tmp_path / "log")]
        while len(mischief.done) < NUM_KILLS:
            driver = drivers[-1]
            # One that is killed before it has said anything of itself is no start of the run.
            wait_for(lambda: len(sessions(store)) == len(drivers), "a session")
            wait_a_while(mischief, driver, store)
            assert driver.is_running, f"{len(mischief.done)} kills, then {driver.last_words}"
            rewritten |= committed(store)
            if mischief.strike(driver):
                drivers.append(Driver(config, store, nodes.address, tmp_path / "log"))
        outcome = drivers[-1].outcome(timeout=900)
    finally:
        nodes.stop()

    assert table_bytes(SimpleNamespace(uri=outcome["run"])) == tables
    counts = ("rows_read", "selected", "rejected", "quarantined")
    assert [outcome[name] for name in counts] == [expected[name] for name in counts]
    now = committed(store)
    assert {name: now[name] for name in rewritten} == rewritten, "a committed part was made again"
    told = json.loads(Path(outcome["run"], "manifest.json").read_text())["facts"]["sessions"]
    assert told["started"] == len(drivers)
    again = sum(cost["read_again"] for cost in told["costs"])
    with capsys.disabled():
        sys.stdout.write(
            f"\nseed {SEED}: {len(mischief.done)} kills ({Counter(mischief.done)}), {len(drivers)}"
            f" drivers; {again} of"
            f" {2 * expected['rows_read']} readings of a trace were made again\n"
        )
    in_hand = sum(IN_HAND[kind] for kind in mischief.done)
    assert again <= in_hand * largest_part(store)


def wait_a_while(mischief, driver, store):
    """A random time, most of it while something is being committed; none if it would be done too soon."""

    def is_ahead():
        due = LAST_KILL * (len(mischief.done) + 1) / NUM_KILLS
        return len(committed(store)) / NUM_PARTS > due

    before, deadline = len(committed(store)), time.monotonic() + 25
    while driver.is_running and not is_ahead() and time.monotonic() < deadline:
        if len(committed(store)) > before:
            time.sleep(mischief.random.uniform(0, 3))
            return
        time.sleep(0.1)
    time.sleep(0.1)


@pytest.mark.timeout(900)
def test_a_node_that_hangs_is_given_up_and_its_parts_are_read_elsewhere(undisturbed, tmp_path):
    config, _, tables = undisturbed
    store = with_many_parts(tmp_path / "store")
    nodes = Nodes(NUM_WORKERS)
    nodes.start()
    try:
        driver = Driver(config, store, nodes.address, tmp_path / "log")
        wait_for(lambda: parts_in_hand(store, nodes.workers[0]) >= OVERLAP, "work on that node")
        nodes.pause_worker(0)
        before = committed(store)
        outcome = driver.outcome(timeout=700)
    finally:
        nodes.stop()
    assert table_bytes(SimpleNamespace(uri=outcome["run"])) == tables
    now = committed(store)
    assert {name: now[name] for name in before} == before
    told = json.loads(Path(outcome["run"], "manifest.json").read_text())["facts"]["sessions"]
    assert told["started"] == 1
    assert 0 < sum(cost["read_again"] for cost in told["costs"]) <= OVERLAP * largest_part(store)
