import subprocess
import sys

import pytest
import torch
from torch.nn.functional import linear

from rdpt_ray.scoring.engine import BRIER_TOP, RANK_CAP
from rdpt_ray.scoring.head import MIN_ROWS, TOKEN_TILE, TiledHead, plain_logprobs

EMBEDDING = 24
TILE = TOKEN_TILE["cpu"]


def tiled_logprobs(hidden, weight, bias, targets):
    return TiledHead(weight, bias)(hidden, targets).logprobs


def case(num_rows, vocabulary, *, bias=False, scale=1.0, seed=0):
    """Hidden states, output embedding, bias or None, and targets that include both ends."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(num_rows, EMBEDDING, generator=generator)
    weight = torch.randn(vocabulary, EMBEDDING, generator=generator) * scale
    offsets = torch.randn(vocabulary, generator=generator) * scale if bias else None
    targets = torch.randint(vocabulary, (num_rows,), generator=generator)
    edges = [0, vocabulary - 1, 2047, 2048, 4095, 4096, 8191, 8192]
    for row, target in enumerate(edge for edge in edges if edge < vocabulary):
        if row < num_rows:
            targets[row] = target
    return hidden, weight, offsets, targets


def exact(hidden, weight, bias, targets):
    bias = None if bias is None else bias.double()
    logits = linear(hidden.double(), weight.double(), bias)
    return logits.log_softmax(1).gather(1, targets[:, None]).squeeze(1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("vocabulary", [1, 2, 300, 2047, 2048, 2049, 4096, 9000])
def test_tiles_add_up_at_every_edge_of_the_vocabulary(vocabulary, bias):
    inputs = case(40, vocabulary, bias=bias)
    result = tiled_logprobs(*inputs)
    assert (result.dtype, result.shape) == (torch.float32, (40,))
    torch.testing.assert_close(result.double(), exact(*inputs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_rows", [1, 2, 15, 16, 17, 511, 512, 513, 1023, 1024, 1025, 1600])
def test_tiles_add_up_at_every_edge_of_the_rows(num_rows):
    inputs = case(num_rows, 500)
    torch.testing.assert_close(tiled_logprobs(*inputs).double(), exact(*inputs), rtol=0, atol=1e-5)


def test_no_rows_no_numbers():
    hidden, weight, _, targets = case(0, 500)
    result = tiled_logprobs(hidden, weight, None, targets)
    assert (result.dtype, result.shape) == (torch.float32, (0,))


@pytest.mark.parametrize("num_rows", [1, 3, 20, TILE + 1, 2 * TILE + 3])
def test_a_rows_number_does_not_depend_on_the_rows_beside_it(num_rows):
    """To the bit, on one thread: MKL sums in another order under 4 rows, so no tile is that small."""
    assert MIN_ROWS >= 4
    hidden, weight, _, targets = case(1600, 4300, scale=2.0)
    together = tiled_logprobs(hidden, weight, None, targets)
    for start in (0, 7, 1600 - num_rows):
        rows = slice(start, start + num_rows)
        apart = tiled_logprobs(hidden[rows].clone(), weight, None, targets[rows].clone())
        assert torch.equal(apart, together[rows])


@pytest.mark.parametrize("path", ["tiled", "plain"])
def test_extreme_logits_neither_overflow_nor_pass_zero(path):
    vocabulary = 4200
    hidden = torch.eye(4)
    weight = torch.zeros(vocabulary, 4)
    weight[0, 0], weight[1, 0] = 1e4, -1e4  # one certain token
    weight[:, 1] = -1e4  # all tokens equally hopeless
    weight[4199, 2] = 1e4  # the certain one in the last tile
    weight[5, 3] = weight[4198, 3] = 1e4  # a tie over two tiles
    ask = [(0, 0), (0, 1), (0, 7), (1, 3), (2, 4199), (2, 0), (3, 5), (3, 4198)]
    rows = torch.tensor([row for row, _ in ask])
    targets = torch.tensor([target for _, target in ask])
    if path == "tiled":
        result = tiled_logprobs(hidden[rows], weight, None, targets)
    else:
        result = plain_logprobs(linear(hidden[rows], weight), targets)
    expected = exact(hidden[rows], weight, None, targets)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-3)
    assert result[0] == 0
    assert result[1] == -2e4
    assert (result <= 0).all()


@pytest.mark.parametrize("path", ["tiled", "plain"])
def test_rounding_never_leaves_a_probability_above_one(path):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4000, 3, generator=generator)
    logits[:, 0] += 16.5  # so probable that log p is within rounding of 0
    targets = torch.zeros(4000, dtype=torch.int64)
    if path == "tiled":
        result = tiled_logprobs(logits, torch.eye(3), None, targets)
    else:
        result = plain_logprobs(logits, targets)
    unclamped = logits[:, 0] - logits.logsumexp(1)
    assert (unclamped > -1e-5).sum() > 1000, "the case is near the edge"
    assert (result <= 0).all()
    assert (result > -1e-3).all()


def test_a_nan_stays_in_its_row():
    hidden, weight, _, targets = case(20, 4300)
    clean = tiled_logprobs(hidden, weight, None, targets)
    hidden[3, 5], hidden[11] = torch.nan, torch.inf
    spoilt = tiled_logprobs(hidden, weight, None, targets)
    bad = torch.tensor([row in (3, 11) for row in range(20)])
    assert spoilt[bad].isnan().all()
    assert torch.equal(spoilt[~bad], clean[~bad])


def test_a_target_outside_the_vocabulary_is_no_number():
    hidden, weight, _, targets = case(20, 4300)
    targets[4], targets[9] = 4300, 9999
    outside = tiled_logprobs(hidden, weight, None, targets).isnan()
    assert outside.nonzero().flatten().tolist() == [4, 9]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_half_precision_is_close_and_summed_in_float32(dtype, tolerance):
    hidden, weight, bias, targets = case(40, 9000, bias=True)
    parts = [part.to(dtype) for part in (hidden, weight, bias)]
    result = tiled_logprobs(*parts, targets)
    assert result.dtype == torch.float32
    expected = exact(*(part.float() for part in parts), targets)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("vocabulary", [4095, 9000])
def test_the_plain_path_agrees(vocabulary):
    hidden, weight, bias, targets = case(40, vocabulary, bias=True)
    result = plain_logprobs(linear(hidden, weight, bias), targets)
    assert result.dtype == torch.float32
    torch.testing.assert_close(
        result.double(), exact(hidden, weight, bias, targets), rtol=0, atol=1e-5
    )


def test_no_tile_outgrows_a_processors_cache():
    hidden, weight, _, targets = case(4096, 5000)
    with torch.profiler.profile(profile_memory=True) as profile:
        tiled_logprobs(hidden, weight, None, targets)
    assert max(event.self_cpu_memory_usage for event in profile.events()) <= 512 * 4096 * 4


@pytest.mark.parametrize("hidden_columns", [range(3), range(20), range(2048, 2100)])
def test_tokens_that_cannot_be_are_no_obstacle(hidden_columns):
    hidden, weight, _, targets = case(30, 5000)
    bias = torch.zeros(5000)
    bias[list(hidden_columns)] = -torch.inf
    targets = targets % 1000 + 500
    result = tiled_logprobs(hidden, weight, bias, targets)
    expected = exact(hidden, weight, bias, targets)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("depth", [-60.0, -1e4, -1e9, torch.finfo(torch.float32).min])
def test_a_tile_that_begins_far_below_the_rest_loses_nothing(depth):
    hidden, weight, _, targets = case(30, 5000)
    bias = torch.zeros(5000)
    bias[:20] = bias[2048:2068] = depth
    targets = targets % 1000 + 500
    result = tiled_logprobs(hidden, weight, bias, targets)
    expected = exact(hidden, weight, bias, targets)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-5)


def test_signals_do_not_depend_on_the_rows_beside_them():
    hidden, weight, _, targets = case(200, 9000, scale=0.5)
    head = TiledHead(weight, signals=["rank", "brier"])
    together = head(hidden, targets)
    spoilt = hidden.clone()
    spoilt[150] = torch.nan
    beside_nan = head(spoilt, targets)
    for start in range(0, 140, 20):
        rows = slice(start, start + 20)
        apart = head(hidden[rows].clone(), targets[rows])
        for scores in (together, beside_nan):
            assert torch.equal(apart.ranks, scores.ranks[rows])
            assert torch.equal(apart.briers, scores.briers[rows])


SHAPES = {
    "soft cap": lambda logits: torch.tanh(logits / 5.0) * 5.0,
    "scale": lambda logits: logits / 8.0,
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_comes_after_the_map_is_done_tile_by_tile(name):
    hidden, weight, bias, targets = case(40, 9000, bias=True)
    result = TiledHead(weight, bias, shape=SHAPES[name])(hidden, targets).logprobs
    logits = SHAPES[name](linear(hidden.double(), weight.double(), bias.double()))
    expected = logits.log_softmax(1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-5)


def signals_by_definition(logits, targets):
    """Rank and Brier score as the papers' code has them, row by row in float64."""
    ranks, briers = [], []
    for row, target in zip(logits.double(), targets.tolist(), strict=True):
        top = row.topk(min(BRIER_TOP, len(row)))
        shares = top.values.softmax(0)
        place = (top.indices == target).nonzero().flatten()
        share = shares[place[0]].item() if len(place) else 0.0
        ranks.append(min(RANK_CAP, 1 + int((row > row[target]).sum())))
        briers.append(1 - 2 * share + float(shares.square().sum()))
    return torch.tensor(ranks), torch.tensor(briers)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("vocabulary", [3, 49, 50, 51, 100, 1000, 2047, 2049, 2098, 9000])
