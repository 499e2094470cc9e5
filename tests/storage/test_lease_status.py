"""Who holds a lease, told from real stores: on a disk, in memory, behind an S3 API."""

import json
import os
import socket
import time
from dataclasses import asdict

import pytest

from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.lease_status import status_of_leases
from rdpt_ray.storage.leases import held_lease, lease_name, newest_lease
from tests.storage.test_sessions import ELSEWHERE, killed


def only(found):
    (lease,) = found
    return lease


def changed(root, schedule, **changes):
    """The newest record, as another process would have written it."""
    record = newest_lease(root, schedule)
    name = lease_name(schedule, record.number)
    root.write_bytes(name, json.dumps({**asdict(record), **changes}).encode())
    return name


def test_while_it_is_held_and_after(any_root):
    assert status_of_leases(any_root) == []
    for number in (1, 2):
        with held_lease(any_root, "nightly", 60):
            found = only(status_of_leases(any_root))
            assert (found.schedule, found.number, found.state) == ("nightly", number, "held")
            assert (found.host, found.lease_s) == (socket.gethostname(), 60)
            assert 0 <= found.silent_s < 60
        found = only(status_of_leases(any_root))
        assert (found.number, found.state, found.silent_s) == (number, "free", None)
    with held_lease(any_root, "weekly", 60):
        assert [each.state for each in status_of_leases(any_root)] == ["free", "held"]


def test_a_killed_holder_of_this_host_is_seen_at_once(any_root):
    with held_lease(any_root, "nightly", 60), killed() as (process, kill):
        changed(any_root, "nightly", process=process)
        assert only(status_of_leases(any_root)).state == "held"
        kill()
        assert only(status_of_leases(any_root)).state == "silent"


@pytest.mark.parametrize(("age_s", "state"), [(50, "held"), (70, "silent")])
def test_of_a_holder_elsewhere_the_age_counts(tmp_path, age_s, state):
    root = open_root(str(tmp_path))
    with held_lease(root, "nightly", 60):
        name = changed(root, "nightly", process=ELSEWHERE)
        then = time.time() - age_s
        os.utime(root.path(name), (then, then))
        found = only(status_of_leases(root))
    assert found.state == state
    assert found.silent_s == pytest.approx(age_s, abs=5)
