"""One step of drawing, against the distribution that it should draw from."""

import numpy as np
import pytest
import torch

from rdpt_ray.sampling.draw import Draw
from rdpt_ray.sampling.engine import Ask
from rdpt_ray.sampling.streams import stream_seed
from tests.sampling.conftest import sampling

LOGITS = torch.tensor([2.0, 1.5, 0.3, -1.0, 1.5, -9.0, 0.0, -2.0])
NUM_ROWS = 4000
CHI_SQUARE_7 = 24.3
"""Exceeded once in a thousand, with 7 degrees of freedom; the seeds are fixed, so never or always."""


def one_step(**settings):
    asks = [Ask([1], stream_seed(0, "p", row), 5) for row in range(NUM_ROWS)]
    draw = Draw(asks, sampling(**settings), end=0, after_step=lambda: None)
    scores = LOGITS.repeat(NUM_ROWS, 1)
    left = draw(torch.ones((NUM_ROWS, 1), dtype=torch.long), scores)
    (tokens,), (given,) = draw.take()
    np.testing.assert_array_equal(left.argmax(-1).numpy(), tokens)
    assert (torch.isfinite(left).sum(-1) == 1).all()
    assert torch.equal(scores, LOGITS.repeat(NUM_ROWS, 1))  # `generate` may still need them
    # The log-probability is the model's own, whatever was cut off or flattened.
    np.testing.assert_allclose(given, LOGITS.log_softmax(-1).numpy()[tokens], atol=1e-6)
    return np.bincount(tokens, minlength=len(LOGITS))


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, range(8)),
        ({"temperature": 0.5}, range(8)),
        ({"temperature": 3}, range(8)),
        ({"top_k": 2, "temperature": 0.9}, [0, 1, 4]),  # two are equally likely
        ({"top_p": 0.8}, [0, 1, 4]),
        ({"top_p": 0.4, "top_k": 3}, [0]),
    ],
)
def test_frequencies_are_those_of_the_distribution(settings, kept):
    counts = one_step(**settings)
    probs = (LOGITS / settings.get("temperature", 1)).softmax(-1).double().numpy()
    allowed = np.isin(np.arange(8), list(kept))
    assert counts[~allowed].sum() == 0
    expected = NUM_ROWS * probs[allowed] / probs[allowed].sum()
    assert ((counts[allowed] - expected) ** 2 / expected).sum() < CHI_SQUARE_7


def test_temperature_0_takes_the_likeliest():
    assert one_step(temperature=0)[0] == NUM_ROWS


def test_a_row_at_its_limit_is_ended_and_logits_that_are_no_numbers_do_no_harm():
    asks = [Ask([1], 3, 1), Ask([1], 4, 9)]
    draw = Draw(asks, sampling(), end=5, after_step=lambda: None)
    ids = torch.ones((2, 1), dtype=torch.long)
    draw(ids, torch.full((2, 8), torch.nan))
    draw(ids, LOGITS.repeat(2, 1))
    tokens, given = draw.take()
    assert (tokens[0] < 8).all()
    assert np.isnan(given[0]).all()
    assert tokens[1, 0] == 5
    assert tokens[1, 1] != 5
