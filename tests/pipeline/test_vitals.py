"""Actors and nodes that hang rather than die, on a real Ray; a slow load is no hang."""

import json
import shutil
import threading
import time
from functools import partial

import psutil
import pytest
from rich.console import Console

from rdpt_ray.config import parse_config
from rdpt_ray.errors import Interrupted
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.ingest import Destination, ingest
from rdpt_ray.pipeline.score import Part, score
from rdpt_ray.pipeline.session import at_work
from rdpt_ray.pipeline.vitals import Guard, Pulse, Vitals
from rdpt_ray.scoring.loading import encoder_of, identity_of, load_scorer
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.transformers_engine import load_engine
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.sessions import session_name, sessions_of
from tests.pipeline.chaos_world import pause, wait_for
from tests.pipeline.conftest import MINIATURE, config_tree, miniature_rows

MODEL = ModelConfig(model=str(MINIATURE / "student"), token_budget=2048)


def test_who_was_silent_for_too_long_is_named_once(monkeypatch):
    vitals, now = Vitals(), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    vitals.tell("a", "actor a", "scoring", 10)
    vitals.tell("b", "actor b", "loading its model", 1000)
    now[0] = 109
    assert vitals.silent() == []
    now[0] = 111
    assert vitals.silent() == [("actor a", "scoring, silent for 11 s")]
    assert vitals.silent() == []
    vitals.forget("b")
    now[0] = 5000
    assert vitals.silent() == []


def test_silence_is_since_anything_was_heard_of_anybody(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    vitals = Vitals()
    now[0] = 150
    vitals.tell("a", "actor a", "waiting for another session", float("inf"))
    now[0] = 10_000
    assert vitals.silence_s() == 9850
    assert vitals.silent() == []


def test_an_actor_with_two_parts_in_hand_is_idle_after_both():
    told = []

    class Ear:
        def __getattr__(self, name):
            class Method:
                remote = staticmethod(lambda *_: told.append(name))

            return Method

    pulse = Pulse(None, pass_s=1, load_s=1)
    pulse._vitals = Ear()
    with pulse.scoring():
        with pulse.scoring():
            pass
        assert "forget" not in told
    assert told[-1] == "forget"


class Hanging:
    """A real engine that never comes back from the first pass of the first process that tries."""

    def __init__(self, engine, flag):
        self._engine, self._flag = engine, flag

    @property
    def context_length(self):
        return self._engine.context_length

    def token_scores(self, batch):
        try:
            self._flag.touch(exist_ok=False)
        except FileExistsError:
            return self._engine.token_scores(batch)
        time.sleep(10_000)
        raise AssertionError


def load_hanging(model, identity, *, num_threads, flag):
    engine = load_engine(model, identity, num_threads=num_threads)
    return ModelScorer(encoder_of(identity), Hanging(engine, flag), model.token_budget)


def load_slowly(model, identity, *, num_threads):
    time.sleep(12)
    return load_scorer(model, identity, num_threads=num_threads)


def scores_of(store, parts, load, **pool):
    model = MODEL.model_copy(update={"pool": MODEL.pool.model_copy(update=pool)})
    stage = score(
        parts,
        store=store,
        dataset="d",
        model=model,
        identity=identity_of(model),
        session=session_name("run", "test"),
        load=load,
    )
    list(stage)
    return {name: store.read_bytes(name) for name in store.names("scores")}


@pytest.mark.ray
@pytest.mark.timeout(60)
def test_a_ray_that_does_nothing_any_more_ends_the_job(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("rdpt_ray.pipeline.vitals.ALL_SILENT_S", 0.0)
    root = Root(str(tmp_path))
    with (
        pytest.raises(Interrupted, match=r"no actor has done anything for .* run the same command"),
        at_work(root, "run", "a", Console(quiet=True), drain_s=1) as session,
        Guard(limit_s=1, stalled=session.stall),
    ):
        time.sleep(50)
    (record,) = sessions_of(root, "run")
    assert record.ended == "interrupted"


@pytest.fixture
def stored(ray_cluster, tmp_path):
    """Two stores with the same parts and no scores."""
    config = parse_config(config_tree(tmp_path, rows=miniature_rows(0, 80)))
    stores = [Root(str(tmp_path / name)) for name in ("one", "two")]
    to = Destination(stores[0], "d", "run", 4)
    buckets = ingest(list_inputs(config.input), config.input, to)
    shutil.copytree(stores[0].uri, stores[1].uri)
    parts = [Part(b.bucket, key, n) for b in buckets for key, n in b.parts.items()]
    return [(store, parts) for store in stores]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_pass_that_never_ends_is_ended_and_nothing_is_lost(stored, tmp_path):
    (store, parts), (calm, _) = stored
    expected = scores_of(calm, parts, load_scorer)
    load = partial(load_hanging, flag=tmp_path / "hung")
    assert scores_of(store, parts, load, pass_limit_s=5) == expected
    assert (tmp_path / "hung").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stopped_process_is_ended_and_nothing_is_lost(stored, tmp_path):
    (store, parts), (calm, _) = stored
    expected = scores_of(calm, parts, load_scorer)

    def stopped_with_a_part():
        """Whether a process is stopped that has a part in hand: another one would be left alone."""
        for name, content in store.read_many(store.names("attempts")).items():
            number = json.loads(content)["process"].rpartition("/")[2].partition("@")[0]
            process = psutil.Process(int(number))
            pause(process)
            if store.exists(name):
                stopped.append(process)
                return True
            process.resume()
        return False

    def stop_one():
        wait_for(stopped_with_a_part, "a part in hand")

    stopped = []
    mischief = threading.Thread(target=stop_one)
    mischief.start()
    assert scores_of(store, parts, load_scorer, pass_limit_s=5) == expected
    mischief.join()
    assert not stopped[0].is_running(), "it was stopped when it had nothing to do"


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_model_that_loads_slowly_is_left_alone(stored):
    (store, parts), _ = stored
    begun = time.monotonic()
    assert scores_of(store, parts, load_slowly, pass_limit_s=3, max_actors=1)
    assert time.monotonic() - begun < 60, "it was ended while it loaded, again and again"
