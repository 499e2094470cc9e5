"""What is swept is what nobody needs: no file of a run, finished or not, and nothing while a job works."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdpt_ray.errors import StoreError
from rdpt_ray.storage import sweep_apply
from rdpt_ray.storage.attempts import Attempt, hold
from rdpt_ray.storage.audit import audit, plan_audit
from rdpt_ray.storage.damage import set_aside
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.runs import read_json, write_json
from rdpt_ray.storage.scores import partial_folder, read_scores, score_name, write_scores
from rdpt_ray.storage.sessions import session_name, this_process
from rdpt_ray.storage.sweep import (
    ATTEMPTS,
    SESSIONS,
    SET_ASIDE,
    SUPERFLUOUS,
    TEMPORARY,
    UNFINISHED,
    UNUSED,
    SweepOptions,
    plan_sweep,
)
from rdpt_ray.storage.sweep_apply import apply_sweep
from tests.storage.small_store import STUDENT, TEACHER, SmallRun, small_run

DAY_S = 24 * 3600.0
DEAD = f"{this_process().rpartition('/')[0]}/4194304@1"
"""A process of this host that is no more."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three runs, made once: the second shares traces with the first, the third has other parts of them."""
    folder = tmp_path_factory.mktemp("made")
    root = open_root(str(folder / "store"))
    runs = [
        small_run(root, folder, 1, range(8)),
        small_run(root, folder, 2, range(4, 20), prune=True),
        small_run(root, folder, 3, range(8), unit="line"),
    ]
    return folder / "store", runs


@pytest.fixture
def store(made, tmp_path):
    """A copy of it, with its runs."""
    shutil.copytree(made[0], tmp_path / "store")
    root = open_root(str(tmp_path / "store"))
    return root, [replace(run, root=root) for run in made[1]]


def swept(root, now=None, **options):
    """Sweep; what went, by why."""
    plan = plan_sweep(root, SweepOptions(**options), time.time() if now is None else now)
    gone = apply_sweep(root, plan)
    assert gone == plan.removals
    assert not any(root.exists(each.name) for each in gone)
    found = {}
    for each in gone:
        found.setdefault(each.why, []).append(each.name)
    return found


def written(root, name, age_s=0.0):
    root.write_bytes(name, b"some bytes")
    aged(root, name, age_s)


def aged(root, name, age_s):
    at = time.time() - age_s
    os.utime(root.path(name), (at, at))


def test_a_store_as_jobs_left_it_loses_nothing(store):
    root, _ = store
    assert swept(root) == {}
    assert swept(root, unused=True, unfinished_s=0.0) == {}


# Temporary files


def temporary(root, age_s):
    name = f"scores/{STUDENT}/.x.parquet.123.beef.tmp"
    written(root, name, age_s)
    return name


def test_what_a_dead_writer_left_goes(store):
    root, _ = store
    name = temporary(root, 2 * 3600)
    plan = plan_sweep(root, SweepOptions(), time.time())
    assert [(each.name, each.why, each.bytes) for each in plan.removals] == [(name, TEMPORARY, 10)]
    assert os.path.exists(root.path(name))
    assert swept(root) == {TEMPORARY: [name]}


@pytest.mark.parametrize("age_s", [60.0, -DAY_S], ids=["new", "from the future"])
def test_what_may_just_be_written_stays(store, age_s):
    root, _ = store
    temporary(root, age_s)
    assert swept(root) == {}


def test_a_clock_that_was_set_back_keeps_everything(store):
    root, _ = store
    temporary(root, 2 * 3600)
    assert swept(root, now=time.time() - DAY_S, unfinished_s=0.0) == {}


def test_what_jobs_share_is_held_back_while_one_works(store):
    root, (run, *_) = store
    name = temporary(root, 30 * DAY_S)
    run.start(ended=None, process=this_process(), session="0002")
    plan = plan_sweep(root, SweepOptions(), time.time())
    assert plan.live == {session_name(run.id, "0002")}
    assert (plan.removals, [each.name for each in plan.held_back]) == ([], [name])


