from dataclasses import replace

import pytest
from ray.util.accelerators import accelerators as known_to_ray
from transformers import AutoConfig

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.scoring.accelerators import ACCELERATORS
from rdpt_ray.scoring.actor_memory import RESERVED_BYTES, actor_memory, fits, smallest_shards
from rdpt_ray.scoring.model_size import model_size

H100, L4 = (ACCELERATORS[name].memory_bytes for name in ("H100", "L4"))
LONG = 32_768

QWEN3_32B = {
    "vocab_size": 151_936,
    "hidden_size": 5120,
    "intermediate_size": 25_600,
    "num_hidden_layers": 64,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40_960,
}


def hosted(**facts):
    return ModelConfig.model_validate({"model": "m", "dtype": "bfloat16"} | facts)


@pytest.fixture(scope="module")
def size():
    return model_size(AutoConfig.for_model("qwen3", **QWEN3_32B), dtype="bfloat16")


def test_what_an_actor_needs_by_hand(size):
    found = actor_memory(size, hosted(), longest=8192)
    assert found.weights == 2 * 32_762_123_264
    assert found.cache == 0  # no trace is longer than a pass
    # q, o: 8192; k, v: 5120; gate, up, down: 25600. The stream twice, and twice in float32.
    assert found.activations == 8192 * (2 * (2 * 8192 + 2 * 5120 + 3 * 25_600) + 12 * 5120)
    assert found.head == 4096 * 8192 * (2 + 8)
    assert found.total == sum(
        [found.weights, found.cache, found.activations, found.head, RESERVED_BYTES]
    )
    assert actor_memory(size, hosted(), longest=8193).cache == 8193 * 64 * 2 * 8 * 128 * 2


def test_vllm_keeps_room_for_a_whole_context_and_all_logits(size):
    found = actor_memory(size, hosted(engine="vllm"), longest=100)
    assert found.cache == 40_960 * 64 * 2 * 8 * 128 * 2
    assert found.head == 8192 * 151_936 * 6
    four = actor_memory(size, hosted(engine="vllm"), longest=100, shards=4)
    assert (4 * four.weights, 4 * four.cache) == (found.weights, found.cache)
    assert four.head == found.head
    short = hosted(engine="vllm", vllm={"max_model_len": 4096})
    assert actor_memory(size, short, longest=100).cache == found.cache // 10
    # A latent cannot be cut by heads.
    latent = actor_memory(replace(size, cache_shards=1), hosted(engine="vllm"), longest=1, shards=4)
    assert latent.cache == found.cache


def test_the_smallest_number_of_accelerators(size):
    # 65.5 GB of weights, 8.6 of cache, 2.2, 0.3 and 1.5 beside: 78.1 of 80; at 40,960 tokens 80.2.
    assert smallest_shards(size, hosted(), H100, longest=LONG) == 1
    assert smallest_shards(size, hosted(), H100, longest=40_960) == 2
    assert smallest_shards(size, hosted(engine="vllm"), H100, longest=LONG) == 2
    assert smallest_shards(size, hosted(), L4, longest=LONG) == 4
    assert smallest_shards(size, hosted(token_budget=65_536), L4, longest=LONG) is None
    # vLLM holds 32,768 x 151,936 logits, 30 GB, on every GPU beside the 64 GB that it plans with.
    wide = hosted(engine="vllm", token_budget=LONG)
    assert smallest_shards(size, wide, H100, longest=LONG) is None
    odd = replace(size, num_heads=49)  # vLLM cuts between heads
    assert smallest_shards(odd, hosted(engine="vllm"), H100, longest=LONG) is None


def test_a_share_of_a_gpu_has_a_share_of_its_memory():
    small = model_size(
        AutoConfig.for_model("qwen3", **QWEN3_32B | {"num_hidden_layers": 4}), dtype="bfloat16"
    )
    memory = actor_memory(small, hosted(), longest=8192)
    assert H100 * 0.1 < memory.total < H100 * 0.2
    assert fits(memory, hosted(pool={"num_gpus": 0.2}), H100)
    assert not fits(memory, hosted(pool={"num_gpus": 0.1}), H100)


def test_every_accelerator_has_a_name_that_ray_gives():
    names = {value for value in vars(known_to_ray).values() if isinstance(value, str)}
    assert set(ACCELERATORS) <= names
    for one in ACCELERATORS.values():
        assert one.flops("bfloat16") == one.half_flops > one.single_flops == one.flops("float32")
