"""`fail_above`: the job ends as soon as it is certain that too much is quarantined, and publishes nothing."""

import sys
import time
from pathlib import Path

import pytest
import ray
import yaml

from rdpt_ray.cli import app, curate, trace
from rdpt_ray.cli_options import job_app, run_app
from rdpt_ray.config import parse_config
from rdpt_ray.errors import QuarantineError
from rdpt_ray.pipeline.job import Job, open_job
from rdpt_ray.pipeline.stages import ingest_only
from tests.pipeline.conftest import (
    BAD_ROWS,
    QUIET,
    config_tree,
    miniature_rows,
    read_run,
    run,
    table_bytes,
    write_jsonl,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def job(tree) -> Job:
    return open_job(parse_config(tree), "curate")


def too_long(row):
    """The row, with more tokens than either model reads."""
    response = "<think>\n" + "Now 1 plus 1 leaves 2.\n" * 400 + "</think>\n\n2"
    return {**row, "response": response}


def scores(tree, role):
    """The score files of a model."""
    key = job(tree).identities[role].key
    return sorted(Path(tree["store"], "scores", key).glob("*.parquet"))


def published(tree):
    folder = Path(tree["store"], job(tree).folder)
    return [name for name in ("manifest.json", "report") if (folder / name).exists()]


def all_cpus_are_free(within_s=30):
    end = time.monotonic() + within_s
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.slow
def test_too_much_at_ingestion_ends_the_job_before_any_model_is_loaded(ray_cluster, tmp_path):
    good = miniature_rows(0, 24)
    tree = config_tree(tmp_path, rows=[*good, *BAD_ROWS], actors=1)
    count, total = len(BAD_ROWS), len(good) + len(BAD_ROWS)
    with pytest.raises(QuarantineError) as caught:
        run({**tree, "fail_above": "10%"})
    told = str(caught.value)
    assert told.startswith(
        f"{count} of {total} rows read are quarantined ({100 * count / total:.4g} %), and fail_above"
        " allows 10 %: ingest: "
    )
    assert f"For example {tree['input']['path']} row " in told
    assert f"{job(tree).folder}/rows (column reason)" in told
    assert published(tree) == scores(tree, "student") == scores(tree, "teacher") == []
    with pytest.raises(QuarantineError):
        run({**tree, "fail_above": 0.1}, kind="trace")

    allowed = run({**tree, "fail_above": count / total})
    assert allowed.uri.endswith(job(tree).folder), "the limit is no part of what decides the run"
    assert allowed.summary.quarantined == count
    with pytest.raises(QuarantineError, match="/quarantine "):
        run({**tree, "fail_above": "1 %"})
    assert run(tree).to_json()["quarantined"] == count


@pytest.mark.slow
def test_too_much_while_scoring_ends_the_job_before_the_next_model(ray_cluster, tmp_path):
    good = miniature_rows(0, 24)
    rows = [*good, too_long(good[0])]
    tree = config_tree(tmp_path, rows=rows, actors=1)
    with pytest.raises(QuarantineError) as caught:
        run({**tree, "fail_above": "2%"})
    assert f"1 of {len(rows)} rows read are quarantined" in str(caught.value)
    assert "score: context_exceeded 1. For example" in str(caught.value)
    assert f"row {len(good)}, column student: context_exceeded: " in str(caught.value)
    assert published(tree) == scores(tree, "teacher") == []
    assert all_cpus_are_free(), "the pool is gone"

    scored = len(scores(tree, "student"))
    with pytest.raises(QuarantineError):
        run({**tree, "fail_above": "2%"})
    assert len(scores(tree, "student")) == scored, "what an earlier session met is still known"

    done = run({**tree, "fail_above": 1 / len(rows)})
    assert done.summary.quarantined == 1, "both models failed on it, and it counts once"
    fresh = run({**tree, "store": str(tmp_path / "fresh")})
    assert table_bytes(done) == table_bytes(fresh)


@pytest.mark.slow
def test_what_other_runs_met_is_counted_before_anything_is_published(ray_cluster, tmp_path):
    good = miniature_rows(0, 16)
    tree = config_tree(tmp_path, rows=[*good, too_long(good[0])], actors=1)
    run(tree)
    other = {**tree, "thresholds": {"beta": 0.2}, "fail_above": "5%"}
    with pytest.raises(QuarantineError, match="score: context_exceeded 1") as caught:
        run(other)
    assert f"{job(other).folder}/quarantine (column reason)" in str(caught.value)
    assert published(other) == []
    assert published(tree) == ["manifest.json", "report"]


@pytest.mark.slow
def test_errors_of_traces_of_other_runs_do_not_count(ray_cluster, tmp_path):
    good = miniature_rows(0, 4)
    tree = config_tree(tmp_path, rows=[*good, too_long(good[0])], actors=1)
    ingest_only(parse_config(tree), QUIET)  # the part holds the long one, and is scored whole
    write_jsonl(tmp_path / "traces.jsonl", good)
    done = run({**tree, "fail_above": 0})
    assert done.to_json()["scored"]["student"] == len(good)
    assert read_run(done, "quarantine") == []


def test_the_command_ends_with_its_own_exit_code(ray_cluster, tmp_path, monkeypatch, capsys):
    tree = config_tree(tmp_path, rows=[*miniature_rows(0, 8), *BAD_ROWS], actors=1)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(tree))
    for command in (app, job_app(curate), job_app(trace)):
        given = ["curate", str(config)] if command is app else ["--config", str(config)]
        monkeypatch.setattr(sys, "argv", ["rdpt", *given, "--fail-above", "1%"])
        with pytest.raises(SystemExit) as caught:
            run_app(command)
        assert caught.value.code == 3
        assert "QuarantineError: 6 of 14 rows read" in capsys.readouterr().err.replace("\n", " ")
