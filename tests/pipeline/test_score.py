"""The scoring stage on a real Ray with real models: overlap, kills, and traces that end their process."""

import itertools
import os
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.ingest import Destination, ingest
from rdpt_ray.pipeline.score import Part, ScorePart, score
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.loading import encoder_of, identity_of, load_scorer
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.traces import Trace
from rdpt_ray.scoring.transformers_engine import load_engine
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.scores import read_scores
from rdpt_ray.storage.sessions import session_name
from tests.pipeline.conftest import MINIATURE, config_tree, miniature_rows

pytestmark = pytest.mark.ray

POISON = "zugzwang " * 3
MODEL = ModelConfig(model=str(MINIATURE / "student"), token_budget=2048)


class Poisoned:
    """A real engine in a process that ends when it meets the poison, in whatever batch."""

    def __init__(self, engine, poison_ids, end):
        self._engine, self._poison_ids, self._end = engine, poison_ids, end

    @property
    def context_length(self):
        return self._engine.context_length

    def token_scores(self, batch):
        if any(sequence.response_ids == self._poison_ids for sequence in batch):
            self._end()
        return self._engine.token_scores(batch)


def load_poisoned(model, identity, *, num_threads, end):
    encoder = encoder_of(identity)
    poison = encoder.encode(
        [{"role": "user", "content": "?"}], POISON.strip()
    ).sequence.response_ids
    engine = load_engine(model, identity, num_threads=num_threads)
    return ModelScorer(encoder, Poisoned(engine, poison, end), model.token_budget)


def load_and_tell(model, identity, *, num_threads, folder):
    """The real scorer, whose process leaves its number in a folder."""
    (folder / str(os.getpid())).touch()
    return load_scorer(model, identity, num_threads=num_threads)


class Sleeping:
    """An engine that takes its time, and writes down when."""

    context_length = None

    def __init__(self, log):
        self._log = log

    def token_scores(self, batch):
        begun = time.time()
        time.sleep(0.4)
        self._log.append(("pass", begun, time.time()))
        return [TokenScores(-0.5 * (1 + (ids_of(each) % 7))) for each in batch]


def ids_of(sequence):
    import numpy as np

    return np.array(sequence.response_ids, dtype=np.float32)


class Told:
    """An encoder that takes its time, and writes down when."""

    def __init__(self, encoder, log):
        self._encoder, self._log = encoder, log

    def encode(self, *trace):
        begun = time.time()
        time.sleep(0.02)
        self._log.append(("encode", begun, time.time()))
        return self._encoder.encode(*trace)


class Log:
    """Lines in a file, so that an actor's can be read here."""

    def __init__(self, path):
        self._path = path

    def append(self, event):
        with self._path.open("a") as file:
            file.write(" ".join(map(str, event)) + "\n")

    def read(self, kind):
        events = [line.split() for line in self._path.read_text().splitlines()]
        return [(float(begun), float(ended)) for name, begun, ended in events if name == kind]


def load_sleeping(model, identity, *, num_threads, log):
    return ModelScorer(Told(encoder_of(identity), log), Sleeping(log), model.token_budget)


@pytest.fixture(scope="module")
def ingested(ray_cluster, tmp_path_factory):
    """A store with the parts of 80 traces, two of them poison."""
    folder = tmp_path_factory.mktemp("ingested")
    rows = miniature_rows(0, 80)
    for row in (rows[10], rows[50]):
        row["response"] = f"<think>\n{POISON}\n</think>\n\n{POISON}"
    rows[10]["response"] = rows[50]["response"] = POISON
    config = parse_config(config_tree(folder, rows=rows))
    store = Root(str(folder / "store"))
    buckets = ingest(list_inputs(config.input), config.input, Destination(store, "d", "run", 4))
    parts = [Part(b.bucket, key, n) for b in buckets for key, n in b.parts.items()]
    assert len(parts) == 4
    return folder / "store", parts


@pytest.fixture
def copied(ingested, tmp_path):
    """The store, without scores, for one test alone."""
    folder, parts = ingested
    shutil.copytree(folder, tmp_path / "store")
    return Root(str(tmp_path / "store")), parts


def run(store, parts, *, load=load_scorer, model=MODEL):
    stage = score(
        parts,
        store=store,
        dataset="d",
        model=model,
        identity=identity_of(model),
        session=session_name("run", "test"),
        load=load,
    )
    return list(stage)


def score_bytes(store):
    return {name: store.read_bytes(name) for name in store.names("scores")}


def errors(store, parts):
    """trace_id -> error, over all parts."""
    found = {}
    for part in parts:
        name = f"traces/d/bucket={part.bucket:04d}/{part.key}.parquet"
        traces = store.read_table(name, columns=["trace_id"])
        ids = traces.column("trace_id").to_pylist()
        rows = read_scores(store, identity_of(MODEL).key, part.key, ids)
        found |= {row["trace_id"]: row["error"] for row in rows}
    return found


