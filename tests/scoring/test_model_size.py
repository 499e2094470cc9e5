"""Counts against files, against what makers publish, and against the operations that torch itself counts."""

import json
import struct
from math import prod
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from rdpt_ray.errors import ModelError
from rdpt_ray.method.work import reading_work
from rdpt_ray.scoring.model_size import model_size, read_config

MINIATURES = Path(__file__).parents[2] / "examples" / "miniature"

QWEN3 = {"vocab_size": 151_936, "num_key_value_heads": 8, "head_dim": 128}
QWEN3_4B = QWEN3 | {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "tie_word_embeddings": True,
    "max_position_embeddings": 40_960,
}
QWEN3_32B = QWEN3 | {
    "hidden_size": 5120,
    "intermediate_size": 25_600,
    "num_hidden_layers": 64,
    "num_attention_heads": 64,
    "tie_word_embeddings": False,
}
GPT_OSS_120B = {
    "num_hidden_layers": 36,
    "num_local_experts": 128,
    "num_experts_per_tok": 4,
    "vocab_size": 201_088,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "head_dim": 64,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "sliding_window": 128,
    "tie_word_embeddings": False,
    "quantization_config": {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
    },
}
DEEPSEEK_V3 = {
    "vocab_size": 129_280,
    "hidden_size": 7168,
    "intermediate_size": 18_432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "n_shared_experts": 1,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "qk_nope_head_dim": 128,
    "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}


def size_of(kind, facts, dtype="bfloat16"):
    return model_size(AutoConfig.for_model(kind, **facts), dtype=dtype)


@pytest.mark.parametrize("name", ["teacher", "student", "distilled"])
def test_the_miniatures_have_what_their_files_hold(name):
    with (MINIATURES / name / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    in_file = sum(prod(tensor["shape"]) for tensor in header.values())
    found = model_size(read_config(str(MINIATURES / name)), dtype="float32")
    assert found.total == in_file
    assert found.weight_bytes == 4 * in_file
    assert found.head == found.experts == found.beside == 0
    # keys and values of 64 entries in 3 layers
    assert found.reader.cached_values(10) == 10 * 3 * 2 * 64


def test_qwen3_has_what_its_cards_say():
    small = size_of("qwen3", QWEN3_4B)
    assert small.total == 4_022_468_096  # in its files; the card: 4.0B, 3.6B without embeddings
    assert small.dense == pytest.approx(3.6e9, rel=0.01)
    assert small.head == 0
    assert small.context_length == 40_960
    large = size_of("qwen3", QWEN3_32B)
    assert large.total == 32_762_123_264  # 32.8B, 31.2B
    assert large.dense == pytest.approx(31.2e9, rel=0.01)
    assert large.weight_bytes == 2 * large.total
    assert large.reader.cached_values(1) == 64 * 2 * 8 * 128


def test_gpt_oss_has_what_its_model_card_says():
    # arXiv 2508.10925, table 1: 116.83B, 5.13B active (head counted, embedding not), 60.8 GiB.
    found = size_of("gpt_oss", GPT_OSS_120B)
    assert found.total == pytest.approx(116.83e9, abs=0.005e9)
    assert found.active == pytest.approx(5.13e9, abs=0.005e9)
    assert found.weight_bytes / 2**30 == pytest.approx(60.8, abs=0.05)
    assert [(each.num_layers, each.window) for each in found.reader.attention] == [
        (18, 128),
        (18, None),
    ]
    assert found.reader.cached_values(1000) == 2 * 8 * 64 * 18 * (128 + 1000)


def test_deepseek_v3_has_what_its_weights_file_says():
    # README_WEIGHTS.md: 671B, 36.6B active with 0.9B of the head; arXiv 2412.19437: a latent of 512 + 64.
    found = size_of("deepseek_v3", DEEPSEEK_V3)
    assert found.total == pytest.approx(671e9, abs=0.5e9)
    assert found.active == pytest.approx(36.6e9, abs=0.05e9)
    assert found.head == 129_280 * 7168
    assert found.weight_bytes == pytest.approx(found.total + 2 * found.head, rel=2e-3)
    assert found.reader.cached_values(1) == 61 * 576
    assert found.cache_shards == 1


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("llama", {"num_key_value_heads": 2, "intermediate_size": 176}),
        ("qwen3", {"num_key_value_heads": 4, "intermediate_size": 100, "head_dim": 32}),
        ("gpt2", {"bos_token_id": 0, "eos_token_id": 1}),
    ],
)
def test_operations_are_those_that_torch_counts(kind, facts):
    shape = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 99}
    config = AutoConfig.for_model(kind, **shape | facts)
    config._attn_implementation = "eager"  # multiplies the whole square
    model = AutoModelForCausalLM.from_config(config).eval()
    length = 40
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros(1, length, dtype=torch.long), use_cache=False)
    work = reading_work(model_size(config, dtype="float32").reader, [0], [length])
    square = work.attention * 2 * length // (length + 1)
    assert counter.get_total_flops() == work.body + square + work.head


def test_parts_for_images_are_held_and_not_read():
    found = model_size(AutoConfig.for_model("gemma3"), dtype="bfloat16")
    assert found.beside > 0
    assert found.reader.body_weights < found.dense
    assert {each.window for each in found.reader.attention} == {4096, None}


def test_linear_attention_compares_nothing():
    found = model_size(AutoConfig.for_model("qwen3_next"), dtype="bfloat16")
    assert sum(each.num_layers for each in found.reader.attention) == 12  # of 48


def test_what_the_config_does_not_tell_is_said():
    facts = GPT_OSS_120B | {"quantization_config": {"quant_method": "hqq"}}
    found = size_of("gpt_oss", facts)
    assert found.weight_bytes == 2 * found.total
    assert found.remarks == ("weights quantised by hqq are counted as if they were not",)


def test_configs_that_are_no_language_model_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        read_config(str(tmp_path))
    with pytest.raises(ModelError, match="its size cannot be told"):
        model_size(AutoConfig.for_model("t5"), dtype="float32")
