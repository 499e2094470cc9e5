"""An error that another attempt may mend: one attempt per start, of those traces only, until it is mended."""

import json
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from rdpt_ray.input_config import InputConfig
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.demand import Demand
from rdpt_ray.pipeline.eligible import Ledger
from rdpt_ray.pipeline.ingest import Destination, read_rows, write_bucket
from rdpt_ray.pipeline.realign import Realignment, realign_bucket
from rdpt_ray.pipeline.score import Part, ScorePart
from rdpt_ray.pipeline.undecided import Asked, ask
from rdpt_ray.scoring.loading import encoder_of, identity_of
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.transformers_engine import load_engine
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.scores import partial_folder, read_scores, scored_parts
from rdpt_ray.storage.sessions import session_name
from rdpt_ray.storage.token_scores import parts_with_tokens, read_tokens, token_name
from tests.pipeline.conftest import (
    MINIATURE,
    config_tree,
    miniature_rows,
    read_run,
    run,
    table_bytes,
)
from tests.scoring.completions_server import Status, serving

NUM_TRACES = 8
FAULTS = {"engine_error": RuntimeError, "out_of_memory": MemoryError}


class Flaky:
    """A real engine that fails on some responses, as long as it is told to, and counts what it reads."""

    def __init__(self, engine, ids, fault):
        self._engine, self._ids, self.fault = engine, ids, fault
        self.asked = []

    @property
    def context_length(self):
        return self._engine.context_length

    def token_scores(self, batch):
        if self.fault and any(sequence.response_ids in self._ids for sequence in batch):
            if len(batch) == 1:
                self.asked.append(batch[0].response_ids)
            raise self.fault("it was down")
        self.asked += [sequence.response_ids for sequence in batch]
        return self._engine.token_scores(batch)


@pytest.fixture
def store(tmp_path):
    """A store with one part of eight traces, ingested here, and the part."""
    rows = miniature_rows(0, NUM_TRACES)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = InputConfig(path=str(path))
    root = Root(str(tmp_path / "store"))
    tables = read_rows(
        {"index": [0]}, files=list_inputs(config), configs=[config], num_buckets=1, unit="sentence"
    )
    to = Destination(root, "d", "runs/r", 1)
    [record] = write_bucket(pa.concat_tables(tables), to=to).to_pylist()
    (key,) = record["part_keys"]
    return root, Part(0, key, NUM_TRACES)


def model(keep=False):
    return ModelConfig(model=str(MINIATURE / "student"), keep_token_logprobs=keep)


def trace_ids(root, part):
    name = f"traces/d/bucket=0000/{part.key}.parquet"
    return root.read_table(name, ["trace_id"]).column("trace_id").to_pylist()


def read_by(root, part, bad, fault, *, keep=False, demand=None):
    """One attempt by a model that fails on the traces at these places: what it read, and what it came to."""
    config = model(keep)
    identity = identity_of(config)
    encoder = encoder_of(identity)
    table = root.read_table(f"traces/d/bucket=0000/{part.key}.parquet")
    ids = [
        encoder.encode(row["messages"], row["response"], row["answer_start"]).sequence.response_ids
        for row in table.to_pylist()
    ]
    engine = Flaky(
        load_engine(config, identity, num_threads=1), [ids[place] for place in bad], fault
    )
    actor = ScorePart(
        store=root,
        dataset="d",
        model=config,
        identity=identity,
        session=session_name("run", "test"),
        load=lambda *_, **__: ModelScorer(encoder, engine, 256),
        demand=demand,
    )
    place = {"bucket": 0, "key": part.key, "token_files": list(part.token_files)}
    (scored,) = actor(pa.Table.from_pylist([place])).to_pylist()
    return [ids.index(each) for each in engine.asked], scored


def rows_of(root, part):
    key = identity_of(model()).key
    return read_scores(root, key, part.key, trace_ids(root, part))


@pytest.mark.parametrize("is_asked", [False, True], ids=["all", "asked"])
@pytest.mark.parametrize("code", FAULTS)
def test_those_traces_only_are_read_again_until_they_have_scores(store, code, is_asked):
    root, part = store
    key = identity_of(model()).key
    demand = Demand(Ledger(root, "runs/r")) if is_asked else None
    attempt = partial(read_by, root, part, [2, 5], demand=demand)
    asked, scored = attempt(FAULTS[code])
    assert sorted(asked) == list(range(NUM_TRACES)), "each once"
    assert (scored["num_scored"], scored["num_errors"]) == (NUM_TRACES, 2)
    errors = [row["error"] for row in rows_of(root, part)]
    assert [place for place, error in enumerate(errors) if error] == [2, 5]
    assert errors[2].startswith(f"{code}: ")
    assert scored_parts(root, key) == set()
    left = ask(part, Asked(root, "d", key, Demand(Ledger(root, "runs/r"))))
    assert left == {"is_open": True, "num_unread": 2, "num_traces": NUM_TRACES}

    asked, scored = attempt(FAULTS[code])
    assert (sorted(asked), scored["num_errors"]) == ([2, 5], 2), "once more, and no more than that"
    assert [row["error"] for row in rows_of(root, part)] == errors
    assert len(root.names(partial_folder(key, part.key))) == 1

    asked, scored = attempt(None)
    assert (sorted(asked), scored["num_scored"], scored["num_errors"]) == ([2, 5], 2, 0)
    assert [row["error"] for row in rows_of(root, part)] == [None] * NUM_TRACES
    assert scored_parts(root, key) == {part.key}
    assert attempt(None)[0] == []