def test_signals_are_those_of_the_definition(vocabulary, bias):
    hidden, weight, offsets, targets = case(200, vocabulary, bias=bias, scale=0.5)
    logits = linear(hidden, weight, offsets)
    likely = logits.argsort(dim=1, descending=True)
    for row in range(100):  # half the targets among the likely ones, around both limits
        targets[row] = likely[row, min([0, 1, 48, 49, 50, 98, 99, 100][row % 8], vocabulary - 1)]
    scores = TiledHead(weight, offsets, signals=["rank", "brier"])(hidden, targets)
    ranks, briers = signals_by_definition(logits, targets)
    assert scores.ranks.tolist() == ranks.tolist()
    torch.testing.assert_close(scores.briers.double(), briers.double(), rtol=0, atol=1e-5)
    plain = TiledHead(weight, offsets)(hidden, targets)
    assert torch.equal(plain.logprobs, scores.logprobs)
    assert (plain.ranks, plain.briers) == (None, None)


def test_tokens_equally_likely_share_the_better_rank():
    weight = torch.zeros(300, 4)
    weight[7, 0] = weight[9, 0] = 1.0
    hidden = torch.eye(4)[[0, 0, 0, 1]]
    scores = TiledHead(weight, signals=["rank"])(hidden, torch.tensor([7, 9, 5, 5]))
    assert scores.ranks.tolist() == [1, 1, 3, 1]


# VmHWM and not getrusage, whose peak a child inherits from the process that started it.
MEASURE = """
import torch
from rdpt_ray.scoring.head import TiledHead, plain_logprobs
torch.set_num_threads(1)
rows, vocabulary = 256, 152_000
hidden, weight = torch.randn(rows, 16), torch.randn(vocabulary, 16)
targets = torch.randint(vocabulary, (rows,))
def peak():
    lines = open("/proc/self/status").read().splitlines()
    (kibibytes,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kibibytes) * 1024
TiledHead(weight[:8192])(hidden[:16], targets[:16] % 8192)
open("/proc/self/clear_refs", "w").write("5")  # forget the peak of the imports
before = peak()
TiledHead(weight)(hidden, targets)
tiled = peak()
plain_logprobs(torch.nn.functional.linear(hidden, weight), targets)
print(tiled - before, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_vocabulary():
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    tiled, full = map(int, done.stdout.split())
    assert full > 256 * 152_000 * 4 * 0.9, "the measure sees a full [rows, vocabulary]"
    assert tiled < full / 8
