"""Another splitter, the same tokens: nothing is scored again, and the bytes are those of a fresh store."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.pipeline.conftest import config_tree, miniature_rows, read_run, run, table_bytes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

NOTHING = {"teacher": 0, "student": 0}


def keeping(tree, unit="sentence", keep=True):
    """The same job with token scores kept, cut into other units."""
    models = {
        role: {**model, "keep_token_logprobs": keep} for role, model in tree["models"].items()
    }
    return {**tree, "models": models, "split": {"unit": unit}}


def token_files(store, role):
    return sorted(store.glob(f"tokens/{role}-*/small/*/*.parquet"))


@pytest.fixture(scope="module")
def kept(ray_cluster, tmp_path_factory):
    """A finished run by sentences that kept its tokens; its last trace is too long for the models."""
    folder = tmp_path_factory.mktemp("kept")
    rows = miniature_rows(0, 24)
    for row in rows[::3]:  # so that no two splitters cut all of it alike
        row["response"] = (
            row["response"].replace(".\nOnly", " (e.g. four). Only").replace(" plus ", "\nplus ")
        )
    rows.append({**rows[0], "response": "<think>\n" + "Now 1 plus 1.\n" * 600 + "</think>\n\n2"})
    tree = config_tree(folder, rows=rows, actors=1)
    done = run(keeping(tree))
    assert done.to_json()["scored"] == {"teacher": len(rows), "student": len(rows)}
    assert done.summary.quarantined == 1
    return tree, rows, done


@pytest.fixture
def copied(kept, tmp_path):
    """The same, in a store that a test may damage."""
    tree, rows, done = kept
    store = tmp_path / "store"
    shutil.copytree(tree["store"], store)
    return {**tree, "store": str(store)}, rows, done, store


def test_another_splitter_scores_nothing_and_gives_the_bytes_of_a_fresh_store(copied, tmp_path):
    tree, rows, done, _ = copied
    again = run(keeping(tree, "paragraph"))
    assert again.to_json()["scored"] == NOTHING
    assert again.to_json()["reused"] == {"teacher": len(rows), "student": len(rows)}
    fresh = run({**keeping(tree, "paragraph", keep=False), "store": str(tmp_path / "fresh")})
    assert fresh.to_json()["scored"]["teacher"] == len(rows)
    assert table_bytes(again) == table_bytes(fresh) != table_bytes(done)
    (fault,) = read_run(again, "quarantine")
    assert fault["reason"] == "context_exceeded"
    assert not list((tmp_path / "fresh").glob("tokens/*"))


def test_tokens_add_up_to_the_stored_scores(kept):
    tree, _, _ = kept
    store = Path(tree["store"])
    for role in ("teacher", "student"):
        tokens = {
            row["trace_id"]: row
            for file in token_files(store, role)
            for row in pq.read_table(file).to_pylist()
        }
        (scores,) = store.glob(f"scores/{role}-*")
        for row in pq.read_table(scores).to_pylist():
            kept_row = tokens[row["trace_id"]]
            assert kept_row["error"] == row["error"]
            if row["error"] is None:
                assert len(kept_row["logprobs"]) == sum(row["num_tokens"]) == len(kept_row["ends"])
                assert sum(kept_row["logprobs"]) == pytest.approx(sum(row["sum_logprob"]), abs=1e-3)
                assert kept_row["num_prompt_tokens"] == row["num_prompt_tokens"]


def test_stored_tokens_serve_a_job_that_keeps_none(copied):
    tree, _, done, _ = copied
    assert run(keeping(tree, "line", keep=False)).to_json()["scored"] == NOTHING
    assert run(keeping(tree, "line")).to_json()["scored"] == NOTHING
    assert table_bytes(run(keeping(tree))) == table_bytes(done)


def test_grown_input_under_another_splitter_scores_only_what_is_new(copied, tmp_path):
    tree, rows, _, _ = copied
    grown = config_tree(tmp_path, rows=[*rows, *miniature_rows(24, 12)], actors=1)
    num_new = len(miniature_rows(24, 12))
    job = keeping({**grown, "store": tree["store"]}, "line")
    done = run(job)
    assert done.to_json()["scored"] == {"teacher": num_new, "student": num_new}
    assert done.to_json()["reused"] == {"teacher": len(rows), "student": len(rows)}
    fresh = run({**job, "store": str(tmp_path / "fresh")})
    assert table_bytes(done) == table_bytes(fresh)
    back = run(keeping({**grown, "store": tree["store"]}))
    assert back.to_json()["scored"] == NOTHING


def test_scores_without_tokens_are_scored_once_more_when_tokens_are_to_be_kept(copied):
    tree, rows, done, store = copied
    shutil.rmtree(store / "tokens")
    (store / "runs" / Path(done.uri).name / "manifest.json").unlink()
    without = run(keeping(tree, keep=False))
    assert without.to_json()["scored"] == NOTHING
    shutil.rmtree(store / "runs")
    again = run(keeping(tree))
    assert again.to_json()["scored"] == {"teacher": len(rows), "student": len(rows)}
    assert table_bytes(again) == table_bytes(done)
    assert run(keeping(tree, "line")).to_json()["scored"] == NOTHING


@pytest.mark.parametrize("is_damaged", [False, True], ids=["lost", "damaged"])
def test_a_lost_token_file_costs_its_own_traces_only(copied, is_damaged):
    """A damaged one is met by the run that looks for tokens, though it belongs to another run's part."""
    tree, rows, _, store = copied
    lost = max(token_files(store, "teacher"), key=lambda file: pq.read_metadata(file).num_rows)
    num_lost = pq.read_metadata(lost).num_rows
    assert 0 < num_lost < len(rows)
    content = lost.read_bytes()
    lost.unlink()
    if is_damaged:
        lost.write_bytes(content[:-20])
    done = run(keeping(tree, "line"))
    assert done.to_json()["scored"] == {"teacher": num_lost, "student": 0}


def test_a_kill_between_tokens_and_scores_costs_no_model(copied):
    """Tokens are written first, so a part with tokens and no scores needs none."""
    tree, _, done, store = copied
    shutil.rmtree(store / "runs")
    (scores,) = store.glob("scores/student-*")
    before = {path.name: path.read_bytes() for path in scores.iterdir()}
    shutil.rmtree(scores)
    again = run(keeping(tree))
    assert again.to_json()["scored"] == NOTHING
    assert table_bytes(again) == table_bytes(done)
    assert {path.name: path.read_bytes() for path in scores.iterdir()} == before