# Partial scores


def test_partial_scores_go_when_the_whole_part_is_scored(store):
    root, (_, pruned, _) = store
    pieces = root.names(partial_folder(TEACHER))
    assert len(pieces) == 2
    bucket, key = next(place for place in pruned.parts if place[1] in pieces[0])
    replace(pruned, prune=False).score_part("teacher", TEACHER, bucket, key, keep_tokens=False)
    assert swept(root) == {SUPERFLUOUS: [pieces[0]]}


def test_partial_scores_stay_beside_a_whole_file_that_is_damaged(store):
    root, _ = store
    (piece, *_) = root.names(partial_folder(TEACHER))
    root.write_bytes(score_name(TEACHER, piece.split("/")[2]), b"PAR1 and nothing else")
    assert swept(root) == {}


@settings(max_examples=50)
@given(
    st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3), min_size=1), max_size=6)
)
def test_without_superfluous_pieces_the_same_is_read(tmp_path_factory, pieces):
    """A piece: trace -> how many of its three sentences were read."""
    root = open_root(str(tmp_path_factory.mktemp("store")))
    key = "0" * 32
    for piece in pieces:
        rows = [progress(trace, count) for trace, count in piece.items()]
        write_scores(root, TEACHER, key, list("abcdx"), rows)
    before = read_scores(root, TEACHER, key, list("abcdx"))
    swept(root)
    assert read_scores(root, TEACHER, key, list("abcdx")) == before
    assert swept(root) == {}


def progress(trace, count):
    numbers = [-1.0] * count + [None] * (3 - count)
    return {
        "trace_id": trace,
        "sum_logprob": numbers,
        "num_tokens": [None if each is None else 1 for each in numbers],
        "first_logprob": numbers,
        "sum_rank": None,
        "sum_brier": None,
        "num_prompt_tokens": 1,
        "error": None if count == 3 else "pruned: read in part",
    }


# Attempts and sessions


def attempt(root, run, model, key):
    made = hold(root, model, key, Attempt(session_name(run.id, "0001"), "node", DEAD), [])
    return made.name


def test_attempts_go_with_the_runs_that_could_ask_for_them(store):
    root, (finished, other, _) = store
    root.delete(f"{other.folder}/manifest.json")
    gone = attempt(root, finished, STUDENT, finished.parts[0][1])
    kept = attempt(root, other, TEACHER, other.parts[1][1])
    root.write_bytes(f"attempts/{STUDENT}/{'a' * 32}-0001.json", b"{not json")
    assert swept(root) == {ATTEMPTS: [gone]}
    assert root.exists(kept)


def test_sessions_go_when_the_manifest_holds_them(store):
    root, (run, other, _) = store
    manifest = read_json(root, f"{run.folder}/manifest.json")
    manifest["sessions"] = [read_json(root, session_name(run.id, "0001"))]
    write_json(root, f"{run.folder}/manifest.json", manifest)
    assert swept(root) == {SESSIONS: [session_name(run.id, "0001")]}
    assert root.exists(session_name(other.id, "0001"))


def test_a_session_that_lives_stays(store):
    root, (run, *_) = store
    run.start(ended=None, process=this_process())
    manifest = read_json(root, f"{run.folder}/manifest.json")
    manifest["sessions"] = [read_json(root, session_name(run.id, "0001"))]
    write_json(root, f"{run.folder}/manifest.json", manifest)
    assert swept(root) == {}


# What was set aside


def test_damaged_files_go_after_a_week(store):
    root, _ = store
    name = f"scores/other/{'b' * 32}.parquet"
    written(root, name)
    kept = set_aside(root, name)
    assert swept(root, now=time.time() + 6 * DAY_S) == {}
    assert swept(root, now=time.time() + 8 * DAY_S) == {SET_ASIDE: [kept]}


def test_damaged_files_of_which_a_run_has_no_other_stay(store):
    root, (run, *_) = store
    _, key = run.parts[0]
    kept = set_aside(root, score_name(STUDENT, key))
    later = time.time() + 8 * DAY_S
    assert swept(root, now=later) == {}
    run.score()
    assert swept(root, now=later) == {SET_ASIDE: [kept]}


