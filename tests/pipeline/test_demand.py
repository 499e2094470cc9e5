"""What a model is asked to read: the traces that are its own, and of those no more than selecting takes."""

import numpy as np
import pyarrow as pa
import pytest

from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.pruning import ALONE, BOUNDS
from rdpt_ray.pipeline.demand import AllOf, Contested, Demand, Prune, is_read
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.score import read_traces
from rdpt_ray.scoring.traces import Trace
from rdpt_ray.selection_config import SelectionConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.schemas import SCORES
from rdpt_ray.storage.scores import (
    is_pruned,
    read_partial,
    read_scores,
    score_name,
    unread,
    write_scores,
)
from tests.pipeline.pruned_world import drawn_world, read_waves, selected
from tests.pipeline.screened_store import screened, trace

CASES = 120
"""Worlds of one to three prompts for each policy and divergence: over 7,000 prompts in all."""


def drawn_prune(rng, policy, divergence):
    min_score = rng.choice([None, None, -0.5, 0.0, 1.0])
    selection = SelectionConfig(
        policy=policy,
        per_prompt=int(rng.integers(1, 4)),
        min_score=min_score,
        seed=int(rng.integers(0, 9)),
        prune=True,
    )
    beta = float(rng.choice([0.0, 0.05, 0.1, 0.3]))
    return Prune("student", "unprompted" if policy == "ifd" else None, selection, divergence, beta)


@pytest.mark.parametrize("policy", [*BOUNDS, *sorted(ALONE)])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_selection_is_that_of_reading_everything(policy, divergence):
    rng = np.random.default_rng([len(policy), len(divergence), 4])
    num_read = num_traces = 0
    for _ in range(CASES):
        world, prune = drawn_world(rng), drawn_prune(rng, policy, divergence)
        everything = world.rows("teacher")
        expected = selected(world, everything, prune)
        size = int(rng.integers(1, 9))
        rows = {}
        order = read_waves(world, world.contested(prune), rows, size=size)
        assert len(order) == len(set(order))
        assert selected(world, rows, prune) == expected
        assert not {trace_id for trace_id, _ in expected} & {
            trace.trace_id for trace in world.traces if not is_read(trace, rows)
        }
        num_read += sum(is_read(trace, rows) for trace in world.traces)
        num_traces += len(world.traces)
    assert num_read < 0.95 * num_traces


@pytest.mark.parametrize("policy", [*BOUNDS, "grape"])
def test_whatever_is_known_before_the_selection_is_the_same(policy):
    """Rows of another config's run that was killed at any wave, and of a run that read some to the end."""
    rng = np.random.default_rng(len(policy))
    for _ in range(2 * CASES):
        world, prune = drawn_world(rng), drawn_prune(rng, policy, "prob_difference")
        everything = world.rows("teacher")
        size = int(rng.integers(1, 9))
        rows = {trace_id: row for trace_id, row in everything.items() if rng.random() < 0.2}
        other = drawn_prune(rng, str(rng.choice(list(BOUNDS))), str(rng.choice(list(DIVERGENCES))))
        for earlier in (other, prune):
            stop = int(rng.integers(0, 4))
            read_waves(world, world.contested(earlier), rows, size=size, stop_after=stop)
        before = {trace.trace_id for trace in world.traces if is_read(trace, rows)}
        reading = world.contested(prune)
        order = read_waves(world, reading, rows, size=size)
        assert not before & set(order), "nothing is read twice"
        assert selected(world, rows, prune) == selected(world, everything, prune)
        assert reading.wave(rows) == []
        assert reading.num_traces == len(world.traces)
        assert reading.num_unread(rows) == sum(not is_read(trace, rows) for trace in world.traces)
        for trace_id, row in rows.items():
            _agrees_where_read(row, everything[trace_id])


def _agrees_where_read(row, whole):
    if not is_pruned(row):
        assert row == whole
        return
    for name in ("sum_logprob", "num_tokens", "first_logprob", "sum_rank"):
        pairs = zip(row[name], whole[name], row["num_tokens"], strict=True)
        assert all(value == (full if count is not None else None) for value, full, count in pairs)


