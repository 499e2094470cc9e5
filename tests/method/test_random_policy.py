"""The policy `random`: reproducible from seed and trace alone, uniform, and new with each seed."""

import hashlib
import math

import numpy as np

from rdpt_ray.method.selection import POLICIES, Candidate, RoleScores, policy_named


def trace(trace_id, *, num_chars=10):
    nothing = RoleScores(np.array([]), np.array([], np.int64))
    return Candidate(trace_id, num_chars, np.array([], np.int8), nothing, nothing)


def test_a_hash_of_seed_and_trace_alone():
    one, twin = trace("mixed"), trace("mixed", num_chars=1)
    digest = hashlib.sha256(b"7:mixed").hexdigest()
    seven = policy_named("random", seed=7)
    assert seven([one]) == [int(digest[:12], 16) / 16**12] == seven([twin])
    assert policy_named("random", seed=8)([one]) != seven([one])
    assert POLICIES["random"]([one]) == policy_named("random")([one])
    assert policy_named("random")([one]) == policy_named("random", seed=0)([one])


def test_uniform_and_each_seed_picks_anew():
    traces = [trace(f"{number:032x}") for number in range(2000)]
    draws = np.array([policy_named("random", seed=seed)(traces) for seed in (0, 1)])
    assert 0 <= draws.min() <= draws.max() < 1
    # 5 standard errors of the mean, of a decile's count, and of a correlation of nothing
    assert np.abs(draws.mean(axis=1) - 0.5).max() < 5 * math.sqrt(1 / 12 / 2000)
    deciles = np.histogram(draws[0], bins=10, range=(0, 1))[0]
    assert np.abs(deciles - 200).max() < 5 * math.sqrt(2000 * 0.1 * 0.9)
    assert abs(np.corrcoef(draws)[0, 1]) < 5 / math.sqrt(2000)
