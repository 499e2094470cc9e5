"""Weights laid out once for the product, on CPU.

`F.linear` in float32 goes through MKL, which reaches 89 GF/s a core on an AMD Zen 4 where oneDNN with a
weight packed beforehand reaches 109 (docs/performance.md); oneDNN also takes SwiGLU's activation and
product into the matrix product.
"""

from collections.abc import Callable

import torch
from torch.nn.functional import linear

Product = Callable[[torch.Tensor], torch.Tensor]
"""[rows, E] -> [rows, N]."""

PACKED_FOR_ROWS = 512
"""Rows the layout is chosen for; any number can be multiplied."""


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


class FusedSwiGLU(torch.nn.Module):
    """down(silu(gate(x)) * up(x)), with both element-wise steps inside the products."""

    def __init__(self, gate: PackedLinear, up: PackedLinear, down: PackedLinear) -> None:
        """Of three packed layers."""
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate, up, down

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., E] -> [..., E]."""
        return self.down_proj(self.up_proj.times(rows, self.gate_proj.swish(rows)))