# What no run refers to


def drop(root, run):
    for name in root.names(run.folder):
        root.delete(name)


def test_what_no_run_refers_to_goes_and_nothing_else(store):
    root, (first, second, third) = store
    drop(root, second)
    assert swept(root) == {}
    gone = swept(root, unused=True)[UNUSED]
    own = {key for _, key in second.parts} - {key for _, key in first.parts + third.parts}
    assert own
    assert all(any(key in name for key in own) for name in gone)
    assert [name for name in root.names("") if any(key in name for key in own)] == sorted(
        name for name in root.names("tokens") if any(key in name for key in own)
    )  # token scores serve the other parts of their bucket
    rooms = [name.split("/")[0] for name in gone]
    assert rooms == sorted(rooms, key=["scores", "partial", "tokens", "verified", "traces"].index)
    assert audit(plan_audit(root)).damage == []


def test_scores_of_a_model_that_no_run_names_go(store):
    root, (run, *_) = store
    _, key = run.parts[0]
    name = score_name("another", key)
    root.write_bytes(name, root.read_bytes(score_name(STUDENT, key)))
    assert swept(root, unused=True) == {UNUSED: [name]}


def test_scores_of_any_model_stay_while_a_run_is_not_finished(store):
    """Its manifest, which says which models it has, is written last."""
    root, (run, *_) = store
    _, key = run.parts[0]
    root.write_bytes(score_name("another", key), root.read_bytes(score_name(STUDENT, key)))
    root.delete(f"{run.folder}/manifest.json")
    assert swept(root, unused=True) == {}


def test_all_parts_stay_while_a_run_has_not_ingested(store):
    root, (_, second, _) = store
    drop(root, second)
    SmallRun(root, 4).start(ended=None, process=DEAD)
    assert swept(root, unused=True) == {}


def test_the_sample_that_is_scored_once_more_stays(store):
    root, (run, *_) = store
    bucket, key = run.parts[0]
    name = f"traces/demo.precision/bucket=0000/{'c' * 32}.parquet"
    root.write_bytes(name, root.read_bytes(f"traces/demo/bucket={bucket:04d}/{key}.parquet"))
    root.write_bytes(score_name("float32", "c" * 32), b"its scores")
    assert swept(root, unused=True) == {}


@pytest.mark.parametrize("file", ["manifest.json", "ingested.json"])
def test_nothing_is_called_unused_where_a_run_cannot_be_read(store, file):
    root, (run, *_) = store
    root.write_bytes(f"{run.folder}/{file}", b"{")
    assert swept(root) == {}
    with pytest.raises(StoreError, match=rf"{file}: expected a JSON .*rdpt store verify"):
        swept(root, unused=True)


def test_a_folder_of_runs_that_cannot_be_listed_ends_it(store, monkeypatch):
    root, (run, *_) = store
    scandir = os.scandir

    def fails(path):
        if str(path).endswith(run.folder):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fails)
    with pytest.raises(StoreError, match="cannot be listed"):
        plan_sweep(root, SweepOptions(unused=True), time.time())


# Runs that were never finished


def test_runs_that_were_never_finished_go_when_they_are_old(store):
    root, (first, second, third) = store
    for run in (second, third):
        root.delete(f"{run.folder}/manifest.json")
    third.start(ended=None, process=this_process())
    files = root.names(second.folder)
    assert swept(root, unfinished_s=DAY_S) == {}
    gone = swept(root, now=time.time() + 2 * DAY_S, unfinished_s=DAY_S)
    assert list(gone) == [UNFINISHED]
    assert sorted(gone[UNFINISHED]) == files
    assert gone[UNFINISHED][0] == f"{second.folder}/ingested.json"
    assert gone[UNFINISHED][-1] == session_name(second.id, "0001")
    assert root.exists(f"{first.folder}/manifest.json")


