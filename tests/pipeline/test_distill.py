"""Real trainings of the miniature student, a few steps each."""

import hashlib
import io
import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from rdpt_ray.errors import CapacityError, ConfigError, ModelError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.distill import distill, distill_many
from rdpt_ray.scoring.loading import identity_of
from tests.pipeline.conftest import MINIATURE, QUIET
from tests.pipeline.distill_world import config_of, learnable_run


def weights_of(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return learnable_run(tmp_path_factory.mktemp("world") / "store" / "runs" / "small-1")


@pytest.fixture(scope="module")
def trained(ray_cluster, run, tmp_path_factory):
    """Two trainings at a time: a plain one, and one with nearly everything switched on."""
    folder = tmp_path_factory.mktemp("models")
    many = {
        "lora": {"rank": 4},
        "packing": True,
        "max_length": 512,
        "dtype": "bfloat16",
        "gradient_checkpointing": True,
        "batch_size": 2,
        "worker_batch_size": 1,
        "trainer": {"adam_beta2": 0.98},
    }
    configs = [
        config_of(run, folder / "one"),
        config_of(run, folder / "packed", **many),
    ]
    log = io.StringIO()
    return folder, configs, distill_many(configs, 2, Console(file=log, width=200)), log.getvalue()


@pytest.mark.ray
def test_the_student_learns(trained):
    folder, _, (one, _), log = trained
    assert one.model == str(folder / "one")
    assert (one.examples, one.steps, one.left_out) == (10, 5, {})
    record = json.loads((folder / "one" / "distill.json").read_text())
    assert record["losses"][-1] == [5, one.loss]
    assert one.loss < record["losses"][0][1]
    assert "distill: 2/2 in" in log


@pytest.mark.ray
def test_the_folder_is_a_model_and_holds_nothing_pickled(trained):
    folder, _, (one, _), _ = trained
    there = {path.name for path in (folder / "one").iterdir()}
    assert there == {
        *("model.safetensors", "config.json", "generation_config.json"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        *("README.md", "loss.svg", "distill.json"),
    }
    assert {path.name for path in folder.iterdir()} == {"one", "packed"}  # no checkpoints
    tokenizer = AutoTokenizer.from_pretrained(folder / "one")
    student = AutoTokenizer.from_pretrained(MINIATURE / "student")
    assert tokenizer.chat_template == student.chat_template
    assert tokenizer("17 + 25 = 42.")["input_ids"] == student("17 + 25 = 42.")["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder / "one")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert identity_of(ModelConfig(model=one.model)).is_local


@pytest.mark.ray
def test_the_record_is_no_part_of_the_models_identity(trained, tmp_path):
    folder, *_ = trained
    shutil.copytree(folder / "one", tmp_path / "copy")
    (tmp_path / "copy" / "distill.json").write_text('{"finished_at": "another day"}')
    one, copy = (
        identity_of(ModelConfig(model=str(each))) for each in (folder / "one", tmp_path / "copy")
    )
    assert one.weights == copy.weights


@pytest.mark.ray
def test_adapters_are_merged_and_packed_rows_are_learnt(trained):
    folder, _, (one, packed), _ = trained
    assert packed.tokens == one.tokens
    assert packed.steps < one.steps
    merged = AutoModelForCausalLM.from_pretrained(folder / "packed").state_dict()
    before = AutoModelForCausalLM.from_pretrained(MINIATURE / "student").state_dict()
    assert set(merged) == set(before)
    changed = {name for name in merged if not torch.equal(merged[name], before[name])}
    assert changed
    assert all("proj" in name for name in changed)


@pytest.mark.ray
def test_a_finished_model_is_found(trained):
    folder, configs, results, _ = trained
    before = (folder / "one" / "model.safetensors").stat()
    found = distill(configs[0], QUIET)
    assert found.seconds == 0
    assert (found.tokens, found.loss) == (results[0].tokens, results[0].loss)
    assert (folder / "one" / "model.safetensors").stat() == before


@pytest.mark.ray
def test_workers_that_no_node_holds_are_not_waited_for(ray_cluster, run, tmp_path):
    config = config_of(run, tmp_path / "model", batch_size=6, workers={"num_workers": 3})
    with pytest.raises(CapacityError, match=r"3 workers with 1 CPU .* which has room for 2"):
        distill(config, QUIET)


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_learn_what_one_does(trained, run, tmp_path):
    folder, _, (one, _), _ = trained
    two = distill(config_of(run, tmp_path / "two", workers={"num_workers": 2}), QUIET)
    assert two.steps == one.steps
    assert two.loss == pytest.approx(one.loss, abs=1e-3)
    together = AutoModelForCausalLM.from_pretrained(tmp_path / "two").state_dict()
    for name, weight in AutoModelForCausalLM.from_pretrained(folder / "one").state_dict().items():
        torch.testing.assert_close(together[name], weight, atol=1e-3, rtol=0)


@pytest.mark.ray
@pytest.mark.slow
def test_what_trl_refuses_is_told_once(ray_cluster, run, tmp_path):
    config = config_of(run, tmp_path / "model", trainer={"optim": "no_such_optimizer"})
    with pytest.raises(
        ModelError, match=r"TRL cannot train it with these settings: .*no_such_optimizer"
    ):
        distill(config, QUIET)


@pytest.mark.ray
def test_other_settings_do_not_replace_a_model(trained, run):
    folder, *_ = trained
    with pytest.raises(ConfigError, match=r"settings.learning_rate: 0.0015 there, 0.01 here"):
        distill(config_of(run, folder / "one", learning_rate=0.01), QUIET)


@pytest.mark.ray
def test_the_card_says_where_the_model_comes_from(trained):
    folder, *_ = trained
    card = ModelCard((folder / "one" / "README.md").read_text())
    assert card.data.base_model == "student"
    assert card.data.license == "apache-2.0"
    record = json.loads((folder / "one" / "distill.json").read_text())
    assert record["manifest_sha256"] in card.text
    assert str(MINIATURE) not in card.text
    assert record["student"]["model"] == "student", "the record is uploaded with the model"


def test_files_of_somebody_else_stay(run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds notes\.txt, which no distillation put there"):
        distill(config_of(run, tmp_path), QUIET)


def test_two_trainings_need_two_folders(run, tmp_path):
    configs = [config_of(run, tmp_path / "model", seed=seed) for seed in (0, 1)]
    with pytest.raises(ConfigError, match="two trainings are to write there"):
        distill_many(configs, 2, QUIET)


def test_a_worker_has_one_gpu(run, tmp_path):
    config = config_of(run, tmp_path / "model", workers={"num_workers": 2, "num_gpus": 4})
    with pytest.raises(ConfigError, match="set num_gpus: 1 and num_workers: 8"):
        distill(config, QUIET)


def test_packed_examples_do_not_see_each_other():
    model = AutoModelForCausalLM.from_pretrained(MINIATURE / "student", dtype="float32").eval()
    first, second = list(range(5, 40)), list(range(50, 90))
    row = {"input_ids": first + second, "labels": first + second}
    row["seq_lengths"] = [len(first), len(second)]
    packed = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([row])
    del packed["labels"]
    with torch.no_grad():
        together = model(**packed, use_cache=False).logits[0]
        alone = model(torch.tensor([second])).logits[0]
        naive = model(packed["input_ids"]).logits[0]
    torch.testing.assert_close(together[len(first) :], alone, atol=1e-4, rtol=0)
    assert (naive[len(first) :] - alone).abs().max() > 1
