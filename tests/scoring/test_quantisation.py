from types import SimpleNamespace

import pytest

from rdpt_ray.scoring.quantisation import quantisation


def stored(**facts):
    return quantisation(SimpleNamespace(quantization_config=facts))


@pytest.mark.parametrize(
    ("facts", "bits"),
    [
        ({"quant_method": "mxfp4"}, 4.25),
        ({"quant_method": "mxfp4", "dequantize": True}, None),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8 + 32 / 128**2),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 4 + 20 / 128),
        ({"quant_method": "awq", "bits": 4, "group_size": -1}, 4),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8}}},
            },
            8,
        ),
        ({"quant_method": "not-heard-of"}, None),
    ],
)
def test_bits_of_a_weight(facts, bits):
    assert stored(**facts).bits == bits


def test_a_plain_checkpoint_has_none():
    assert quantisation(SimpleNamespace()) is None


def test_an_object_of_transformers_says_the_same():
    from transformers import BitsAndBytesConfig

    config = SimpleNamespace(quantization_config=BitsAndBytesConfig(load_in_4bit=True))
    assert quantisation(config).bits == 4.5


def test_what_is_named_is_left_alone():
    found = stored(quant_method="fp8", modules_to_not_convert=["model.layers.*.mlp.router", "head"])
    assert found.covers("model.layers.3.mlp.up_proj.weight", is_expert=False)
    assert not found.covers("model.layers.3.mlp.router.weight", is_expert=False)
    ignored = stored(quant_method="gptq", bits=4, ignore=["re:.*self_attn"])
    assert not ignored.covers("model.layers.3.self_attn.q_proj.weight", is_expert=False)
    assert not stored(quant_method="mxfp4").covers("model.layers.0.mlp.w", is_expert=False)
    assert stored(quant_method="mxfp4").covers("model.layers.0.mlp.experts.w", is_expert=True)
