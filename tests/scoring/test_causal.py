import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.scoring.causal import BLOCK, BLOCKWISE_BELOW, attend, causal_attention, merge

DTYPES = [torch.float32, torch.float64]  # float64 has no kernel, so it goes by the definition


def by_the_definition(query, key, value, scale, window):
    """Output and log-sum-exp in float64, under a mask spelt out pair by pair."""
    length, num_keys = query.shape[2], key.shape[2]
    groups = query.shape[1] // key.shape[1]
    key, value = (part.double().repeat_interleave(groups, dim=1) for part in (key, value))
    scores = query.double() @ key.mT * scale
    distance = torch.arange(num_keys - length, num_keys)[:, None] - torch.arange(num_keys)
    hidden = (distance < 0) | (distance >= (window or num_keys))
    scores.masked_fill_(hidden, -torch.inf)
    return scores.softmax(-1) @ value, scores.logsumexp(-1)


def random_heads(length, num_keys, heads=4, kv_heads=2, width=8, value_width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (heads, length, width),
        (kv_heads, num_keys, width),
        (kv_heads, num_keys, value_width),
    ]
    return [torch.randn(1, *shape, generator=generator) * 1.5 for shape in shapes]


def assert_defined(length, num_keys, *, window=None, scale=0.3, dtype=torch.float32, **sizes):
    query, key, value = (part.to(dtype) for part in random_heads(length, num_keys, **sizes))
    output, lse = causal_attention(query, key, value, scale=scale, window=window)
    expected, expected_lse = by_the_definition(query, key, value, scale, window)
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(lse.double(), expected_lse, rtol=0, atol=2e-5)


@given(
    length=st.integers(1, 40),
    past=st.integers(0, 40),
    window=st.sampled_from([None, 1, 2, 7, 30, 200]),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(DTYPES),
)
def test_any_chunk_after_any_past_is_as_defined(length, past, window, seed, dtype):
    assert_defined(length, length + past, window=window, seed=seed, dtype=dtype)


EDGES = [
    2 * BLOCK - 1,
    2 * BLOCK,
    2 * BLOCK + 1,
    5 * BLOCK - 1,
    BLOCKWISE_BELOW - 1,
    BLOCKWISE_BELOW,
]


@pytest.mark.parametrize("length", EDGES)
@pytest.mark.parametrize("past", [0, 70])
def test_the_triangle_is_whole_at_every_edge_of_its_blocks(length, past):
    assert_defined(length, length + past, heads=2, kv_heads=1)


@pytest.mark.parametrize("length", [255, 256, 257, 700])
def test_the_definition_goes_by_blocks_too(length):
    assert_defined(length, length + 30, heads=2, kv_heads=1, dtype=torch.float64)
    assert_defined(length, length + 30, heads=2, kv_heads=1, window=40, dtype=torch.float64)


@pytest.mark.parametrize("length", [511, 512, 513, 1100])
@pytest.mark.parametrize("window", [3, 511, 512, 513])
def test_windows_are_whole_at_every_edge_of_their_blocks(length, window):
    assert_defined(length, length + 30, window=window, heads=2, kv_heads=1)


@pytest.mark.parametrize(("width", "value_width"), [(8, 12), (12, 8), (8, 8)])
def test_values_may_be_wider_or_narrower_than_keys(width, value_width):
    assert_defined(200, 230, width=width, value_width=value_width)
    query, key, value = random_heads(9, 9, width=width, value_width=value_width)
    output, _ = causal_attention(query, key, value)
    expected, _ = by_the_definition(query, key, value, width**-0.5, None)
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=2e-5)


@given(cut=st.integers(1, 29), seed=st.integers(0, 1000))
def test_attention_to_two_halves_merges_to_attention_to_both(cut, seed):
    query, key, value = random_heads(5, 30, seed=seed)
    whole = attend(query, key, value, scale=0.5)
    halves = [
        attend(query, key[:, :, keys], value[:, :, keys], scale=0.5)
        for keys in (slice(None, cut), slice(cut, None))
    ]
    for merged in (merge(*halves), merge(*halves[::-1])):
        torch.testing.assert_close(merged, whole, rtol=0, atol=1e-5)


def test_a_part_that_nothing_attends_to_weighs_nothing():
    query, key, value = random_heads(3, 4)
    seen = attend(query, key, value, scale=0.5)
    far = attend(query, key - 1000 * query.sign().mean(2, keepdim=True)[:, :2], value, scale=0.5)
    output, lse = merge(seen, (far[0], torch.full_like(far[1], -torch.inf)))
    assert torch.equal(output, seen[0])
    assert torch.equal(lse, seen[1])


@pytest.mark.parametrize("length", [100, 300, 1600])
def test_half_precision_is_close(length):
    query, key, value = (part.bfloat16() for part in random_heads(length, length + 50))
    output, lse = causal_attention(query, key, value, scale=0.3)
    assert (output.dtype, lse.dtype) == (torch.bfloat16, torch.float32)
    expected, _ = by_the_definition(query, key, value, 0.3, None)
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=0.05)
