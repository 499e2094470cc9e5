"""`rdpt plan`: what is counted is what is there, what is not there is said, and nothing is written."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from rdpt_ray.config import load_config, parse_config
from rdpt_ray.errors import ConfigError, InputError
from rdpt_ray.pipeline.plan import plan_job
from rdpt_ray.pipeline.plan_calibrate import calibrate_plan, calibrated_text
from rdpt_ray.pipeline.plan_text import plan_json, print_plan
from rdpt_ray.scoring.loading import encoder_of, identity_of
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import list_inputs
from tests.pipeline.conftest import (
    BAD_ROWS,
    MINIATURE,
    config_tree,
    miniature_rows,
    read_run,
    write_jsonl,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def planned(tree, **plan):
    return plan_job(parse_config(tree | {"plan": plan}))[0]


def role(plan, name):
    return next(each for each in plan.roles if each.role == name)


def printed(plan):
    file = io.StringIO()
    print_plan(Console(width=100, file=file), plan)
    return file.getvalue()


def flat(text):
    return " ".join(text.split())


def exact(total):
    assert total.low == total.high == total.value
    return total.value


def tokens_by_hand(config, name):
    """Tokens of prompts and responses, trace by trace."""
    encoder = encoder_of(identity_of(getattr(config.models, name)))
    prompts = responses = 0
    for file in list_inputs(config.input):
        for table in read_file(file, config.input, split=lambda text: [(0, len(text))]):
            for row in table.to_pylist():
                sequence = encoder.encode(
                    row["messages"], row["response"], row["answer_start"]
                ).sequence
                prompts += len(sequence.prompt_ids)
                responses += len(sequence.response_ids)
    return prompts, responses


@pytest.fixture
def good():
    return miniature_rows(0, 60)


def test_a_small_input_is_counted(tmp_path, good):
    tree = config_tree(tmp_path, rows=[*good, good[3], *BAD_ROWS])
    plan = planned(tree)
    assert plan.input.source == "all"
    assert exact(plan.input.rows) == len(good) + 1 + len(BAD_ROWS)
    assert exact(plan.input.quarantined) == 1 + len(BAD_ROWS)
    assert exact(plan.input.traces) == len(good)
    assert exact(plan.input.prompts) == len({row["prompt"] for row in good})
    assert not Path(tree["store"]).exists()


def test_tokens_are_those_of_each_models_tokenizer(tmp_path, good):
    tree = config_tree(tmp_path, rows=good)
    plan = planned(tree)
    for name in ("student", "teacher"):
        tokens = role(plan, name).tokens
        found = (exact(tokens.prompt), exact(tokens.response))
        assert found == tokens_by_hand(parse_config(tree), name)
    reader = plan_job(parse_config(tree))[1].models["student"].size.reader
    tokens = role(plan, "student").tokens
    assert tokens.body.value == 2 * reader.body_weights * tokens.num_tokens
    assert tokens.head.value == 2 * reader.hidden_size * reader.vocabulary * tokens.response.value


def test_a_sample_tells_of_the_rest(tmp_path):
    rows = miniature_rows(0, 600)
    tree = config_tree(tmp_path, rows=rows)
    plan = planned(tree, sample_blocks=8, sample_rows=6, confidence=0.99)
    assert plan.input.source == "sample"
    assert plan.input.num_seen < 100
    truth = planned(tree)
    for part in ("rows", "traces"):
        found, expected = getattr(plan.input, part), getattr(truth.input, part).value
        assert found.low <= expected <= found.high
    for name in ("student", "teacher"):
        found, expected = role(plan, name).tokens, role(truth, name).tokens
        assert found.response.low <= expected.response.value <= found.response.high
        assert found.flops == pytest.approx(expected.flops, rel=0.1)
    assert "+-" in printed(plan)


def test_each_teacher_reads_its_own(tmp_path, good):
    rows = [row | {"teacher_name": "ab"[n % 3 == 0]} for n, row in enumerate(good)]
    tree = config_tree(tmp_path, rows=rows)
    models = tree["models"]
    models["teachers"] = {"b": models.pop("teacher")}
    models["teacher"] = models["teachers"]["b"]
    plan = planned(tree)
    counts = {each.role: exact(each.tokens.traces) for each in plan.roles}
    assert counts == {
        "student": len(rows),
        "teacher": sum(row["teacher_name"] == "a" for row in rows),
        "teacher:b": sum(row["teacher_name"] == "b" for row in rows),
    }


def test_what_cannot_be_learnt_is_said_and_the_rest_is_planned(tmp_path, good):
    tree = config_tree(tmp_path, rows=good)
    tree["models"]["teacher"] = {"model": "no-such/model", "pool": {"num_gpus": 1}}
    plan = planned(tree)
    teacher = role(plan, "teacher")
    assert (teacher.tokens.flops, teacher.cost, teacher.remaining) == (0, None, None)
    assert any("no-such/model" in note for note in teacher.unknown)
    num_chars = sum(len(row["response"]) for row in good)
    assert teacher.tokens.response.value == pytest.approx(num_chars / 3, rel=0.1)
    assert role(plan, "student").tokens.flops > 0
    text = flat(printed(plan))
    assert "3 characters are taken for a token" in text
    assert "what the store has cannot be told" in text


def test_another_folder_stands_in_for_a_model(tmp_path, good):
    tree = config_tree(tmp_path, rows=good)
    own = planned(tree)
    tree["models"]["teacher"] = {"model": "no-such/model"}
    plan = planned(tree, configs={"teacher": str(MINIATURE / "teacher")})
    assert role(plan, "teacher").tokens == role(own, "teacher").tokens
    shape = planned(
        tree, configs={"teacher": str(REPOSITORY / "examples" / "architectures" / "QwQ-32B")}
    )
    assert role(shape, "teacher").tokens.flops > 1000 * role(own, "teacher").tokens.flops
    with pytest.raises(ConfigError, match=r"plan\.configs: no role teachr \(there are: student, t"):
        planned(tree, configs={"teachr": "x"})


@pytest.mark.parametrize(
    ("recipe", "hours"),
    [  # docs/recipes.md, by hand: the student's, and the teacher's without pruning
        ("deepseek-r1-qwen3-4b", (40, 355)),
        ("qwq-32b-qwen3-8b", (231, 876)),
    ],
)
def test_a_recipe_costs_what_was_reckoned_by_hand(recipe, hours, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    gone = ["input.path=/no/such/place", "input.format=parquet", "selection.prune=false"]
    prices = ["plan.price_per_hour={H100: 2.5, H200: 2.5}"]
    plan = plan_job(load_config(f"examples/{recipe}.yaml", gone + prices))[0]
    assert plan.input.source == "assumed"
    costs = [role(plan, name).cost for name in ("student", "teacher")]
    assert [cost.hours for cost in costs] == pytest.approx(hours, rel=0.03)
    assert plan.price == pytest.approx(2.5 * sum(hours), rel=0.03)
    assert all(each.pool.fits for each in plan.roles)
    assert "/no/such/place does not exist" in flat(printed(plan))


def test_an_input_that_is_not_there_is_an_error_unless_something_is_assumed(tmp_path):
    tree = config_tree(tmp_path)
    with pytest.raises(
        InputError, match=r"does not exist\n\(to plan without it, say in plan\.assume"
    ):
        planned(tree)
    plan = planned(tree, assume={"prompts": 10, "candidates": 4, "response_tokens": 100})
    assert exact(plan.input.traces) == 40
    assert exact(role(plan, "student").tokens.response) == 4000


def test_it_fits_a_terminal_and_is_plain_json(tmp_path, good):
    tree = config_tree(tmp_path, rows=good)
    for model in tree["models"].values():
        model["pool"] = {"num_gpus": 1, "accelerator_type": "A100-80G"}
    plan = planned(tree, price_per_hour={"A100-80G": 2})
    assert all(len(line) <= 100 for line in printed(plan).splitlines())
    found = json.loads(json.dumps(plan_json(plan)))
    assert found["models"]["teacher"]["pool"]["accelerator"] == "A100-80G"
    assert set(found["traces"].values()) == {len(good)}
    assert found["price"] == pytest.approx(2 * found["accelerator_hours"])


@pytest.mark.ray
def test_what_the_store_holds_is_exact(small_run):
    tree, good, run = small_run
    before = sorted(Path(tree["store"]).rglob("*"))
    plan = planned(tree, sample_blocks=1)
    assert sorted(Path(tree["store"]).rglob("*")) == before
    assert plan.run == run.uri
    assert plan.input.source == "store"
    assert exact(plan.input.rows) == run.summary.rows_read
    assert exact(plan.input.quarantined) == run.summary.quarantined
    assert exact(plan.input.traces) == len(good)
    assert exact(plan.input.prompts) == run.summary.num_prompts
    assert {each.role: each.share for each in plan.roles} == {"student": 0, "teacher": 0}
    assert all(each.outlook.parts_to_read == 0 for each in plan.roles)


@pytest.mark.ray
def test_of_a_grown_input_only_what_is_new_is_left(small_run, tmp_path):
    tree, good, _ = small_run
    more = miniature_rows(100, 20)
    path = write_jsonl(tmp_path / "grown.jsonl", [*good, *more])
    plan = planned(tree | {"input": {"path": path}})
    share = len(more) / (len(good) + len(more))
    assert [each.remaining.share for each in plan.roles] == pytest.approx([share, share])
    prune = {"prune": True}
    pruned = planned(tree | {"input": {"path": path}, "selection": prune})
    teacher = role(pruned, "teacher")
    assert 0.1 < teacher.saving.share < 0.5
    assert teacher.share == pytest.approx(share * (1 - teacher.saving.share))
    assert read_run(small_run[2], "selected")


@pytest.mark.ray
def test_a_measurement_predicts_and_leaves_nothing(ray_cluster, tmp_path):
    tree = config_tree(tmp_path, rows=miniature_rows(0, 40))
    tree["models"]["student"] = {"model": "no-such/model"}
    config = parse_config(tree | {"plan": {"calibrate_s": 0.001}})
    student, teacher = calibrate_plan(config, *plan_job(config), Console(quiet=True))
    assert (student.why_not, student.scoring_s) == ("it cannot be loaded here", None)
    assert "not measured: it cannot be loaded here" in calibrated_text(student)
    assert (teacher.actors_here, teacher.actors) == (2, 2)
    assert 0 < teacher.measured_tokens < role(planned(tree), "teacher").tokens.num_tokens
    expected_s = role(planned(tree), "teacher").tokens.num_tokens / teacher.tokens_per_s / 2
    assert teacher.scoring_s == pytest.approx(teacher.start_s + expected_s, rel=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["traces.jsonl"]
