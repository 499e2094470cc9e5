"""Disks that are full, and processes that are killed at every step of a write."""

import json
import os
import random
import subprocess
import sys

import pyarrow as pa
import pytest

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root

SIZE = 256 * 1024
TABLE = pa.table({"noise": [random.Random(7).randbytes(60_000)]})  # does not compress
WRITES = {
    "write_bytes": lambda root: root.write_bytes("a/new", b"n" * 60_000),
    "write_table": lambda root: root.write_table("a/new", TABLE),
    "create": lambda root: root.create("a/new", b"n" * 60_000),
    "replace": lambda root: root.write_bytes("a/old", b"n" * 60_000),
}


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a disk of 256 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(**options):
        said = ",".join(f"{key}={value}" for key, value in {"size": SIZE, **options}.items())
        command = ["mount", "-t", "tmpfs", "-o", said, "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a disk cannot be mounted here: not root, or a container without the right")
        return disk

    yield mount
    subprocess.run(["umount", str(disk)], capture_output=True)


@pytest.mark.parametrize("write", WRITES)
def test_a_full_disk_is_told_and_harms_nothing(write, mounted):
    disk = mounted()
    root = open_root(str(disk))
    root.write_bytes("a/old", b"old")
    filler = disk / "filler"
    filler.write_bytes(b"f" * (SIZE - 32_000))
    with pytest.raises(StoreError) as caught:
        WRITES[write](root)
    name = "old" if write == "replace" else "new"
    done = "created" if write == "create" else "written"
    assert str(caught.value) == (
        f"{disk}/a/{name}: cannot be {done}: [Errno 28] No space left on device;"
        " free space there and run the same command again: it goes on from here"
    )
    assert root.read_bytes("a/old") == b"old"
    assert sorted(os.listdir(disk / "a")) == ["old"]
    filler.unlink()
    WRITES[write](root)
    assert len(root.read_bytes(f"a/{name}")) >= 60_000
    assert root.temporaries() == []


def test_a_disk_without_room_for_another_name(mounted):
    disk = mounted(nr_inodes=5)
    root = open_root(str(disk))
    root.write_bytes("a/file", b"x")
    root.write_bytes("b/file", b"x")
    with pytest.raises(StoreError, match=r"No space left on device.*; free space there"):
        root.write_bytes("c/file", b"x")
    assert root.names("") == ["a/file", "b/file"]
    assert root.temporaries() == []


# Every step of a write


STEPS = """
import io, json, os, shutil, signal, sys
from rdpt_ray.storage.files import open_root
folder, write, how = sys.argv[1:]
acts = {
    "write": lambda root: root.write_bytes("a/file", b"new" * 1000),
    "first": lambda root: root.write_bytes("b/file", b"new" * 1000),
    "create": lambda root: root.create("b/file", b"new" * 1000),
    "created": lambda root: root.create("a/file", b"new" * 1000),
}
root, seen = open_root(folder), []

def touches_the_disk(function):
    of_a_file = isinstance(getattr(function, "__self__", None), io.IOBase)
    return of_a_file or function is io.open or function.__module__ == "posix"

def act_until(step):
    left = step
    def at_every_call(frame, event, function):
        nonlocal left
        if event in ("c_call", "c_return") and touches_the_disk(function):
            left -= 1
            if left == 0 and how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if left == 0:
                raise KeyboardInterrupt
    sys.setprofile(at_every_call)
    acts[write](root)
    sys.setprofile(None)

def interrupted_at(step):
    child = os.fork()
    if not child:
        try:
            act_until(step)
        except KeyboardInterrupt:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

acts[write](root)  # whatever is loaded at the first time
shutil.rmtree(folder)
step, was_interrupted = 0, True
while was_interrupted:
    step += 1
    root.write_bytes("a/file", b"old")
    was_interrupted = interrupted_at(step)
    contents = {name: root.read_bytes(name).decode() for name in root.names("")}
    temporaries = root.temporaries()
    acts[write](root)  # the rerun
    rerun = {name: root.read_bytes(name).decode() for name in root.names("")}
    seen.append([contents, len(temporaries), rerun])
    shutil.rmtree(folder)
print(json.dumps(seen))
"""
OLD, NEW = "old", "new" * 1000


def steps(folder, write, how):
    """Per step at which the write was interrupted: what files hold, the temporaries, files after a rerun."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(folder), write, how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", ["kill", "interrupt"])
@pytest.mark.parametrize(
    ("write", "before", "after"),
    [
        ("write", {"a/file": OLD}, {"a/file": NEW}),
        ("first", {"a/file": OLD}, {"a/file": OLD, "b/file": NEW}),
        ("create", {"a/file": OLD}, {"a/file": OLD, "b/file": NEW}),
        ("created", {"a/file": OLD}, {"a/file": OLD}),
    ],
)
def test_at_every_step_a_name_holds_the_old_bytes_or_the_new(write, before, after, how, tmp_path):
    seen = steps(tmp_path / "store", write, how)
    assert len(seen) > 20
    contents = [state for state, _, _ in seen]
    assert contents[0] == before
    assert contents[-1] == after
    turn = contents.index(after)
    assert all(state == before for state in contents[:turn])
    assert all(state == after for state in contents[turn:])  # once it is there, it stays
    assert all(rerun == after for _, _, rerun in seen)
    left = [number for _, number, _ in seen]
    assert max(left) <= 1  # nobody but the sweeper sees it
    assert how == "interrupt" or max(left) == 1
    assert left[-1] == 0
