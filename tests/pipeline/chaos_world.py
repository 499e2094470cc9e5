"""A job on a Ray of several nodes on this machine, and what can be killed of it.

The driver is the command as a user runs it, in a process of its own; the nodes' processes are found by
looking at what the operating system runs.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

RDPT = Path(sys.executable).parent / "rdpt"


class Nodes:
    """A head and some workers of one CPU each."""

    def __init__(self, num_workers):
        self._num_workers = num_workers
        self.cluster = self.workers = None

    def start(self):
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": 200 * 2**20,
                "dashboard_agent_listen_port": 0,  # the usual one may be taken, or not yet free
            },
        )
        self.workers = [self._worker() for _ in range(self._num_workers)]

    def _worker(self):
        return self.cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)

    @property
    def address(self):
        return self.cluster.address

    def lose_worker(self, place):
        """A spot machine is taken away, with all that runs on it; another comes."""
        node = self.workers[place]
        for process in node_processes(node):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers[place] = self._worker()

    def lose_raylet(self, place):
        """Only the raylet dies; its workers notice."""
        node = self.workers[place]
        with suppress(psutil.NoSuchProcess):
            raylet(node).kill()
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers[place] = self._worker()

    def pause_worker(self, place):
        """A machine hangs: its processes are there and do nothing."""
        for process in node_processes(self.workers[place]):
            pause(process)

    def actors(self):
        """Processes of scoring actors, by their numbers."""
        nodes = [self.cluster.head_node, *self.workers]
        return scoring(process for node in nodes for process in node_processes(node))

    def stop(self):
        """Everything ends at once."""
        if self.cluster is None:
            return
        for node in [*self.workers, self.cluster.head_node]:
            for process in node_processes(node):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.cluster.shutdown()
        self.cluster = None


def raylet(node):
    info = node.all_processes["raylet"][0]
    return psutil.Process(info.process.pid)


def node_processes(node):
    """The raylet of a node, its children (workers among them), and Ray's other processes there."""
    found = []
    for infos in node.all_processes.values():
        for info in infos:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(info.process.pid)
                found += [*process.children(recursive=True), process]
    return found


def scoring(processes):
    """Those that host a model, by their numbers."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "ScorePart" in " ".join(process.cmdline()):
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


class Driver:
    """The command in a process of its own."""

    def __init__(self, config, store, address, log, *overrides):
        environment = os.environ | {"RAY_ADDRESS": address}
        self._log, self._told = log, log.with_suffix(".json")
        with log.open("ab") as stderr, self._told.open("wb") as stdout:
            self.process = subprocess.Popen(
                [str(RDPT), "curate", str(config), f"store={store}", *overrides, "--json"],
                stdout=stdout,
                stderr=stderr,
                env=environment,
            )

    @property
    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    @property
    def last_words(self):
        return f"exit {self.process.poll()}: {self._log.read_text()[-3000:]}"

    def outcome(self, timeout):
        """What it printed as JSON, once it is done."""
        self.process.wait(timeout)
        assert self.process.returncode == 0, self.last_words
        return json.loads(self._told.read_text().strip().splitlines()[-1])


class Mischief:
    """Kills things at random moments, the same ones for the same seed."""

    def __init__(self, nodes, seed):
        self.random = random.Random(seed)
        self._nodes = nodes
        self.done = []
        """What was killed, in order."""

    def strike(self, driver):
        """Kill one thing; True if the driver must be started again."""
        kinds = {"driver": 5, "actor": 12, "raylet": 4, "worker": 4, "cluster": 1}
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        if kind == "actor":
            found = self._nodes.actors()
            if not found:
                return False  # none is at work now; nothing was killed
            with suppress(psutil.NoSuchProcess):
                self.random.choice(found).kill()
        elif kind == "raylet":
            self._nodes.lose_raylet(self.random.randrange(len(self._nodes.workers)))
        elif kind == "worker":
            self._nodes.lose_worker(self.random.randrange(len(self._nodes.workers)))
        elif kind == "driver":
            driver.kill()
        else:
            self._nodes.stop()
            driver.kill()
            self._nodes.start()
        self.done.append(kind)
        return kind in ("driver", "cluster")


def committed(store):
    """Score file -> what tells whether it was written again."""
    found = {}
    for path in Path(store).glob("scores/*/*.parquet"):
        facts = path.stat()
        found[path.relative_to(store).as_posix()] = (facts.st_ino, facts.st_mtime_ns)
    return found


def sessions(store):
    """Records of drivers."""
    return [*Path(store).glob("runs/*/sessions/*.json")]


def parts_in_hand(store, node):
    """How many parts are being worked on by a node."""
    found = 0
    for path in Path(store).glob("attempts/*/*.json"):
        with suppress(FileNotFoundError):
            found += json.loads(path.read_text())["node"] == node.node_id
    return found


def in_hand(store):
    """How many parts are being worked on, or were when their process died."""
    return len(list(Path(store).glob("attempts/*/*.json")))


def wait_for(condition, what, timeout=120):
    """Wait until something is so."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"never seen: {what}"
        time.sleep(0.05)


def pause(process):
    """Stop a process without ending it."""
    with suppress(psutil.NoSuchProcess):
        os.kill(process.pid, signal.SIGSTOP)
