"""A process that is asked to end where it has no session yet, or no longer."""

import json
import os
import signal
import threading
from dataclasses import asdict

import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.errors import Interrupted
from rdpt_ray.pipeline.curate import curate
from rdpt_ray.pipeline.interrupts import interruptible
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.leases import lease_name, take_lease
from tests.pipeline.conftest import QUIET, config_tree
from tests.storage.test_sessions import ELSEWHERE


def soon(number):
    """Send this process a signal in half a second."""
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_waits_for_a_lease_leaves_in_good_order(tmp_path, number):
    """It died of the signal without a word, and a scheduler did not see that it may continue."""
    tree = {**config_tree(tmp_path, rows=[]), "schedule": {}}
    root = open_root(tree["store"])
    record = asdict(take_lease(root, "small", 60).record)
    name = lease_name("small", 1)
    root.write_bytes(name, json.dumps({**record, "process": ELSEWHERE}).encode())
    before = signal.getsignal(number)
    soon(number)
    with pytest.raises(Interrupted, match="run the same command again to continue") as stopped:
        curate(parse_config(tree), QUIET)
    assert stopped.value.exit_code == 75
    assert root.names("leases") == [name]
    assert signal.getsignal(number) == before


def test_a_thread_that_cannot_hear_works_all_the_same():
    seen = []

    def work():
        with interruptible():
            seen.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [1]
