"""What issue after issue added to the main job, each switched on over real models and a real Ray."""

import math
from collections import Counter, defaultdict

import pytest

from rdpt_ray.method.sensitivity import Sensitivity
from rdpt_ray.pipeline.compare import compare_run
from rdpt_ray.storage.runs import open_run
from tests.pipeline.conftest import MINIATURE, config_tree, miniature_rows, read_run, run

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def tree(ray_cluster, tmp_path_factory):
    """A job over 40 traces of 10 prompts, of two teachers; every case below shares its store."""
    rows = miniature_rows(0, 40)
    for index, row in enumerate(rows):
        row["teacher_name"] = "one" if index % 4 < 2 else "two"
    return config_tree(tmp_path_factory.mktemp("whole"), rows=rows, actors=1)


def changed(tree, **sections):
    return {**tree, **sections}


def by_prompt(done, *tables):
    found = defaultdict(list)
    for table in tables:
        for row in read_run(done, table):
            found[row["prompt_id"]].append(row)
    return found


def test_each_trace_is_read_by_the_teacher_that_wrote_it(tree):
    models = {
        "student": tree["models"]["student"],
        "teachers": {
            "one": {"model": str(MINIATURE / "teacher")},
            "two": {"model": str(MINIATURE / "distilled")},
        },
    }
    both = run(changed(tree, models=models))
    counts = {model.role: model.scored for model in both.facts.models}
    assert counts == {"student": 40, "teacher:one": 20, "teacher:two": 20}
    alone = {
        name: run(
            changed(tree, models={**models, "teacher": models["teachers"][name], "teachers": {}})
        )
        for name in ("one", "two")
    }
    probs = {
        name: {row["trace_id"]: row["teacher_prob"] for row in read_run(done, "provenance")}
        for name, done in alone.items()
    }
    names = {
        row["trace_id"]: row["teacher_name"]
        for table in ("selected", "rejected")
        for row in read_run(both, table)
    }
    for row in read_run(both, "provenance"):
        assert row["teacher_prob"] == probs[names[row["trace_id"]]][row["trace_id"]]
    assert next(iter(alone["one"].facts.models)).reused == 40, "the student has read them"


def test_a_trace_that_no_teacher_reads_is_quarantined_and_named(tree):
    models = {
        "student": tree["models"]["student"],
        "teachers": {"one": {"model": str(MINIATURE / "teacher")}},
    }
    done = run(changed(tree, models=models))
    assert done.summary.quarantine_reasons == Counter({"score: no_teacher": 20})
    row = read_run(done, "quarantine")[0]
    assert row["column"] == "teacher_name"
    assert "teacher_name is 'two', the models are teacher:one" in row["detail"]


def test_a_budget_keeps_the_best_of_all_prompts(tree):
    free = run(tree)
    best = sorted(
        read_run(free, "selected"),
        key=lambda row: (-row["selection_score"], row["num_sentences"], row["trace_id"]),
    )
    rows = run(changed(tree, selection={"budget": {"rows": 4}}))
    kept = {row["trace_id"] for row in read_run(rows, "selected")}
    assert kept == {row["trace_id"] for row in best[:4]}
    assert rows.summary.drop_reasons["over_budget"] == len(best) - 4
    worst = min(row["selection_score"] for row in best)
    bounded = run(changed(tree, selection={"min_score": worst + 1}))
    assert all(row["selection_score"] > worst for row in read_run(bounded, "selected"))
    assert bounded.summary.drop_reasons["below_min_score"] > 0


def test_policies_share_the_prompts_of_a_budget(tree):
    budget = {"rows": 4, "order": "prompts"}
    kept = [
        {row["prompt_id"] for row in read_run(run(changed(tree, selection=selection)), "selected")}
        for selection in (
            {"budget": budget},
            {"budget": budget, "policy": "fewest"},
            {"budget": budget, "seed": 1},
        )
    ]
    assert kept[0] == kept[1] != kept[2]
    assert [len(prompts) for prompts in kept] == [4, 4, 4]


def test_beta_from_the_data_is_told_and_used(tree):
    done = run(changed(tree, thresholds={"beta": "auto"}))
    facts = done.facts
    assert facts.auto_beta is not None
    assert facts.auto_beta.interval[0] <= facts.beta <= facts.auto_beta.interval[1]
    fixed = run(changed(tree, thresholds={"beta": facts.beta}))
    assert read_run(fixed, "provenance") == read_run(done, "provenance")


@pytest.mark.parametrize("policy", ["rsr", "lark", "ifd", "aslec"])
def test_a_policy_gets_the_signals_it_needs(tree, policy):
    done = run(changed(tree, selection={"policy": policy}))
    assert done.summary.selected == 10
    roles = [model.role for model in done.facts.models]
    assert ("unprompted" in roles) is (policy == "ifd")
    for candidates in by_prompt(done, "selected", "rejected").values():
        best = max(row["selection_score"] or -math.inf for row in candidates)
        assert [row["selection_score"] for row in candidates if row["selected"]] == [best]
    assert policy in done.summary.comparison.measured


def test_verified_answers_filter_and_are_told(tree):
    done = run(changed(tree, verify={"method": "exact"}, selection={"filters": {"correct": True}}))
    told = done.facts.verification
    assert told is not None
    assert told.given + told.correct + told.wrong + sum(told.unknown.values()) == 40
    assert all(row["correct"] for row in read_run(done, "selected"))
    assert sum(done.summary.correctness.traces) + done.summary.correctness.ungraded == 40


def test_near_duplicates_and_contaminated_prompts_are_dropped_with_reasons(tree, tmp_path):
    rows = miniature_rows(0, 40)
    copy = {**rows[0], "prompt": rows[0]["prompt"] + " "}
    words = "the quick brown fox jumps over the lazy dog while seven wizards brew tea"
    leaked = {**rows[1], "prompt": f"Solve this: {words} now, please."}
    folder = tmp_path
    own = config_tree(folder, rows=[*rows, copy, leaked], name="dirty", actors=1)
    items = folder / "items.jsonl"
    items.write_text(f'{{"problem": "{words} today"}}\n', encoding="utf-8")
    filters = {
        "duplicates": {"prompts": 0.9, "traces": 1.0},
        "contamination": {"sets": {"riddles": {"path": str(items), "columns": ["problem"]}}},
    }
    # Verified too: verdicts are found by all of a part's traces, dropped ones among them.
    done = run(changed(own, selection={"filters": filters}, verify={"method": "exact"}))
    assert done.summary.drop_reasons["contaminated"] == 1
    assert done.summary.drop_reasons["near_duplicate_prompt"] in (1, 4)
    (row,) = [row for row in read_run(done, "rejected") if row["drop_reason"] == "contaminated"]
    assert words in row["messages"][0]["content"]


def test_a_comparison_of_stored_scores_is_that_of_the_run(tree):
    done = run(tree)
    store, folder, manifest = open_run(done.uri)
    found = compare_run(store, folder, manifest)
    assert found.sensitivity == done.summary.sensitivity
    assert found.comparison.to_dict() == done.summary.comparison.to_dict()
    finer = compare_run(store, folder, manifest, betas=[0.07], policies=["longest"])
    assert isinstance(finer.sensitivity, Sensitivity)
    assert [row.beta for row in finer.sensitivity.rows] == [0.07, 0.1]
    assert finer.comparison.measured == ["longest"]


def test_another_divergence_reads_nothing_again(tree):
    done = run(changed(tree, thresholds={"divergence": "log_ratio_per_char"}))
    assert [model.scored for model in done.facts.models] == [0, 0]
    assert done.facts.beta == 0.05
