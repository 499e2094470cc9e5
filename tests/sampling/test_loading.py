import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.sampling.loading import (
    engine_of,
    sample_uuid,
    sampler_identity,
    sampling_key,
    sampling_settings,
)
from tests.sampling.conftest import MINIATURE, sampling


def model(role="teacher", **changes):
    return ModelConfig(model=str(MINIATURE / role), **changes)


def key(configured=None, engine="transformers", **changes):
    identity = sampler_identity(configured or model(), engine)
    return sampling_key(sampling_settings(identity, sampling(**changes)))


def test_the_key_is_made_of_what_changes_a_response():
    same = [
        key(num_candidates=8, cache_tokens=5, part_samples=3),
        key(model(pool={"num_cpus": 2}, signals=["rank"], token_budget=5)),
    ]
    assert set(same) == {key()}
    others = [
        key(seed=1),
        key(temperature=0.5),
        key(top_k=5),
        key(top_p=0.5),
        key(max_tokens=5),
        key(model("student")),
        key(model(dtype="bfloat16")),
        key(engine="vllm"),
    ]
    assert len({key(), *others}) == 1 + len(others)
    uuids = {
        sample_uuid(key, prompt, number) for key in "ab" for prompt in "ab" for number in (0, 1)
    }
    assert len(uuids) == 8


def test_the_engine_is_the_models_own_unless_named():
    assert engine_of(model(), sampling(), "m") == "transformers"
    assert engine_of(model(engine="vllm"), sampling(), "m") == "vllm"
    recorded = model(engine="precomputed", recorded={"path": "x"})
    assert engine_of(recorded, sampling(engine="vllm"), "m") == "vllm"
    with pytest.raises(
        ConfigError, match=r"models\.teacher: the engine precomputed does not sample"
    ):
        engine_of(recorded, sampling(), "models.teacher")
