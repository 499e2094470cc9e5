"""The main job end to end: real models, real traces, a real (local) Ray."""

import hashlib
import json
import math
import re
import shutil
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rdpt_ray.errors import ConfigError, InputError, ModelError
from tests.pipeline.conftest import (
    BAD_ROWS,
    MINIATURE,
    config_tree,
    miniature_rows,
    read_run,
    run,
    table_bytes,
    write_jsonl,
)

pytestmark = pytest.mark.ray


def stored_scores(run):
    """trace_id -> role -> probabilities, straight from the store's files."""
    store = Path(run.uri).parent.parent
    manifest = json.loads(Path(run.uri, "manifest.json").read_text())
    scores = defaultdict(dict)
    for role, model in manifest["models"].items():
        for row in pq.read_table(store / "scores" / model["key"]).to_pylist():
            assert row["error"] is None
            scores[row["trace_id"]][role] = [
                math.exp(total / count) if count else None
                for total, count in zip(row["sum_logprob"], row["num_tokens"], strict=True)
            ]
    return scores


def test_every_row_ends_in_exactly_one_table(small_run):
    _, good, done = small_run
    counts = {name: len(read_run(done, name)) for name in ("selected", "rejected", "quarantine")}
    assert done.summary.rows_read == len(good) + 1 + len(BAD_ROWS) == sum(counts.values())
    assert counts["quarantine"] == 1 + len(BAD_ROWS) == done.summary.quarantined
    assert counts["selected"] == done.summary.selected == len({row["prompt"] for row in good})
    places = [
        (row["file"], row["row"])
        for name in ("selected", "rejected", "quarantine")
        for row in read_run(done, name)
    ]
    assert sorted(row for _, row in places) == list(range(done.summary.rows_read))


def test_quarantine_names_file_row_column_and_reason(small_run):
    _, good, done = small_run
    rows = {row["row"]: row for row in read_run(done, "quarantine")}
    first_bad = len(good) + 1
    assert rows[len(good)]["reason"] == "duplicate"
    assert "row 3" in rows[len(good)]["detail"]
    reasons = [rows[first_bad + index]["reason"] for index in range(len(BAD_ROWS))]
    assert len(set(reasons)) >= 4, reasons
    for row in rows.values():
        assert row["file"].endswith("traces.jsonl")
        assert row["stage"] == "ingest"
        assert row["reason"]
        assert row["detail"]
    assert rows[first_bad]["column"] == "response"
    assert rows[first_bad + 3]["column"] == "prompt"


def test_selection_equals_an_independent_computation_from_the_score_tables(small_run):
    _, _, done = small_run
    scores = stored_scores(done)
    candidates = defaultdict(list)
    traces = read_run(done, "selected") + read_run(done, "rejected")
    for row in traces:
        of = scores[row["trace_id"]]
        count = sum(t - s > 0.1 for t, s in zip(of["teacher"], of["student"], strict=True))
        assert count == row["num_teacher"] == row["selection_score"]
        candidates[row["prompt_id"]].append((-count, len(row["sentences"]), row["trace_id"]))
    expected = {min(group)[2] for group in candidates.values()}
    assert {row["trace_id"] for row in read_run(done, "selected")} == expected
    for row in traces:
        place = sorted(candidates[row["prompt_id"]]).index(
            next(c for c in candidates[row["prompt_id"]] if c[2] == row["trace_id"])
        )
        assert row["rank"] == place + 1
        assert row["drop_reason"] == (None if place == 0 else "outranked")


def test_provenance_follows_the_stored_scores(small_run):
    _, _, done = small_run
    scores = stored_scores(done)
    rows = read_run(done, "provenance")
    assert len(rows) == done.summary.selected + done.summary.rejected
    seen = set()
    for row in rows:
        of = scores[row["trace_id"]]
        for name, t, s in zip(row["provenance"], of["teacher"], of["student"], strict=True):
            expected = "TEACHER" if t - s > 0.1 else "STUDENT" if s - t > 0.1 else "COMMON"
            assert name == expected
            seen.add(name)
    assert {"TEACHER", "COMMON"} <= seen


@pytest.mark.slow
def test_another_threshold_or_policy_scores_nothing(small_run):
    tree, good, _ = small_run
    for change in ({"thresholds": {"beta": 0.15}}, {"selection": {"policy": "longest"}}):
        done = run({**tree, **change})
        assert done.to_json()["scored"] == {"teacher": 0, "student": 0}
        assert done.to_json()["reused"] == {"teacher": len(good), "student": len(good)}


