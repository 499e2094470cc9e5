"""Layers replaced by faster twins: on CPU weights laid out once for the product, norms on GPUs too.

`F.linear` in float32 goes through MKL, which reaches 89 GF/s a core on an AMD Zen 4 where oneDNN with a
weight packed beforehand reaches 109 (docs/performance.md); oneDNN also takes SwiGLU's activation and
product into the matrix product. transformers' RMS norm is some six kernels over float32 copies, torch's own
is one: on a GPU each of them waits for memory. Every replacement is compared with what it replaces on
random input before it is used, because the operators behind it are torch's own affair and may change.
"""

import logging
from collections.abc import Callable

import torch
from torch.nn.functional import linear, rms_norm, silu

logger = logging.getLogger(__name__)

Product = Callable[[torch.Tensor], torch.Tensor]
"""[rows, E] -> [rows, N]."""

PACKED_FOR_ROWS = 512
"""Rows the layout is chosen for; any number can be multiplied."""

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest difference from the module that is replaced, relative to its largest output."""


def product(weight_NE: torch.Tensor, bias_N: torch.Tensor | None, *, packs: bool = True) -> Product:
    """The map x @ weight.T + bias, the fastest this device has.

    Args:
        weight_NE: [N, E].
        bias_N: [N] or None.
        packs: Whether the weight may be copied into another layout where that is faster.
    """
    if packs and can_pack(weight_NE):
        return PackedLinear(weight_NE, bias_N)
    return lambda rows: linear(rows, weight_NE, bias_N)


def can_pack(weight: torch.Tensor) -> bool:
    """Whether oneDNN takes such a weight on this machine."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    supported = {
        torch.float32: lambda: True,
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    return weight.dtype in supported and supported[weight.dtype]()


class PackedLinear(torch.nn.Module):
    """A linear layer whose weight only oneDNN can read."""

    def __init__(self, weight_NE: torch.Tensor, bias_N: torch.Tensor | None) -> None:
        """Copy the weight [N, E] into oneDNN's layout."""
        super().__init__()
        self.out_features, self.in_features = weight_NE.shape
        self.packed = torch.ops.mkldnn._reorder_linear_weight(
            weight_NE.detach().contiguous(), PACKED_FOR_ROWS
        )
        self.bias = None if bias_N is None else bias_N.detach()

    @property
    def weight(self) -> torch.Tensor:
        """[N, E] as it was, unpacked anew each time: for code that looks at weights."""
        return self.packed.to_dense()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., E] -> [..., N]."""
        return torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "none", [], "")

    def swish(self, rows: torch.Tensor) -> torch.Tensor:
        """The same through x * sigmoid(x)."""
        return torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "swish", [], "")

    def times(self, rows: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """The same, multiplied element by element with [..., N]."""
        return torch.ops.mkldnn._linear_pointwise.binary(
            rows, factor, self.packed, self.bias, "mul"
        )


class FusedNorm(torch.nn.Module):
    """Root-mean-square norm in torch's own kernel."""

    def __init__(self, weight: torch.nn.Parameter, eps: float) -> None:
        """Of a module that holds `weight` [E] and adds `eps` under the root."""
        super().__init__()
        self.weight, self.variance_epsilon = weight, eps

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., E] -> [..., E]."""
        return rms_norm(rows, self.weight.shape, self.weight, self.variance_epsilon)


class FusedSwiGLU(torch.nn.Module):
    """down(silu(gate(x)) * up(x)), with both element-wise steps inside the products."""

    def __init__(self, gate: PackedLinear, up: PackedLinear, down: PackedLinear) -> None:
        """Of three packed layers."""
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate, up, down

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., E] -> [..., E]."""
        return self.down_proj(self.up_proj.times(rows, self.gate_proj.swish(rows)))


def quicken(body: torch.nn.Module) -> None:
    """Replace a model's linear layers, RMS norms and SwiGLU blocks where a faster twin agrees with them.

    Args:
        body: The model without its head, in evaluation mode; changed in place. On CPU nothing changes
            where oneDNN is missing; on a GPU only norms do.
    """
    for parent in list(body.modules()):
        for name, child in list(parent.named_children()):
            twin = _twin(child)
            if twin is not None:
                setattr(parent, name, twin)
    for parent in list(body.modules()):
        for name, child in list(parent.named_children()):
            twin = _swiglu_twin(child)
            if twin is not None:
                setattr(parent, name, twin)


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
    layers = [layer for layer in (gate, up, down) if isinstance(layer, PackedLinear)]
    probe = torch.linspace(-4.0, 4.0, 64)
    if len(layers) < 3 or not torch.allclose(act_fn(probe), silu(probe), atol=1e-6):
        return None
    return _checked(FusedSwiGLU(*layers), module, layers[0].in_features)


@torch.inference_mode()
def _checked(twin: torch.nn.Module, module: torch.nn.Module, width: int) -> torch.nn.Module | None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(1, 32, width, generator=generator).to(*_kind_of(module))
    expected = module(rows).float()
    difference = float(
        (twin(rows).float() - expected).abs().max() / expected.abs().max().clamp(1e-9)
    )
    if difference <= TOLERANCE[rows.dtype]:
        return twin
    logger.warning(
        "%s keeps its own code: its twin differs by %.3g", type(module).__name__, difference
    )
    return None


def _kind_of(module: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a module computes, and in what."""
    for inner in module.modules():
        if isinstance(inner, PackedLinear):
            return torch.device("cpu"), inner.packed.dtype
    weight = next(module.parameters())
    return weight.device, weight.dtype
