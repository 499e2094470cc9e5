import pytest
import torch
from torch.nn.functional import linear

from rdpt_ray.scoring.prepacked import (
    PackedLinear,
    can_pack,
    product,
)

pytestmark = pytest.mark.skipif(
    not can_pack(torch.empty(1, 1)), reason="this torch is built without oneDNN"
)


def random_layer(inner, outer, *, bias, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(inner, outer, bias=bias, dtype=dtype)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (24, 130), (384, 1024), (1000, 17)])
@pytest.mark.parametrize("num_rows", [1, 2, 16, 511, 513])
def test_the_product_is_the_layers(shape, bias, num_rows):
    layer = random_layer(*shape, bias=bias)
    rows = torch.randn(num_rows, shape[0])
    result = product(layer.weight, layer.bias)(rows)
    exact = linear(rows.double(), layer.weight.double(), layer.bias.double() if bias else None)
    torch.testing.assert_close(result.double(), exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(384, 1024), (768, 2048), (2048, 768), (64, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rows_product_does_not_depend_on_the_rows_beside_it(shape, dtype):
    layer = random_layer(*shape, bias=False, dtype=dtype)
    if not can_pack(layer.weight):
        pytest.skip("this CPU has no such product")
    packed = PackedLinear(layer.weight, None)
    rows = torch.randn(700, shape[0]).to(dtype)
    together = packed(rows)
    for start, count in ((0, 16), (5, 17), (100, 64), (3, 513), (0, 699)):
        assert torch.equal(
            packed(rows[start : start + count].clone()), together[start : start + count]
        )


def test_the_weight_can_be_read_back():
    layer = random_layer(24, 130, bias=False)
    assert torch.equal(PackedLinear(layer.weight, None).weight, layer.weight)
