"""The whole experiment, small, on the miniatures; and what a config must have for it."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rdpt_ray.config import load_config
from rdpt_ray.errors import ConfigError
from rdpt_ray.pipeline.loop import loop
from rdpt_ray.pipeline.loop_plan import check_apart, plan_loop
from rdpt_ray.pipeline.selected_figures import selected_figures
from rdpt_ray.publish.loop_facts import LoopFacts
from tests.pipeline.conftest import (
    MINIATURE,
    QUIET,
    REPOSITORY,
    read_run,
)


@pytest.mark.parametrize("section", ["loop", "sample", "distill", "evaluate", "verify"])
def test_a_missing_section_is_named(section, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    config = load_config(MINIATURE / "loop.yaml")
    with pytest.raises(ConfigError, match=f"missing: {section}$"):
        plan_loop(config.model_copy(update={section: None}))


def test_what_is_curated_must_be_what_is_sampled():
    config = load_config(MINIATURE / "loop.yaml", ["input.path=elsewhere"])
    with pytest.raises(
        ConfigError, match=r"input\.path: expected .*, out/loop/candidates, got else"
    ):
        plan_loop(config)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["loop.to=s3://bucket/loop"], "loop.to: s3://bucket/loop: expected a folder of a file"),
        (["evaluate.engine=null"], "models.teacher: the engine precomputed does not sample"),
        (["sample.role=distilled", "models.student.engine=openai"], "models.student: "),
        (["selection.prune=true"], "selection.prune: policies are compared over all candidates"),
        (["publish.to=out/dataset"], "publish.to: a loop makes a run for each policy"),
        (["distill.workers.num_gpus=2"], "set num_gpus: 1 and num_workers: 2"),
        (["distill.trainer={max_gradnorm: 1}"], "did you mean 'max_grad_norm'"),
        (["loop.policies=[lark, random]", "models.student.engine=vllm"], "lark needs brier"),
    ],
)
def test_what_would_fail_after_hours_is_told_at_once(overrides, said, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    if "models.student.engine=openai" in overrides:
        overrides = [*overrides, "models.student.endpoint={url: 'http://here/v1'}"]
    with pytest.raises(ConfigError, match=re.escape(said)):
        plan_loop(load_config(MINIATURE / "loop.yaml", overrides))


def test_the_student_measures_what_any_of_the_policies_needs(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    asked = ["loop.policies=[teacher_count, rsr, ifd]"]
    planned = plan_loop(load_config(MINIATURE / "loop.yaml", asked))
    assert planned.config.models.student.signals == ["rank", "unprompted"]
    plain = load_config(MINIATURE / "loop.yaml")
    assert plan_loop(plain).config == plain


def test_students_are_not_tested_on_what_they_are_trained_on(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    check_apart(plan_loop(load_config(MINIATURE / "loop.yaml")))
    same = ["evaluate.prompts={path: examples/miniature/prompts.parquet, limit: 20}"]
    with pytest.raises(ConfigError, match=r"20 of 20 prompts are among sample\.prompts"):
        check_apart(plan_loop(load_config(MINIATURE / "loop.yaml", same)))


@pytest.mark.ray
def test_figures_of_a_selection_are_those_of_its_rows(small_run):
    _, _, done = small_run
    figures = selected_figures(done.uri)
    rows = read_run(done, "selected")
    assert figures.traces == len(rows) == done.summary.selected
    assert figures.sentences == sum(row["num_sentences"] for row in rows)
    assert figures.teacher == sum(row["num_teacher"] for row in rows)
    assert figures.tokens > figures.sentences


def small_loop(folder):
    """The config of `make loop`, cut down, with everything below one folder."""
    there = folder / "loop"
    overrides = [
        "sample.prompts.limit=40",
        "sample.num_candidates=4",
        f"sample.to={there}/candidates",
        f"input.path={there}/candidates",
        f"models.teacher.recorded.path={there}/candidates",
        f"store={there}/store",
        "distill.epochs=1",
        f"distill.to={there}/models",
        "evaluate.prompts.limit=20",
        f"evaluate.to={there}/responses",
        f"loop.to={there}",
        "loop.num_seeds=2",
        "loop.policies=[teacher_count, length_matched]",
    ]
    return load_config(MINIATURE / "loop.yaml", overrides)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_small_loop_from_prompts_to_a_page(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    config = small_loop(tmp_path)
    done = loop(config, QUIET)
    facts = done.facts
    assert [each.policy for each in facts.policies] == ["teacher_count", "length_matched"]
    most, matched = facts.policies
    assert most.teacher > matched.teacher > 0
    assert abs(most.tokens - matched.tokens) < 0.1 * most.tokens, "equal tokens but for the last"
    for policy in facts.policies:
        assert [seed.seed for seed in policy.seeds] == [0, 1]
        assert all(seed.accuracy.samples == 20 for seed in policy.seeds)
        assert [bool(seed.classes) for seed in policy.seeds] == [True, False], "one is traced"
    assert facts.teacher.accuracy > facts.student.accuracy

    page = Path(done.report).read_text(encoding="utf-8")
    assert "length_matched" in page
    told = json.loads(Path(tmp_path, "loop", "loop.json").read_text())
    assert LoopFacts.from_dict(told["facts"]) == facts
    assert told["pairs"][0]["difference"]["spread"]["seeds"] == 2

    models = {path: path.stat().st_mtime_ns for path in Path(tmp_path).rglob("model.safetensors")}
    assert len(models) == 4
    trained = [pq.read_table(path) for path in Path(tmp_path).rglob("responses/*/*.parquet")]
    again = loop(config, QUIET)
    assert again.facts == facts
    assert {path: path.stat().st_mtime_ns for path in models} == models
    assert trained == [
        pq.read_table(path) for path in Path(tmp_path).rglob("responses/*/*.parquet")
    ]
