"""How long is waited, and for what."""

import itertools
import random
import time

import pytest

from rdpt_ray.storage.retrying import patiently


def fails(times, error):
    """A function that fails so often, and a list of the moments at which it was called."""
    calls = []

    def act():
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise error
        return "done"

    return act, calls


def test_it_is_tried_until_it_succeeds():
    act, calls = fails(4, ConnectionResetError("reset"))
    assert patiently(act, 2, "x") == "done"
    assert len(calls) == 5


def test_waits_grow_and_end_in_time():
    act, calls = fails(10**6, TimeoutError("late"))
    with pytest.raises(TimeoutError):
        patiently(act, 0.5, "x")
    assert calls[-1] - calls[0] < 5  # it sleeps longer than asked on a busy machine
    waits = [later - sooner for sooner, later in itertools.pairwise(calls)]
    assert len(waits) >= 3
    assert all(wait >= 0.5 / 100 * 2**number / 2 for number, wait in enumerate(waits))


def test_without_patience_it_is_tried_once():
    act, calls = fails(1, TimeoutError("late"))
    with pytest.raises(TimeoutError):
        patiently(act, 0, "x")
    assert len(calls) == 1


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), PermissionError(13, "no")])
def test_what_will_not_pass_is_told_at_once(error):
    act, calls = fails(1, error)
    with pytest.raises(type(error)):
        patiently(act, 60, "x")
    assert len(calls) == 1


def test_a_bug_is_not_a_fault():
    act, calls = fails(1, KeyError("bug"))
    with pytest.raises(KeyError):
        patiently(act, 60, "x")
    assert len(calls) == 1


def test_the_numbers_of_a_seeded_job_stay_as_they_are():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    patiently(fails(2, TimeoutError("late"))[0], 1, "x")
    assert random.random() == expected
