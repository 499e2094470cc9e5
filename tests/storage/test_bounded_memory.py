"""A bound on what may be allocated: what it stops, and that it leaves nothing behind."""

import resource
import threading

import numpy as np
import pyarrow as pa
import pytest

from rdpt_ray.storage.bounded_memory import bounded_memory

LIMITS = resource.getrlimit(resource.RLIMIT_AS)


def test_more_than_the_bound_is_a_memory_error_of_numpy_and_of_arrow():
    with bounded_memory(256 << 20):
        np.ones(16 << 20, np.int8)
        with pytest.raises(MemoryError):
            np.ones(1 << 34, np.int8)
        with pytest.raises(MemoryError):
            pa.allocate_buffer(1 << 34)  # more than Arrow may have kept from before
    assert np.ones(300 << 20, np.int8).nbytes == 300 << 20


def fail_within(num_bytes):
    with bounded_memory(num_bytes):
        assert resource.getrlimit(resource.RLIMIT_AS) != LIMITS
        raise KeyError


def test_the_limit_before_comes_back_whatever_happens():
    with pytest.raises(KeyError):
        fail_within(1 << 30)
    assert resource.getrlimit(resource.RLIMIT_AS) == LIMITS


def test_a_bound_never_lifts_a_lower_one():
    with bounded_memory(256 << 20):
        inner = resource.getrlimit(resource.RLIMIT_AS)
        with bounded_memory(1 << 40):
            assert resource.getrlimit(resource.RLIMIT_AS) == inner


def test_threads_that_overlap_leave_no_bound_behind():
    """The second of two threads used to restore the bound of the first, for the life of the process."""
    first_is_in, second_is_done = threading.Event(), threading.Event()

    def first():
        with bounded_memory(256 << 20):
            first_is_in.set()
            second_is_done.wait(0.5)

    def second():
        first_is_in.wait()
        with bounded_memory(512 << 20):
            second_is_done.set()
            leaving.join(0.5)

    leaving, later = threading.Thread(target=first), threading.Thread(target=second)
    for thread in (leaving, later):
        thread.start()
    for thread in (leaving, later):
        thread.join()
    assert resource.getrlimit(resource.RLIMIT_AS) == LIMITS