def test_a_run_that_changed_lately_stays(store):
    root, (_, second, _) = store
    root.delete(f"{second.folder}/manifest.json")
    for name in root.names(second.folder):
        aged(root, name, 9 * DAY_S)
    aged(root, session_name(second.id, "0001"), 3600.0)
    assert swept(root, unfinished_s=DAY_S) == {}


def test_killed_at_any_moment_it_leaves_a_store_that_is_whole(store):
    root, (_, second, third) = store
    for run in (second, third):
        root.delete(f"{run.folder}/manifest.json")
        attempt(root, run, STUDENT, run.parts[0][1])
    temporary(root, DAY_S)
    plan = plan_sweep(root, SweepOptions(unused=True, unfinished_s=0.0), time.time() + 60)
    assert {each.why for each in plan.removals} == {TEMPORARY, ATTEMPTS, UNFINISHED, UNUSED}
    for each in plan.removals:
        root.delete(each.name)
        if each.why == UNFINISHED or each.name.startswith("traces"):
            assert audit(plan_audit(root)).damage == []
    assert swept(root, unused=True, unfinished_s=0.0) == {}


# A job that begins meanwhile


def test_the_rest_stays_when_a_job_begins(store, monkeypatch):
    root, (_, second, third) = store
    drop(root, second)
    drop(root, third)
    monkeypatch.setattr(sweep_apply, "BATCH", 2)
    plan = plan_sweep(root, SweepOptions(unused=True), time.time())
    assert len(plan.removals) > 6
    batches = []

    def advance(count, _):
        batches.append(count)
        if len(batches) == 2:
            SmallRun(root, 5).start(ended=None, process="elsewhere/1@1")

    gone = apply_sweep(root, plan, advance)
    assert gone == plan.removals[:4]
    assert all(root.exists(each.name) for each in plan.removals[4:])


def test_the_rest_stays_when_one_that_was_taken_for_dead_beats(store):
    root, (_, second, third) = store
    drop(root, second)
    third.start(ended=None, process=DEAD)
    plan = plan_sweep(root, SweepOptions(unused=True), time.time())
    assert plan.removals
    record = read_json(root, session_name(third.id, "0001"))
    write_json(root, session_name(third.id, "0001"), {**record, "beat": record["beat"] + 1})
    assert apply_sweep(root, plan) == []


def test_a_job_at_work_on_another_run_does_not_hinder_what_is_no_concern_of_its(store):
    root, (_, second, third) = store
    root.delete(f"{second.folder}/manifest.json")
    third.start(ended=None, process=this_process(), session="0002")
    gone = swept(root, now=time.time() + 2 * DAY_S, unfinished_s=DAY_S, unused=True)
    assert list(gone) == [UNFINISHED]


# Other file systems


def test_every_kind_of_store_is_swept(any_root, tmp_path):
    first = small_run(any_root, tmp_path, 1, range(4))
    second = small_run(any_root, tmp_path, 2, range(20, 24))
    any_root.delete(f"{second.folder}/manifest.json")
    any_root.write_bytes(f"scores/{STUDENT}/.x.parquet.123.beef.tmp", b"half")
    later = time.time() + 2 * DAY_S
    gone = swept(any_root, now=later, unused=True, unfinished_s=DAY_S)
    assert {why: len(names) > 0 for why, names in gone.items()} == {
        UNFINISHED: True,
        TEMPORARY: True,
        UNUSED: True,
    }
    assert {name.split("/")[1] for name in any_root.names("runs")} == {first.id}
    assert audit(plan_audit(any_root)).damage == []


# The law