def test_a_finished_run_is_found_again(small_run):
    tree, good, done = small_run
    again = run(tree)
    assert again.uri == done.uri
    assert again.to_json() == {
        **done.to_json(),
        "scored": {"teacher": 0, "student": 0},
        "reused": {"teacher": len(good), "student": len(good)},
    }


@pytest.mark.slow
def test_tables_are_byte_identical_whatever_the_pool_and_the_input_order(small_run, tmp_path):
    tree, good, done = small_run
    single = {**tree, "store": str(tmp_path / "store")}
    single["models"] = {
        role: {**model, "pool": {"max_actors": 1}} for role, model in tree["models"].items()
    }
    assert table_bytes(run(single)) == table_bytes(done)
    reordered = config_tree(tmp_path, rows=good[::-1])
    shuffled = run(reordered)
    assert {row["trace_id"] for row in read_run(shuffled, "selected")} == {
        row["trace_id"] for row in read_run(done, "selected")
    }


@pytest.mark.slow
def test_grown_input_scores_only_what_is_new(ray_cluster, tmp_path):
    rows = miniature_rows(0, 44)
    tree = config_tree(tmp_path, rows=rows[:30])
    first = run(tree)
    write_jsonl(tmp_path / "traces.jsonl", rows)
    second = run(tree)
    assert second.uri != first.uri
    assert second.to_json()["scored"] == {"teacher": len(rows) - 30, "student": len(rows) - 30}
    assert second.to_json()["reused"] == {"teacher": 30, "student": 30}
    fresh = run({**tree, "store": str(tmp_path / "fresh")})
    assert table_bytes(fresh) == table_bytes(second)


def test_an_interrupted_run_continues(small_run, tmp_path):
    """Whatever a killed run left behind, in any combination, the rerun's tables are the same."""
    tree, _, done = small_run
    store = tmp_path / "store"
    shutil.copytree(Path(done.uri).parent.parent, store)
    run_folder = store / "runs" / Path(done.uri).name
    (run_folder / "manifest.json").unlink()
    shutil.rmtree(run_folder / "selected")
    teacher = next(path for path in (store / "scores").iterdir() if path.name.startswith("teacher"))
    lost = sorted(teacher.iterdir())[:2]
    num_lost = sum(pq.read_metadata(path).num_rows for path in lost)
    for path in lost:
        path.unlink()
    (teacher / ".half.parquet.1.tmp").write_bytes(b"PAR1 and no more")
    again = run({**tree, "store": str(store)})
    assert again.to_json()["scored"] == {"teacher": num_lost, "student": 0}
    assert table_bytes(again) == table_bytes(done)


@pytest.mark.slow
def test_a_trace_that_a_model_cannot_score_is_quarantined_alone(ray_cluster, tmp_path):
    rows = miniature_rows(0, 8)
    long = {**rows[0], "response": "<think>\n" + "Now 1 plus 1 leaves 2.\n" * 400 + "</think>\n\n2"}
    done = run(config_tree(tmp_path, rows=[*rows, long]))
    (fault,) = read_run(done, "quarantine")
    assert (fault["stage"], fault["reason"], fault["row"]) == (
        "score",
        "context_exceeded",
        len(rows),
    )
    assert fault["column"] == "student"
    assert "tokens" in fault["detail"]
    assert done.summary.selected + done.summary.rejected == len(rows)


