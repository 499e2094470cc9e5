"""The check of half precision, on the real miniatures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.method.sentences import splitter_id
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.precision import Check, check_precision, half_roles
from rdpt_ray.pipeline.score import Part
from rdpt_ray.pipeline.session import at_work
from rdpt_ray.scoring.identity import identify
from rdpt_ray.storage.files import open_root
from tests.pipeline.conftest import MINIATURE, QUIET, config_tree, miniature_rows, run

pytestmark = pytest.mark.ray
SAMPLE = 10


def half(tree, **changes):
    """The job with a teacher in bfloat16."""
    models = {role: dict(model) for role, model in tree["models"].items()}
    models["teacher"]["dtype"] = "bfloat16"
    return {**tree, "models": models, "report": {"precision_traces": SAMPLE}, **changes}


def probs(store, model, key, count=SAMPLE):
    """Each sentence's probability in the sample, from the files of the store."""
    for folder in (store / "scores").iterdir():
        files = {path.stem: path for path in folder.iterdir()}
        if folder.name.startswith(model) and key in files:
            rows = pq.read_table(files[key]).slice(0, count).to_pylist()
            found = [
                np.exp(total / tokens)
                for row in rows
                for total, tokens in zip(row["sum_logprob"], row["num_tokens"], strict=True)
            ]
            yield np.array(found)


def only(values):
    (value,) = values
    return value


@pytest.fixture(scope="module")
def checked(ray_cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    tree = half(config_tree(folder, rows=miniature_rows(0, 60), actors=1))
    return tree, Path(tree["store"]), run(tree)


@pytest.mark.slow
def test_the_flips_are_those_of_the_stored_scores(checked):
    tree, store, done = checked
    facts = done.facts.precision
    assert (facts.roles, facts.traces, facts.why) == (("teacher",), SAMPLE, None)
    key = min(path.stem for path in (store / "traces" / "small").rglob("*.parquet"))
    (sample,) = [path.stem for path in (store / "traces" / "small.precision").rglob("*.parquet")]
    in_half = only(probs(store, "teacher", key))
    exact = only(probs(store, "teacher", sample))
    student = only(probs(store, "student", key))
    assert facts.sentences == len(in_half) == len(exact) == len(student) > SAMPLE
    assert facts.max_prob_change == pytest.approx(np.abs(in_half - exact).max(), abs=1e-6)
    assert facts.max_prob_change > 0

    widest = np.argmax(np.abs(in_half - exact))
    between = float((in_half[widest] + exact[widest]) / 2 - student[widest])
    beta = abs(between)
    again = run({**tree, "thresholds": {"beta": beta}})
    assert {model.role: model.scored for model in again.facts.models} == {
        "student": 0,
        "teacher": 0,
    }
    differs = (in_half - student > beta) != (exact - student > beta)
    differs |= (student - in_half > beta) != (student - exact > beta)
    assert again.facts.precision.flipped == np.count_nonzero(differs) >= 1
    report = Path(again.report).read_text(encoding="utf-8")
    assert f"of {facts.sentences:,} sentences ({SAMPLE} traces) change class" in report


@pytest.mark.slow
def test_it_can_be_switched_off(checked):
    tree, _, _ = checked
    assert run({**tree, "report": {"precision_traces": 0}}).facts.precision is None


@pytest.mark.slow
def test_a_reference_that_does_not_load_costs_the_figure_and_not_the_run(checked, tmp_path):
    tree, store, _ = checked
    config = parse_config({**tree, "thresholds": {"beta": 0.2}})
    teacher = config.models.teacher
    identity = identify(
        teacher.model,
        None,
        dtype="bfloat16",
        engine="x",
        chat_template=None,
        chat_template_kwargs={},
    )
    gone = replace(identity, location=str(tmp_path / "gone"))
    key = min(path.stem for path in (store / "traces" / "small").rglob("*.parquet"))
    bucket = only(
        int(path.parent.name.removeprefix("bucket="))
        for path in (store / "traces" / "small").rglob(f"{key}.parquet")
    )
    root = open_root(str(store))
    scores = root.read_table(
        only(
            f"scores/{path.parent.name}/{key}.parquet"
            for path in (store / "scores").rglob(f"{key}.parquet")
            if path.parent.name.startswith("teacher")
        )
    )
    root.write_table(f"scores/{gone.key}/{key}.parquet", scores)
    with at_work(root, "small", "a", QUIET, drain_s=1) as session:
        check = Check(
            root,
            "small",
            {"teacher": teacher},
            {"teacher": gone},
            config.thresholds,
            splitter_id(),
            SAMPLE,
            session.file,
        )
        facts = check_precision([Part(bucket, key, SAMPLE)], check, QUIET)
    assert (facts.traces, facts.sentences, facts.flipped) == (0, 0, 0)
    assert "gone" in facts.why


@pytest.mark.parametrize(
    ("engine", "dtype", "checked_for"),
    [("transformers", "bfloat16", True), ("transformers", "float32", False)],
)
def test_only_what_computes_here_in_less_than_float32_is_checked(engine, dtype, checked_for):
    model = ModelConfig(model=str(MINIATURE / "teacher"), engine=engine, dtype=dtype)
    assert half_roles({"teacher": model}) == (["teacher"] if checked_for else [])
