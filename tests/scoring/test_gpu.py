"""The same numbers on a GPU as on the CPU: `pytest -m gpu`, on a machine that has one."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch

from rdpt_ray.scoring import fused, long_attention
from rdpt_ray.scoring.engine import TokenSequence
from rdpt_ray.scoring.faster import FusedNorm, OneKernelSwiGLU
from rdpt_ray.scoring.head import TiledHead, row_lse
from rdpt_ray.scoring.transformers_engine import TransformersEngine
from tests.scoring.test_transformers_engine import (
    DECLINES,
    GROUPED,
    PACKS,
    VOCABULARY,
    config_of,
    logprobs,
    one_by_one,
    random_sequences,
)

pytestmark = pytest.mark.gpu

SEQUENCES = random_sequences([(5, 40), (3, 7), (1, 1), (9, 300), (2, 2), (30, 150)])
HALVES = ("bfloat16", "float16")
WIDE = {"head_dim": 16}
"""The flash kernel takes heads whose width is a multiple of 8, as those of real models are."""


def wide(name):
    """A family's configuration with such heads."""
    fields = PACKS[name]
    return config_of(name, fields | WIDE if "head_dim" in fields else fields)


def own_pass(model, sequence):
    """What transformers' own forward pass on the GPU gives a trace alone."""
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]], device="cuda")
    with torch.no_grad():
        rows = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
    first = len(sequence.prompt_ids)
    return rows[first - 1 : -1].gather(1, ids[0, first:, None]).squeeze(1).cpu().numpy()


