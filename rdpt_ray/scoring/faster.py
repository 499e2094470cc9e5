"""A model's own layers, replaced by faster twins.

On CPU: linear layers and SwiGLU blocks over packed weights (`prepacked.py`), and torch's own RMS norm. On a
GPU, where a pass over a tensor waits for memory: norms, SwiGLU and rotary positions in one kernel each in
place of two to six (`fused.py`). Every twin is compared with what it replaces on random input before it is
used, because the operators behind it are others' affair and may change.
"""

import logging
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import torch
from torch.nn.functional import rms_norm, silu

from rdpt_ray.scoring import fused
from rdpt_ray.scoring.prepacked import FusedSwiGLU, PackedLinear, can_pack

logger = logging.getLogger(__name__)

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest difference from what is replaced, relative to its largest output."""

LARGE = 100.0
"""Factor of the second comparison."""

ROTATION = "apply_rotary_pos_emb"
"""What transformers' modelling files call the function that rotates queries and keys."""


Rotation = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""Queries [1, H, T, D], keys [1, H_kv, T, D], cosines and sines [1, T, D] to queries and keys."""


class FusedNorm(torch.nn.Module):
    """Root-mean-square norm in torch's own kernel."""

    def __init__(self, weight: torch.nn.Parameter, eps: float) -> None:
        """Of a module that holds `weight` [E] and adds `eps` under the root."""
        super().__init__()
        self.weight, self.variance_epsilon = weight, eps

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., E] -> [..., E]."""
        return rms_norm(rows, self.weight.shape, self.weight, self.variance_epsilon)


class OneKernelSwiGLU(torch.nn.Module):
    """down(silu(gate(x)) * up(x)) on a GPU, with both element-wise steps in one kernel."""

    def __init__(self, gate: torch.nn.Module, up: torch.nn.Module, down: torch.nn.Module) -> None:
        """Of the block's own three layers."""
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate, up, down

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., E] -> [..., E]."""
        return self.down_proj(fused.swiglu(self.gate_proj(rows), self.up_proj(rows)))


def quicken(body: torch.nn.Module) -> None:
    """Replace a model's layers where a faster twin agrees with them.

    Args:
        body: The model without its head, in evaluation mode; changed in place. On CPU nothing changes
            where oneDNN is missing; on a GPU only norms do where kernels cannot be built.
    """
    for twin_of in (_twin, _swiglu_twin):
        for parent in list(body.modules()):
            for name, child in list(parent.named_children()):
                # Over several GPUs, accelerate's hooks move what a module is given.
                twin = None if hasattr(child, "_hf_hook") else twin_of(child)
                if twin is not None:
                    setattr(parent, name, twin)
    for module in body.modules():
        _quicken_rotation(module)


def _twin(module: torch.nn.Module) -> torch.nn.Module | None:
    """A faster module that was seen to do the same, or None."""
    if type(module) is torch.nn.Linear and can_pack(module.weight):
        return _checked(PackedLinear(module.weight, module.bias), module, module.in_features)
    weight, eps = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
    named_so = type(module).__name__.endswith("RMSNorm")
    if named_so and isinstance(weight, torch.nn.Parameter) and isinstance(eps, float):
        has_faster = weight.is_cuda or can_pack(weight)
        return _checked(FusedNorm(weight, eps), module, len(weight)) if has_faster else None
    return None


def _swiglu_twin(module: torch.nn.Module) -> torch.nn.Module | None:
    children = dict(module.named_children())
    if set(children) != {"gate_proj", "up_proj", "down_proj", "act_fn"}:
        return None
    gate, up, down, act_fn = (
        children[name] for name in ("gate_proj", "up_proj", "down_proj", "act_fn")
    )
    probe = torch.linspace(-4.0, 4.0, 64)
    if not torch.allclose(act_fn(probe), silu(probe), atol=1e-6):
        return None
    layers = [layer for layer in (gate, up, down) if isinstance(layer, PackedLinear)]
    if len(layers) == 3:
        return _checked(FusedSwiGLU(*layers), module, layers[0].in_features)
    if type(gate) is not torch.nn.Linear or not fused.is_available(gate.weight.device):
        return None
    return _checked(OneKernelSwiGLU(gate, up, down), module, gate.in_features)


@torch.inference_mode()
def _checked(twin: torch.nn.Module, module: torch.nn.Module, width: int) -> torch.nn.Module | None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(1, 32, width, generator=generator).to(*_kind_of(module))
    name = type(module).__name__
    # Large ones too: some blocks clamp what random rows never reach.
    return twin if all(_agree(name, twin(x), module(x)) for x in (rows, LARGE * rows)) else None


def _agree(name: str, actual: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether a twin's output is the original's; the log says if it is not."""
    finite = expected.isfinite()  # in float16, large ones overflow
    exact, given = expected.float()[finite], actual.float()[finite]
    if not len(exact):
        return bool(torch.equal(actual.isfinite(), finite))
    difference = float((given - exact).abs().max() / exact.abs().max().clamp(1e-9))
    if difference <= TOLERANCE[expected.dtype]:
        return True
    logger.warning("%s keeps its own code: its twin differs by %.3g", name, difference)
    return False


