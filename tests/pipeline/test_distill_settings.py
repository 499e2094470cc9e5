import pytest
from trl.trainer.sft_config import SFTConfig

from rdpt_ray.config import load_config
from rdpt_ray.distill_config import DistillConfig
from rdpt_ray.errors import ConfigError
from rdpt_ray.pipeline.distill_settings import (
    OURS,
    check_trainer,
    sft_arguments,
    what_decides_weights,
    worker_batch,
)
from tests.pipeline.conftest import REPOSITORY


def settings(**more):
    return DistillConfig.model_validate({"to": "somewhere", **more})


def test_an_unknown_argument_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'max_grad_norm'"):
        check_trainer({"max_gradnorm": 1.0})


@pytest.mark.parametrize("key", ["learning_rate", "output_dir", "trust_remote_code", "packing"])
def test_what_the_section_decides_is_refused(key):
    with pytest.raises(ConfigError, match=f"distill.trainer.{key}: decided by "):
        check_trainer({key: 1})


def test_whatever_else_sft_config_takes_is_taken():
    check_trainer({"adam_beta2": 0.98, "optim": "adamw_torch", "neftune_noise_alpha": 5})


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "examples").glob("*-qwen*.yaml")), ids=lambda path: path.name
)
def test_the_recipes_give_arguments_that_are_taken(path):
    recipe = load_config(path).distill
    assert recipe is not None
    check_trainer(recipe.trainer)
    arguments = sft_arguments(recipe, "folder", num_steps=100, save_every=10)
    assert arguments["fsdp"] is True
    assert recipe.trainer["model_init_kwargs"] == {"attn_implementation": "flash_attention_2"}


def test_all_that_we_set_is_refused_and_known():
    arguments = sft_arguments(settings(), "folder", num_steps=100, save_every=10)
    ours = set(arguments) - {"report_to", "dataloader_pin_memory"}
    assert ours <= set(OURS)
    assert set(OURS) - set(SFTConfig.__dataclass_fields__) <= {"local_rank", "warmup_ratio"}


def test_a_step_is_shared_out_to_workers_and_rounds():
    assert worker_batch(settings(batch_size=32)) == (32, 1)
    assert worker_batch(settings(batch_size=32, workers={"num_workers": 4})) == (8, 1)
    config = settings(batch_size=32, worker_batch_size=2, workers={"num_workers": 4})
    assert worker_batch(config) == (2, 4)
    arguments = sft_arguments(config, "folder", num_steps=200, save_every=10)
    assert arguments["per_device_train_batch_size"] == 2
    assert arguments["gradient_accumulation_steps"] == 4
    assert arguments["warmup_steps"] == 10


@pytest.mark.parametrize(
    "more", [{"batch_size": 10, "worker_batch_size": 4}, {"batch_size": 3, "worker_batch_size": 8}]
)
def test_a_step_that_cannot_be_shared_out_is_refused(more):
    with pytest.raises(ConfigError, match="is not a multiple of 1 workers x"):
        worker_batch(settings(**more))


def test_places_and_pauses_do_not_decide_the_weights():
    here, there = (
        what_decides_weights(settings(to=to, save_every=every, workers={"num_cpus": cpus}))
        for to, every, cpus in (("a", 5, 1), ("b", None, 2))
    )
    assert here == there
    assert what_decides_weights(settings(seed=1)) != here
    assert what_decides_weights(settings(workers={"num_workers": 2})) != here