def test_a_run_killed_and_stored_goes_on_and_reading_all_reads_the_rest(tmp_path):
    rng = np.random.default_rng(11)
    num_pruned = num_whole = 0
    for case in range(40):
        root = Root(str(tmp_path / str(case)))
        world, prune = drawn_world(rng), drawn_prune(rng, "teacher_count", "log_ratio")
        ids = [trace.trace_id for trace in world.traces]
        for beta in (prune.beta, prune.beta + 0.2):
            if root.exists(score_name("m", "p")):
                break
            rows = read_partial(root, "m", "p", ids)
            other = Prune("student", None, prune.selection, prune.divergence, beta)
            read_waves(world, world.contested(other), rows, size=2)
            write_scores(root, "m", "p", ids, list(rows.values()))
            stored = {row["trace_id"]: row for row in read_scores(root, "m", "p", ids)}
            assert {trace_id: rows.get(trace_id) or unread(trace_id) for trace_id in ids} == {
                trace_id: stored[trace_id] for trace_id in ids
            }
            assert selected(world, stored, other) == selected(world, world.rows("teacher"), other)
        rows = read_partial(root, "m", "p", ids)
        left = [trace.trace_id for trace in world.traces if not is_read(trace, rows)]
        if root.exists(score_name("m", "p")):
            num_whole += 1
            continue
        order = read_waves(world, AllOf(world.traces), rows, size=2)
        assert order == left
        num_pruned += len(left)
        write_scores(root, "m", "p", ids, list(rows.values()))
        assert root.exists(score_name("m", "p"))
        whole = {row["trace_id"]: row for row in read_scores(root, "m", "p", ids)}
        assert whole == world.rows("teacher")
    assert num_pruned > 40 > num_whole


def test_all_of_them_ask_for_what_was_not_read_to_its_end():
    traces = [Trace([], "ab", [(0, 2)], name) for name in "abc"]
    rows = {
        "a": {**unread("a"), "error": None},
        "b": {**unread("b"), "error": "pruned: 1 of 2 tokens read"},
    }
    assert [each.trace_id for each in AllOf(traces).wave(rows)] == ["b", "c"]
    assert AllOf(traces).num_unread(rows) == 2
    rows["b"] = {**unread("b"), "error": "engine_error: it fell over"}
    assert [each.trace_id for each in AllOf(traces).wave(rows)] == ["c"]


@pytest.fixture
def stored(tmp_path):
    """Six candidates of one prompt in a store, by teacher x, y or nobody, one of them incomplete."""
    names = ["x", "x", "y", None, "x", "x"]
    traces = [
        trace("1 + 1?", "a" * (number + 1), teacher_name=name, complete=number != 1)
        for number, name in enumerate(names)
    ]
    parts, screening = screened(tmp_path, traces, {}, buckets=1)
    (part,) = parts
    root = screening.store
    read = read_traces(root, f"{bucket_folder('d', 0)}/{part.key}.parquet")
    return Ledger(root, screening.run), part, read


def rows_of(traces, errors=()):
    filled = {"sum_logprob": [-2.0], "num_tokens": [1], "first_logprob": [-2.0]}
    return [
        {
            **unread(each.trace_id),
            **({"error": "e: x"} if each in errors else {"error": None} | filled),
        }
        for each in traces
    ]


def test_each_teacher_reads_its_own_and_the_other_one_the_rest(stored):
    ledger, part, traces = stored
    by_length = {len(each.response): each for each in traces}

    def lengths(demand):
        wave = demand.of(0, part.key, traces).wave({})
        return sorted(len(each.response) for each in wave)

    assert len(by_length) == 6
    assert lengths(Demand(ledger, teacher_name="x")) == [1, 2, 5, 6]
    assert lengths(Demand(ledger, teacher_name="y")) == [3]
    assert lengths(Demand(ledger, others=frozenset({"x", "y"}))) == [4]
    assert lengths(Demand(ledger, others=frozenset({"y"}))) == [1, 2, 4, 5, 6]
    assert lengths(Demand(ledger)) == [1, 2, 3, 4, 5, 6]


def test_who_cannot_be_selected_is_not_read(stored):
    """A filter, the student's error and the error without the prompt each take one candidate out."""
    ledger, part, traces = stored
    by_length = {len(each.response): each for each in traces}
    for key, failed in (("student", by_length[5]), ("unprompted", by_length[6])):
        table = pa.Table.from_pylist(rows_of(traces, [failed]), schema=SCORES)
        ledger.store.write_table(score_name(key, part.key), table)
    selection = SelectionConfig(
        policy="longest", filters={"complete": True}, per_prompt=6, prune=True
    )

    def lengths(unprompted_key, selection=selection, **kwargs):
        prune = Prune("student", unprompted_key, selection, "prob_difference", 0.1)
        reading = Demand(ledger, prune=prune, **kwargs).of(0, part.key, traces)
        assert isinstance(reading, Contested)
        wave = reading.wave({})
        assert all(each.gives_up is not None for each in wave)
        return sorted(len(each.response) for each in wave), reading.num_traces

    assert lengths(None) == ([1, 3, 4, 6], 6)
    assert lengths("unprompted") == ([1, 3, 4], 6)
    assert lengths(None, teacher_name="x") == ([1, 6], 4)
    ifd = SelectionConfig(policy="ifd", filters={"complete": True}, per_prompt=6, prune=True)
    assert lengths("unprompted", ifd) == ([1, 3, 4], 6)