def _kind_of(module: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a module computes, and in what: quantised weights are of another type than what they multiply."""
    for inner in module.modules():
        if isinstance(inner, PackedLinear):
            return torch.device("cpu"), inner.packed.dtype
    weights = list(module.parameters())
    floating = [one.dtype for one in weights if one.dtype in TOLERANCE]
    return weights[0].device, floating[0] if floating else torch.get_default_dtype()


def _quicken_rotation(attention: torch.nn.Module) -> None:
    """Let a layer's attention call the one kernel in place of its file's own function.

    The layer gets a copy of its `forward` in which that one name means ours; nothing outside of this model
    changes. One whose `forward` is wrapped, or that rotates otherwise, is left alone.
    """
    forward = getattr(type(attention), "forward", None)
    if "forward" in vars(attention) or not isinstance(forward, FunctionType):
        return
    weights = list(attention.parameters())
    width = getattr(attention, "head_dim", None)
    own = forward.__globals__.get(ROTATION)
    if own is None or ROTATION not in forward.__code__.co_names or forward.__closure__:
        return
    if not weights or not isinstance(width, int) or not fused.is_available(weights[0].device):
        return
    rotation = _rotation(own)
    if _rotates_alike(rotation, own, width, *_kind_of(attention)):
        names = {**forward.__globals__, ROTATION: rotation}
        copy = FunctionType(forward.__code__, names, forward.__name__, forward.__defaults__)
        copy.__kwdefaults__ = forward.__kwdefaults__
        attention.forward = MethodType(copy, attention)


def _rotation(own: Rotation) -> Rotation:
    """The one kernel where it can read what comes, a file's own function where it cannot."""

    def rotation(
        query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, **how: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if how or not all(_is_plain(one, cos, sin) for one in (query, key)):
            return own(query, key, cos, sin, **how)
        return fused.rotated(query, cos, sin), fused.rotated(key, cos, sin)

    return rotation


def _rotates_alike(
    rotation: Rotation, own: Rotation, width: int, device: torch.device, dtype: torch.dtype
) -> bool:
    """Whether both do the same to random heads of a width."""
    generator = torch.Generator().manual_seed(0)
    query, key = (
        torch.randn(1, 32, heads, width, generator=generator).to(device, dtype).transpose(1, 2)
        for heads in (4, 2)
    )
    cos, sin = (torch.randn(1, 32, width, generator=generator).to(device, dtype) for _ in range(2))
    try:
        expected = own(query, key, cos, sin)
    except (RuntimeError, TypeError, ValueError):
        return False  # it takes something else
    pairs = zip(rotation(query, key, cos, sin), expected, strict=True)
    return all(_agree(ROTATION, *pair) for pair in pairs)


def _is_plain(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> bool:
    """Whether the kernel can read it: see `fused.rotated`."""
    _, _, length, width = states.shape
    return (
        len(states) == 1
        and states.transpose(1, 2).is_contiguous()
        and width & (width - 1) == 0
        and all(one.shape == (1, length, width) and one.is_contiguous() for one in (cos, sin))
    )
