import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.scoring.attention import packed_attention


def by_the_formula(query, key, value, scaling, segments, window):
    """Softmax of the scores in float64, under a mask spelt out pair by pair."""
    num_tokens = query.shape[2]
    trace_of = [number for number, length in enumerate(segments) for _ in range(length)]
    allowed = torch.tensor(
        [
            [
                trace_of[i] == trace_of[j] and j <= i and (window is None or i - j < window)
                for j in range(num_tokens)
            ]
            for i in range(num_tokens)
        ]
    )
    groups = query.shape[1] // key.shape[1]
    key, value = (part.double().repeat_interleave(groups, dim=1) for part in (key, value))
    scores = query.double() @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
    return (weights @ value).transpose(1, 2)


def random_heads(num_tokens, num_heads, num_key_heads, width, value_width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(num_heads, width), (num_key_heads, width), (num_key_heads, value_width)]
    return [
        torch.randn(1, heads, num_tokens, columns, generator=generator) * 2
        for heads, columns in shapes
    ]


@given(
    segments=st.lists(st.integers(1, 14), min_size=1, max_size=5),
    heads=st.sampled_from([(1, 1), (4, 2), (6, 1)]),
    window=st.sampled_from([None, 1, 2, 3, 5, 8, 100]),
    scaling=st.sampled_from([None, 0.1, 1.5]),
    seed=st.integers(0, 1000),
)
def test_each_trace_attends_to_itself_alone(segments, heads, window, scaling, seed):
    query, key, value = random_heads(sum(segments), *heads, 8, 8, seed)
    output, weights = packed_attention(
        torch.nn.Module(),
        query,
        key,
        value,
        None,
        scaling=scaling,
        segments=segments,
        sliding_window=window,
    )
    assert weights is None
    expected = by_the_formula(query, key, value, scaling, segments, window)
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=2e-5)


def test_values_may_be_wider_than_keys():
    query, key, value = random_heads(9, 4, 4, 8, 12)
    output, _ = packed_attention(torch.nn.Module(), query, key, value, None, segments=[4, 5])
    assert output.shape == (1, 9, 4, 12)
    expected = by_the_formula(query, key, value, None, [4, 5], None)
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=2e-5)


def test_without_segments_the_row_is_one_trace():
    query, key, value = random_heads(7, 2, 2, 8, 8)
    one, _ = packed_attention(torch.nn.Module(), query, key, value, None)
    same, _ = packed_attention(torch.nn.Module(), query, key, value, None, segments=[7])
    torch.testing.assert_close(one, same, rtol=0, atol=0)


def test_nothing_of_a_neighbour_is_seen_not_even_a_nan():
    query, key, value = random_heads(12, 2, 2, 8, 8)
    clean, _ = packed_attention(torch.nn.Module(), query, key, value, None, segments=[5, 7])
    for part in (query, key, value):
        part[:, :, 5:] = torch.nan
    spoilt, _ = packed_attention(torch.nn.Module(), query, key, value, None, segments=[5, 7])
    assert torch.equal(spoilt[:, :5], clean[:, :5])
    assert spoilt[:, 5:].isnan().all()


def test_windows_are_reported_layer_by_layer():
    query, key, value = random_heads(4, 2, 2, 8, 8)
    windows_seen = []
    for window in (None, 3, None, 7):
        packed_attention(
            torch.nn.Module(),
            query,
            key,
            value,
            None,
            sliding_window=window,
            windows_seen=windows_seen,
        )
    assert windows_seen == [3, 7]


def test_soft_capped_scores_are_refused():
    query, key, value = random_heads(4, 2, 2, 8, 8)
    with pytest.raises(NotImplementedError, match="soft-capped"):
        packed_attention(torch.nn.Module(), query, key, value, None, softcap=50.0)


@given(
    segments=st.lists(st.integers(1, 14), min_size=1, max_size=3),
    window=st.sampled_from([None, 1, 4]),
    seed=st.integers(0, 1000),
)
def test_a_sink_takes_its_share_of_every_softmax(segments, window, seed):
    query, key, value = random_heads(sum(segments), 4, 2, 8, 8, seed)
    sinks = torch.tensor([-2.0, 0.0, 1.5, 6.0])
    output, _ = packed_attention(
        torch.nn.Module(),
        query,
        key,
        value,
        None,
        segments=segments,
        sliding_window=window,
        s_aux=sinks,
    )
    # A sink is one more key of each trace, with this score and a value of zeros.
    start, expected = 0, []
    for length in segments:
        rows = slice(start, start + length)
        scores = query[0, :, rows].double() @ key[0, :, rows].double().repeat_interleave(2, 0).mT
        scores *= 8**-0.5
        distance = torch.arange(length)[:, None] - torch.arange(length)
        hidden = (distance < 0) | (distance >= (window or length))
        scores.masked_fill_(hidden, -torch.inf)
        joined = torch.cat([scores, sinks.double()[:, None, None].expand(4, length, 1)], dim=-1)
        weights = joined.softmax(-1)[..., :-1]
        expected.append(weights @ value[0, :, rows].double().repeat_interleave(2, 0))
        start += length
    expected = torch.cat(expected, dim=1).transpose(0, 1)
    torch.testing.assert_close(output[0].double(), expected, rtol=0, atol=2e-5)


def test_memory_of_a_windowed_trace_grows_with_the_window_alone():
    """No [T, T] mask or score: 8192 tokens would make one of 64 MiB in bytes, 256 MiB in floats."""
    query, key, value = random_heads(8192, 1, 1, 8, 8)
    with torch.profiler.profile(profile_memory=True) as profile:
        packed_attention(torch.nn.Module(), query, key, value, None, sliding_window=128)
        packed_attention(torch.nn.Module(), query, key, value, None)
    largest = max(
        event.self_device_memory_usage + event.self_cpu_memory_usage for event in profile.events()
    )
    assert largest < 4 * 2**20