@pytest.mark.slow
def test_a_model_that_gives_nan_selects_nothing_and_says_why(ray_cluster, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(MINIATURE / "teacher", broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * math.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    tree = config_tree(tmp_path, rows=miniature_rows(0, 8))
    tree["models"]["teacher"]["model"] = str(broken)
    done = run(tree)
    assert (done.summary.selected, done.summary.rejected) == (0, 0)
    assert {row["reason"] for row in read_run(done, "quarantine")} == {"nonfinite_score"}


def test_filters_reject_with_their_name(small_run):
    tree, _, _ = small_run
    done = run({**tree, "selection": {"filters": {"max_chars": 150}}})
    assert done.summary.drop_reasons["filter: max_chars"] > 0
    for row in read_run(done, "rejected"):
        if row["drop_reason"] == "filter: max_chars":
            assert len(row["response"]) > 150
            assert row["rank"] is None


def test_trace_is_four_way_and_keeps_every_trace(small_run):
    tree, good, _ = small_run
    done = run(tree, kind="trace")
    assert done.summary.selected == len(good)
    assert done.summary.rejected == 0
    assert done.to_json()["reused"]["teacher"] == len(good)
    assert done.to_json()["scored"]["distilled"] == len(good)
    names = {name for row in read_run(done, "provenance") for name in row["provenance"]}
    assert "COMMON" not in names
    assert {"TEACHER", "SHARED"} <= names
    scores = stored_scores(done)
    for row in read_run(done, "provenance"):
        of = scores[row["trace_id"]]
        for name, t, s, d in zip(
            row["provenance"], of["teacher"], of["student"], of["distilled"], strict=True
        ):
            if max(abs(s - d), abs(t - d), abs(t - s)) <= 0.1:
                assert name == "SHARED"
            elif abs(t - s) > 0.1:
                assert name == ("TEACHER" if t > s else "STUDENT")
            else:
                assert name == "BOOSTED"


def test_manifest_tells_enough_to_make_the_run_again(small_run):
    _, _, done = small_run
    manifest = json.loads(Path(done.uri, "manifest.json").read_text())
    thresholds = {"divergence": "prob_difference", "alpha": 0.1, "beta": 0.1}
    assert manifest["config"]["thresholds"] == thresholds
    assert manifest["inputs"][0]["uri"].endswith("traces.jsonl")
    assert manifest["inputs"][0]["fingerprint"]
    for role in ("teacher", "student"):
        assert len(manifest["models"][role]["weights"]) == 64
        assert manifest["models"][role]["key"]
    assert manifest["splitter"]
    assert manifest["counts"]["rows_read"] == done.summary.rows_read
    assert Path(done.report).is_file()
    assert re.fullmatch("[0-9a-f]{40}[+]?", manifest["commit"])
    (session,) = manifest["sessions"]
    assert session["ended"] == "finished"
    assert {"ingest", "score student", "score teacher", "select"} <= session["timings"].keys()
    assert session["counts"]["teacher"]["traces"] == done.to_json()["scored"]["teacher"]
    for role in ("teacher", "student"):
        (kind,) = manifest["numerics"][role]
        assert (kind["dtype"], kind["num_threads"]) == ("float32", "1")
    tables = table_bytes(done)
    assert manifest["files"].keys() == tables.keys()
    for name, content in tables.items():
        assert manifest["files"][name]["sha256"] == hashlib.sha256(content).hexdigest()


def test_wrong_jobs_end_before_anything_is_scored(ray_cluster, tmp_path):
    tree = config_tree(tmp_path, rows=miniature_rows(0, 4))
    without = {**tree, "models": {r: tree["models"][r] for r in ("teacher", "student")}}
    with pytest.raises(ConfigError, match=r"models\.distilled"):
        run(without, kind="trace")
    with pytest.raises(InputError, match="does not exist"):
        run({**tree, "input": {"path": str(tmp_path / "nothing.jsonl")}})
    lost = {**tree["models"], "teacher": {"model": str(tmp_path / "nowhere")}}
    with pytest.raises(ModelError, match="nowhere"):
        run({**tree, "models": lost})
    assert not (tmp_path / "store").exists()


def test_an_input_without_a_usable_row_is_an_error_that_names_one(ray_cluster, tmp_path):
    tree = config_tree(tmp_path, rows=BAD_ROWS[:2])
    with pytest.raises(
        InputError, match=r"none of its 2 rows .*traces\.jsonl row [01], column response"
    ):
        run(tree)


@pytest.mark.slow
def test_a_template_file_is_read_where_the_job_starts(small_run, tmp_path, monkeypatch):
    """Workers stand in another folder than the command, so a relative path means nothing to them."""
    _, good, done = small_run
    own = (MINIATURE / "student" / "chat_template.jinja").read_text()
    (tmp_path / "own.jinja").write_text("Note. " + own)
    monkeypatch.chdir(tmp_path)
    tree = config_tree(tmp_path, rows=good[:8])
    tree["models"]["student"]["chat_template"] = "own.jinja"
    changed = run(tree)
    assert changed.to_json()["scored"]["student"] == 8
    assert changed.summary.quarantined == 0
    before = {trace: of["student"] for trace, of in stored_scores(done).items()}
    after = {trace: of["student"] for trace, of in stored_scores(changed).items()}
    assert all(after[trace] != before[trace] for trace in after)


def test_two_servers_do_not_pass_for_one_model(ray_cluster, tmp_path):
    tree = config_tree(tmp_path, rows=miniature_rows(0, 4))
    for role, port in (("teacher", 1), ("student", 2)):
        tree["models"][role] = {
            "model": str(MINIATURE / "teacher"),
            "engine": "openai",
            "endpoint": {"url": f"http://127.0.0.1:{port}/v1", "model": "default"},
        }
    with pytest.raises(ConfigError, match=r"models\.student and models\.teacher have the same"):
        run(tree)
    assert not (tmp_path / "store").exists()