STATES = ("gone", "ingesting", "ingested", "finished")
LIVES = ("none", "ended", "dead", "live")


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data())
def test_whatever_is_there_what_runs_refer_to_stays(made, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("law") / "store"
    shutil.copytree(made[0], folder)
    root = open_root(str(folder))
    runs = [replace(run, root=root) for run in made[1]]
    states = [data.draw(st.sampled_from(STATES), label=run.id) for run in runs]
    lives = [data.draw(st.sampled_from(LIVES), label=f"{run.id} session") for run in runs]
    for run, state, life in zip(runs, states, lives, strict=True):
        put_into(root, run, state, life)
    for extra in data.draw(st.sets(st.sampled_from(sorted(EXTRAS))), label="extras"):
        EXTRAS[extra](root, runs[0])
    options = {
        "unused": data.draw(st.booleans(), label="unused"),
        "unfinished_s": data.draw(st.sampled_from([None, DAY_S]), label="unfinished"),
    }
    later = time.time() + data.draw(st.sampled_from([-9, 0, 2, 9]), label="days") * DAY_S
    clean = audit(plan_audit(root)).damage == []
    before = {name: root.read_bytes(name) for name in root.names("")}
    scores = read_all(root, runs)
    swept(root, now=later, **options)
    is_live = "live" in [life for life, state in zip(lives, states, strict=True) if state != "gone"]
    after = set(root.names(""))
    for run, state, life in zip(runs, states, lives, strict=True):
        own = {name for name in before if name.startswith(f"{run.folder}/")}
        lost = {name for name in own - after if "/sessions/" not in name}
        stays = state == "finished" or life == "live" or options["unfinished_s"] is None
        assert not (stays and lost)
        assert not (life == "live" and own - after)
        if state in ("ingested", "finished") and own <= after:
            assert {name for name in before if refers(run, name)} - after <= set(pieces(before))
            assert read_all(root, [run]).items() <= scores.items()
    shared = ("traces", "scores", "partial", "tokens", "verified", "attempts")
    assert not (is_live and {name for name in before if name.startswith(shared)} - after)
    assert all(root.read_bytes(name) == before[name] for name in after)
    assert not clean or audit(plan_audit(root)).damage == []
    assert swept(root, now=later, **options) == {}


def put_into(root, run, state, life):
    """Make a finished run one that came so far."""
    done = {
        "gone": (),
        "ingesting": ("rows", "sessions"),
        "ingested": ("rows", "sessions", "ingested.json"),
    }
    for name in root.names(run.folder):
        if state in done and name.split("/")[2] not in done[state]:
            root.delete(name)
    if state == "gone" or life == "none":
        root.delete(session_name(run.id, "0001"))
    elif life != "ended":
        run.start(ended=None, process=this_process() if life == "live" else DEAD)


def whole_beside_pieces(root, run):
    _, key = run.parts[0]
    table = root.read_table(score_name(TEACHER, key))
    root.write_table(f"{partial_folder(TEACHER, key)}/0123.parquet", table.slice(0, 2))


EXTRAS = {
    "temporary": lambda root, run: temporary(root, 3 * 3600),
    "fresh temporary": lambda root, run: written(root, "traces/.x.1.ab.tmp"),
    "attempt": lambda root, run: attempt(root, run, STUDENT, run.parts[0][1]),
    "pieces": whole_beside_pieces,
    "set aside": lambda root, run: set_aside(root, score_name(STUDENT, run.parts[0][1])),
    "stranger": lambda root, run: written(root, f"damaged/scores/m/{'d' * 32}.parquet", 20 * DAY_S),
}


def refers(run, name):
    """Whether a file is a part of the run, or derived from one."""
    return not name.startswith("damaged") and any(key in name for _, key in run.parts)


def pieces(names):
    return [name for name in names if name.endswith("0123.parquet") or name.startswith("attempts")]


def read_all(root, runs):
    """(run, model, part) -> what its models said of its parts."""
    found = {}
    for run in runs:
        for bucket, key in run.parts:
            name = f"traces/demo/bucket={bucket:04d}/{key}.parquet"
            if root.exists(name):
                ids = root.read_table(name, ["trace_id"]).column("trace_id").to_pylist()
                for model in (STUDENT, TEACHER):
                    found[run.id, model, key] = str(read_scores(root, model, key, ids))
    return found


def test_what_is_counted_is_what_is_there(made):
    """The law above is about something."""
    names = {
        str(path.relative_to(made[0])).split("/")[0] for path in Path(made[0]).rglob("*.parquet")
    }
    assert names == {"traces", "scores", "partial", "tokens", "verified", "runs"}