def test_what_is_mended_is_what_an_undisturbed_attempt_gives(store, tmp_path):
    root, part = store
    key = identity_of(model()).key
    name = f"scores/{key}/{part.key}.parquet"
    read_by(root, part, [], None)
    undisturbed = root.read_table(name).to_pylist()
    root.delete(name)
    read_by(root, part, [0, 7], MemoryError)
    read_by(root, part, [], None)
    for found, expected in zip(root.read_table(name).to_pylist(), undisturbed, strict=True):
        assert {**found, "sum_logprob": 0, "first_logprob": 0} == {
            **expected,
            "sum_logprob": 0,
            "first_logprob": 0,
        }
        assert found["sum_logprob"] == pytest.approx(expected["sum_logprob"], abs=1e-4)


def test_kept_tokens_with_such_an_error_are_read_again_too(store):
    root, part = store
    key = identity_of(model()).key
    job = Realignment(root, "d", key, keep=True)
    read_by(root, part, [3], RuntimeError, keep=True)
    assert parts_with_tokens(root, key, "d") == {part.key}
    assert [each["key"] for each in realign_bucket(0, [part.key], job)] == [part.key]
    asked, _ = read_by(root, part, [3], None, keep=True)
    assert asked == [3]
    name = token_name(key, "d", 0, part.key)
    found = read_tokens(root, [name], trace_ids(root, part))
    assert [each.error for each in found.values()] == [None] * NUM_TRACES
    assert scored_parts(root, key) == {part.key}


def test_another_splitter_finds_the_good_tokens_and_reads_the_others(store, tmp_path):
    root, part = store
    key = identity_of(model()).key
    read_by(root, part, [3], RuntimeError, keep=True)
    config = InputConfig(path=str(tmp_path / "a.jsonl"))
    tables = read_rows(
        {"index": [0]}, files=list_inputs(config), configs=[config], num_buckets=1, unit="paragraph"
    )
    to = Destination(root, "d", "runs/q", 1, "paragraph")
    [record] = write_bucket(pa.concat_tables(tables), to=to).to_pylist()
    (other,) = record["part_keys"]
    (left,) = realign_bucket(0, [other], Realignment(root, "d", key, keep=True))
    assert left["num_held"] == NUM_TRACES - 1
    found = Part(0, other, NUM_TRACES, tuple(left["files"]))
    asked, _ = read_by(root, found, [], None, keep=True)
    assert len(asked) == 1
    assert scored_parts(root, key) == {other}
    assert realign_bucket(0, [part.key], Realignment(root, "d", key, keep=True)) == []
    assert scored_parts(root, key) == {part.key, other}, "the first part needs no model any more"


@contextmanager
def student_server(tree):
    """The tree with its student on a server, which runs until the block ends."""
    from transformers import AutoModelForCausalLM

    folder = tree["models"]["student"]["model"]
    with serving(AutoModelForCausalLM.from_pretrained(folder)) as server:
        endpoint = {"url": server.url, "model": "served", "max_retries": 1, "retry_base_s": 0.01}
        student = {"model": folder, "engine": "openai", "endpoint": endpoint}
        yield server, {**tree, "models": {**tree["models"], "student": student}}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trace_that_a_server_dropped_is_quarantined_and_read_by_the_next_run(
    ray_cluster, tmp_path
):
    rows = miniature_rows(0, 12)
    with student_server(config_tree(tmp_path, rows=rows)) as (server, tree):
        undisturbed = run({**tree, "store": str(tmp_path / "fresh")})
        prompts = {tuple(body["prompt"]) for body in server.bodies}
        dropped = max(prompts, key=len)
        server.faults[dropped] = [Status(500)] * 2
        done = run(tree)
        (fault,) = read_run(done, "quarantine")
        assert (fault["reason"], fault["column"]) == ("endpoint_error", "student")
        assert run(tree).summary.quarantined == 1, "a complete run stays as it is"

        server.bodies.clear()
        mended = run({**tree, "report": {"num_traces": 9}})
        assert mended.to_json()["scored"] == {"student": 1, "teacher": 0}
        assert server.requests_for(list(dropped)) == 1
        assert len(server.bodies) <= 1 + 4, "beside it only what a worker asks when it starts"
        assert mended.summary.quarantined == 0
    assert table_bytes(mended) == table_bytes(undisturbed)
    assert Path(tree["store"], "scores").is_dir()