@pytest.fixture(scope="module")
def undisturbed(ingested, tmp_path_factory):
    """Every part's scores, made here, one part after another, without Ray."""
    folder, parts = ingested
    store = Root(str(tmp_path_factory.mktemp("undisturbed") / "store"))
    shutil.copytree(folder, store.uri)
    actor = actor_here(store)
    for part in parts:
        actor(place_of(part))
    return score_bytes(store)


def actor_here(store):
    return ScorePart(
        store=store,
        dataset="d",
        model=MODEL,
        identity=identity_of(MODEL),
        session=session_name("run", "here"),
    )


def place_of(part):
    return pa.Table.from_pylist([{"bucket": part.bucket, "key": part.key, "token_files": []}])


def test_a_part_that_is_committed_is_not_written_again(copied):
    """As when an actor's node is lost after its commit and before its report."""
    store, parts = copied
    actor = actor_here(store)
    first = actor(place_of(parts[0])).to_pylist()[0]
    (path,) = Path(store.uri, "scores").rglob("*.parquet")
    before = path.stat().st_ino, path.stat().st_mtime_ns
    again = actor(place_of(parts[0])).to_pylist()[0]
    assert first["num_scored"] == parts[0].num_traces
    assert again["num_scored"] == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before


def test_actors_score_as_one_process_does(copied, undisturbed):
    store, parts = copied
    records = run(store, parts)
    assert sorted(record.key for record in records) == sorted(part.key for part in parts)
    assert score_bytes(store) == undisturbed
    assert store.names("attempts") == []


def test_the_next_part_is_read_and_tokenised_while_the_model_works(copied, tmp_path):
    store, parts = copied
    log = Log(tmp_path / "log")
    one = MODEL.model_copy(update={"pool": MODEL.pool.model_copy(update={"max_actors": 1})})
    run(store, parts, load=partial(load_sleeping, log=log), model=one)
    passes, encodings = sorted(log.read("pass")), sorted(log.read("encode"))
    assert not any(first[1] > second[0] for first, second in itertools.pairwise(passes))
    assert not any(first[1] > second[0] for first, second in itertools.pairwise(encodings))
    hidden = [
        (begun, ended)
        for begun, ended in encodings
        if any(start <= begun and ended <= end for start, end in passes)
    ]
    assert len(hidden) > len(encodings) / 3


def test_two_threads_of_one_scorer_give_what_one_gives():
    scorer = load_scorer(MODEL, identity_of(MODEL), num_threads=1)
    halves = [[as_trace(row) for row in miniature_rows(first, 12)] for first in (0, 12)]
    expected = [scorer.tokens(half) for half in halves]
    results = {}

    def work(place):
        results[place] = scorer.tokens(halves[place])

    for _ in range(3):
        threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for place in (0, 1):
            for one, other in zip(results[place], expected[place], strict=True):
                assert one.scores.logprobs.tobytes() == other.scores.logprobs.tobytes()


def as_trace(row):
    response = row["response"]
    return Trace([{"role": "user", "content": row["prompt"]}], response, [(0, len(response))])


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("end", [os.abort, partial(exit, 0)], ids=["abort", "exit"])
def test_a_trace_that_ends_its_process_is_set_aside(copied, undisturbed, end):
    store, parts = copied
    records = run(store, parts, load=partial(load_poisoned, end=end))
    found = errors(store, parts)
    wrong = {trace_id: error for trace_id, error in found.items() if error is not None}
    message = "actor_died: the process died 2 times over this trace alone"
    assert list(wrong.values()) == [message] * 2
    # The other thread's part may be committed, and the process end before it could tell; seen in CI.
    untold = {record.key for record in records if not record.num_scored}
    in_untold = sum(
        holds(store, part, [each]) for part in parts if part.key in untold for each in wrong
    )
    assert sum(record.num_errors for record in records) + in_untold == 2
    assert store.names("attempts") == []
    identical = [name for name, data in score_bytes(store).items() if data == undisturbed[name]]
    assert len(identical) == len(parts) - len({part for part in parts if holds(store, part, wrong)})


def holds(store, part, trace_ids):
    name = f"traces/d/bucket={part.bucket:04d}/{part.key}.parquet"
    return bool(set(store.read_table(name).column("trace_id").to_pylist()) & set(trace_ids))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_actor_that_is_killed_leaves_no_trace(copied, undisturbed, tmp_path):
    store, parts = copied
    folder = tmp_path / "pids"
    folder.mkdir()
    killed = []

    def kill_at_work():
        while not Path(store.uri, "attempts").exists() or not store.names("attempts"):
            time.sleep(0.01)
        killed.extend(int(path.name) for path in folder.iterdir())
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_at_work)
    killer.start()
    run(store, parts, load=partial(load_and_tell, folder=folder))
    killer.join()
    assert killed
    assert len(list(folder.iterdir())) > len(killed), "no actor was started anew"
    assert score_bytes(store) == undisturbed
    assert store.names("attempts") == []
