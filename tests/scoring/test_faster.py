"""What a twin replaces, and what it must not; the twins of GPUs are in test_gpu.py."""

import logging

import pytest
import torch

from rdpt_ray.scoring.faster import FusedNorm, quicken
from rdpt_ray.scoring.prepacked import FusedSwiGLU, can_pack
from tests.scoring.test_prepacked import random_layer

pytestmark = pytest.mark.skipif(
    not can_pack(torch.empty(1, 1)), reason="this torch is built without oneDNN"
)


class Block(torch.nn.Module):
    """What a Llama layer has: the parts are found by what they are, not by whose they are."""

    def __init__(self, act_fn):
        super().__init__()
        self.gate_proj = random_layer(24, 60, bias=False, seed=1)
        self.up_proj = random_layer(24, 60, bias=True, seed=2)
        self.down_proj = random_layer(60, 24, bias=False, seed=3)
        self.act_fn = act_fn

    def forward(self, rows):
        return self.down_proj(self.act_fn(self.gate_proj(rows)) * self.up_proj(rows))


class OddRMSNorm(torch.nn.Module):
    """Gemma's: the weight counts from one."""

    def __init__(self, weight, shift):
        super().__init__()
        self.weight, self.shift, self.variance_epsilon = weight, shift, 1e-5

    def forward(self, rows):
        scaled = rows * torch.rsqrt(rows.square().mean(-1, keepdim=True) + self.variance_epsilon)
        return scaled * (self.weight + self.shift)


def body(act_fn, shift):
    weight = torch.nn.Parameter(torch.rand(24) + 0.5)
    return torch.nn.Sequential(OddRMSNorm(weight, shift), Block(act_fn))


@torch.no_grad()
def test_what_agrees_is_replaced_and_the_sum_is_the_same():
    model = body(torch.nn.SiLU(), shift=0.0)
    rows = torch.randn(2, 40, 24)
    expected = model(rows)
    quicken(model)
    assert isinstance(model[0], FusedNorm)
    assert isinstance(model[1], FusedSwiGLU)
    torch.testing.assert_close(model(rows), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_what_only_looks_alike_keeps_its_own_code(caplog):
    caplog.set_level(logging.WARNING, logger="rdpt_ray")
    model = body(torch.nn.GELU(), shift=1.0)
    rows = torch.randn(2, 40, 24)
    expected = model(rows)
    quicken(model)
    assert type(model[0]) is OddRMSNorm
    assert type(model[1]) is Block
    assert "OddRMSNorm keeps its own code: its twin differs by" in caplog.text
    torch.testing.assert_close(model(rows), expected, rtol=0, atol=1e-5)


class Clamped(torch.nn.Module):
    """As transformers' Step3p7MLP: the same parts, and a clamp that small inputs never reach."""

    def __init__(self):
        super().__init__()
        self.block = Block(torch.nn.SiLU())
        self.gate_proj, self.up_proj = self.block.gate_proj, self.block.up_proj
        self.down_proj, self.act_fn = self.block.down_proj, self.block.act_fn
        del self.block

    def forward(self, rows):
        gate = self.act_fn(self.gate_proj(rows)).clamp(max=16)
        return self.down_proj(gate * self.up_proj(rows).clamp(-16, 16))


@torch.no_grad()
def test_a_clamp_that_small_inputs_do_not_reach_is_seen():
    model = torch.nn.Sequential(Clamped())
    rows = 300 * torch.randn(2, 40, 24)
    expected = model(rows)
    quicken(model)
    assert type(model[0]) is Clamped
    torch.testing.assert_close(model(rows), expected, rtol=1e-5, atol=1e-3)


def test_a_subclass_of_linear_is_left_alone():
    class Quantised(torch.nn.Linear):
        def forward(self, rows):
            return super().forward(rows).round()

    model = torch.nn.Sequential(Quantised(8, 8))
    quicken(model)
    assert type(model[0]) is Quantised
