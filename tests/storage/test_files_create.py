"""Put if absent: of all who try, one makes the file."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root

RACERS = 8


def test_the_first_makes_the_file_and_nobody_else_does(any_root):
    assert any_root.create("a/claim", b"mine")
    assert not any_root.create("a/claim", b"yours")
    assert any_root.read_bytes("a/claim") == b"mine"
    assert any_root.names("") == ["a/claim"]


def test_a_name_that_was_given_up_can_be_taken_again(any_root):
    assert any_root.create("claim", b"first")
    any_root.delete("claim")
    assert any_root.create("claim", b"second")
    assert any_root.read_bytes("claim") == b"second"


def test_a_written_file_is_there_already(any_root):
    any_root.write_bytes("claim", b"written")
    assert not any_root.create("claim", b"created")
    assert any_root.read_bytes("claim") == b"written"


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_of_threads_that_race_one_wins(kind, request, tmp_path):
    root = open_root(str(tmp_path)) if kind == "local" else request.getfixturevalue("s3_root")
    root.write_bytes("warm", b"")  # the first call of a client looks for its login, alone
    for name in (f"claims/{number:02}" for number in range(10)):
        ready, made = threading.Barrier(RACERS), {}

        def race(racer, name=name, ready=ready, made=made):
            ready.wait()
            made[racer] = root.create(name, f"racer {racer}".encode() * 1000)

        racers = [threading.Thread(target=race, args=[racer]) for racer in range(RACERS)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        (winner,) = [racer for racer, won in made.items() if won]
        assert len(made) == RACERS
        assert root.read_bytes(name) == f"racer {winner}".encode() * 1000


RACER = """
import sys, time
from rdpt_ray.storage.files import open_root
root, racer = open_root(sys.argv[1]), sys.argv[2]
root.write_bytes(f"ready/{racer}", b"")
while len(root.names("ready")) < int(sys.argv[3]):
    time.sleep(0.001)
print(*(int(root.create(f"claims/{number}", racer.encode())) for number in range(50)))
"""


def test_of_processes_that_race_one_wins(tmp_path):
    number = 4
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, tmp_path, str(racer), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for racer in range(number)
    ]
    won = [[int(one) for one in racer.communicate()[0].split()] for racer in racers]
    assert [sum(one) for one in zip(*won, strict=True)] == [1] * 50
    holders = [int(open_root(str(tmp_path)).read_bytes(f"claims/{claim}")) for claim in range(50)]
    assert all(won[holder][claim] for claim, holder in enumerate(holders))
    assert sorted(os.listdir(tmp_path / "claims")) == sorted(str(claim) for claim in range(50))


def test_what_cannot_be_created_is_named_and_leaves_nothing(tmp_path):
    root = open_root(str(tmp_path))
    root.write_bytes("file", b"x")
    with pytest.raises(StoreError, match=f"{tmp_path}/file/claim: cannot be created: "):
        root.create("file/claim", b"y")
    assert os.listdir(tmp_path) == ["file"]


# File systems that are mounted like a disk and are none


def test_a_link_whose_answer_was_lost_is_ours(tmp_path, monkeypatch):
    """An NFS client asks again when it hears nothing, and is told that the name is taken: by itself."""
    link = os.link

    def link_twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    root = open_root(str(tmp_path))
    assert root.create("claim", b"mine")
    assert not root.create("claim", b"yours")
    assert root.read_bytes("claim") == b"mine"
    assert os.listdir(tmp_path) == ["claim"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_without_hard_links_the_first_wins_too(code, tmp_path, monkeypatch):
    def no_links(source, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", no_links)
    root = open_root(str(tmp_path))
    assert root.create("claim", b"mine")
    assert not root.create("claim", b"yours")
    assert root.read_bytes("claim") == b"mine"
    assert os.listdir(tmp_path) == ["claim"]


def test_another_fault_of_link_is_told(tmp_path, monkeypatch):
    def no_room(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", no_room)
    with pytest.raises(StoreError, match=r"claim: cannot be created: .*No space left"):
        open_root(str(tmp_path)).create("claim", b"mine")
    assert os.listdir(tmp_path) == []