@pytest.mark.parametrize("name", PACKS)
def test_float32_is_what_the_cpu_says(name, tiny_model):
    engine = TransformersEngine(tiny_model(config_of(name, PACKS[name])).cuda())
    assert engine.packs
    plain = tiny_model(config_of(name, PACKS[name]))
    for sequence, values in zip(SEQUENCES, logprobs(engine, SEQUENCES), strict=True):
        np.testing.assert_allclose(values, one_by_one(plain, sequence), rtol=0, atol=2e-4)
        (alone,) = logprobs(engine, [sequence])
        np.testing.assert_allclose(alone, values, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("Gemma2", 1e-3), ("Llama, dynamic", 1e-3), ("Mamba", 1e-2)]
)
def test_models_that_do_not_pack_are_right_too(name, tolerance, tiny_model):
    """Mamba's scan makes more of rounding: 0.0045 was seen, with TF32 and without."""
    config = config_of(name, DECLINES[name][0])
    engine = TransformersEngine(tiny_model(config).cuda())
    assert not engine.packs
    plain = tiny_model(config)
    for sequence, values in zip(SEQUENCES, logprobs(engine, SEQUENCES), strict=True):
        np.testing.assert_allclose(values, one_by_one(plain, sequence), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", [name for name in PACKS if name not in ("GPT2", "GPTNeoX")])
def test_half_precision_is_as_near_as_transformers_own(name, dtype, tiny_model):
    """Packed and alone, by the same kernel, no farther from float64 than a plain pass in that precision."""
    config = wide(name)
    half = tiny_model(config, factor=4.0, dtype=getattr(torch, dtype))
    exact = copy.deepcopy(half).float()  # experts are not multiplied in float64
    plain = copy.deepcopy(half).cuda()
    engine = TransformersEngine(half.cuda())
    assert engine.packs
    ours, own = [], []
    for sequence, values in zip(SEQUENCES, logprobs(engine, SEQUENCES), strict=True):
        expected = one_by_one(exact, sequence)
        ours.append(np.abs(values - expected))
        own.append(np.abs(own_pass(plain, sequence) - expected))
    ours, own = np.concatenate(ours), np.concatenate(own)
    assert 0 < ours.mean() < 1.3 * own.mean() + 1e-4
    assert ours.max() < 2 * own.max() + 1e-3


@pytest.mark.parametrize("dtype", ["float32", *HALVES])
@pytest.mark.parametrize("name", ["Llama", "Gemma3Text", "GptOss", "Mistral"])
def test_a_long_trace_in_chunks(name, dtype, tiny_model):
    config = wide(name)
    model = tiny_model(config, factor=4.0, dtype=getattr(torch, dtype))
    exact = copy.deepcopy(model).float()
    engine = TransformersEngine(model.cuda(), token_budget=64)
    assert engine.chunks
    (sequence,) = random_sequences([(70, 1500)])
    (values,) = logprobs(engine, [sequence])
    difference = np.abs(values - one_by_one(exact, sequence))
    assert difference.mean() < (1e-4 if dtype == "float32" else 0.05)
    assert difference.max() < (2e-3 if dtype == "float32" else 0.6)


def test_layers_are_replaced_by_fused_ones(tiny_model):
    assert fused.is_available(torch.device("cuda", 0))
    model = tiny_model(config_of("Qwen3", GROUPED | WIDE)).cuda()
    TransformersEngine(model)
    norms = [type(one) for one in model.modules() if "Norm" in type(one).__name__]
    assert norms == [FusedNorm] * 9
    for layer in model.model.layers:
        assert type(layer.mlp) is OneKernelSwiGLU
        assert "forward" in vars(layer.self_attn)


@pytest.mark.parametrize("budget", [8192, 2048])
@pytest.mark.parametrize("width", [64, 128])
def test_long_segments_are_read_by_cudnn(budget, width, tiny_model):
    """Alone, beside short ones, and in chunks; on Hopper and later."""
    heads = {"hidden_size": 4 * width, "head_dim": width, "num_attention_heads": 8}
    config = config_of("Llama", GROUPED | heads | {"max_position_embeddings": 9000})
    model = tiny_model(config, factor=2.0, dtype=torch.bfloat16)
    exact = copy.deepcopy(model).float()
    engine = TransformersEngine(model.cuda(), token_budget=budget)
    sequences = random_sequences([(20, 3000), (5, 2050), (7, 300), (9, 50), (3, 2100)])
    found = (
        logprobs(engine, sequences)
        if budget > 4000
        else [logprobs(engine, [one])[0] for one in sequences]
    )
    state = torch.zeros(1, 8, 4, width, device="cuda", dtype=torch.bfloat16)
    if torch.cuda.get_device_capability() >= long_attention.HOPPER:
        assert long_attention.suits(state, state[:, :2], state[:, :2])
    for sequence, values in zip(sequences, found, strict=True):
        difference = np.abs(values - one_by_one(exact, sequence))
        assert difference.mean() < 0.03
        assert difference.max() < 0.5
        (alone,) = logprobs(engine, [sequence])
        assert np.abs(alone - values).max() < 0.3


def test_signals(tiny_model):
    config = config_of("Llama", GROUPED)
    here = TransformersEngine(tiny_model(config), signals=["rank", "brier"])
    there = TransformersEngine(tiny_model(config).cuda(), signals=["rank", "brier"])
    pairs = zip(here.token_scores(SEQUENCES), there.token_scores(SEQUENCES), strict=True)
    for cpu, gpu in pairs:
        assert gpu.ranks.tolist() == cpu.ranks.tolist()
        np.testing.assert_allclose(gpu.briers, cpu.briers, atol=1e-4)


def test_the_log_sum_exp_of_odd_rows():
    rows = torch.randn(40, 300) * 30
    rows[1] = -torch.inf
    rows[2, 5] = torch.nan
    rows[3, :299] = -torch.inf
    rows[4] = 60_000.0
    rows[5, :16] = -1e30
    for dtype in (torch.float32, torch.bfloat16):
        given = rows.to(dtype)
        expected = given.double().logsumexp(1).float()
        torch.testing.assert_close(
            row_lse(given.cuda()).cpu(), expected, equal_nan=True, rtol=2e-7, atol=2e-5
        )


def test_a_head_of_many_tiles():
    torch.manual_seed(0)
    weight, hidden = torch.randn(20_000, 64), torch.randn(5000, 64)
    targets = torch.randint(0, 20_000, (5000,))
    targets[7] = 20_001
    there = TiledHead(weight.cuda(), signals=["rank"])(hidden.cuda(), targets.cuda())
    exact = (hidden.double() @ weight.double().T).log_softmax(1)
    expected = exact.gather(1, targets.clamp(max=19_999)[:, None]).squeeze(1).float()
    expected[7] = torch.nan
    torch.testing.assert_close(there.logprobs.cpu(), expected, equal_nan=True, rtol=0, atol=1e-4)


LITTLE_MEMORY = """
import numpy as np
import torch

from tests.scoring.conftest import build
from tests.scoring.test_gpu import WIDE
from tests.scoring.test_transformers_engine import GROUPED, config_of, logprobs, random_sequences
from rdpt_ray.scoring.transformers_engine import TransformersEngine

config = config_of("Llama", GROUPED | WIDE | {"max_position_embeddings": 200_000})
engine = TransformersEngine(build(config, dtype=torch.bfloat16).cuda(), token_budget=150_000)
(sequence,) = random_sequences([(1000, 120_000)])
(expected,) = logprobs(engine, [sequence])
torch.cuda.empty_cache()
free = (torch.cuda.memory_allocated() + 150 * 2**20) / torch.cuda.mem_get_info()[1]
torch.cuda.set_per_process_memory_fraction(free)
(values,) = logprobs(engine, [sequence])
assert torch.cuda.memory_stats()["num_ooms"] > 0
assert 0 < np.abs(values - expected).mean() < 0.02
"""


def test_memory_that_runs_out_makes_the_chunks_smaller():
    """In a process of its own: pytest keeps what others left behind."""
    subprocess.run([sys.executable, "-c", LITTLE_MEMORY], check=True, timeout=200)


def test_a_token_that_the_model_does_not_have_leaves_the_device_alive(tiny_model):
    engine = TransformersEngine(tiny_model(config_of("Llama", GROUPED)).cuda())
    with pytest.raises(IndexError, match="token id 10000"):
        engine.token_scores([TokenSequence([1, 2], [10_000])])
    assert len(logprobs(engine, [TokenSequence([1, 2], [VOCABULARY - 1])])[0]) == 1
