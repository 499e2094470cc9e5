"""What network file systems do to those who treat them as disks; the functions of `os` say so."""

import errno
import os

import pytest

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root


def fault(code):
    return OSError(code, os.strerror(code))


@pytest.fixture
def root(tmp_path):
    """A root with an old file, that gives up soon."""
    root = open_root(str(tmp_path), patience_s=0.3)
    root.write_bytes("a/file", b"old")
    return root


def done_and_denied(monkeypatch, function, code):
    """Let a function of `os` do what it is asked and then say that it failed."""
    done = getattr(os, function)

    def deny(*args, **kwargs):
        done(*args, **kwargs)
        raise fault(code)

    monkeypatch.setattr(os, function, deny)


def failing(monkeypatch, function, code, times):
    """Let a function of `os` fail so many times, with nothing done."""
    whole, left = getattr(os, function), times

    def fail(*args, **kwargs):
        nonlocal left
        left -= 1
        if left >= 0:
            raise fault(code)
        return whole(*args, **kwargs)

    monkeypatch.setattr(os, function, fail)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_a_rename_whose_answer_was_lost_is_done(code, root, monkeypatch):
    """The client asks again, and the temporary file is not there any more."""
    done_and_denied(monkeypatch, "replace", code)
    root.write_bytes("a/file", b"new")
    assert root.read_bytes("a/file") == b"new"
    assert os.listdir(f"{root.uri}/a") == ["file"]


@pytest.mark.parametrize("code", [errno.EEXIST, errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_a_link_whose_answer_was_lost_is_done(code, root, monkeypatch):
    done_and_denied(monkeypatch, "link", code)
    assert root.create("a/claim", b"mine")
    assert sorted(os.listdir(f"{root.uri}/a")) == ["claim", "file"]


def test_a_rename_that_was_not_done_is_not_taken_for_one(root, monkeypatch):
    failing(monkeypatch, "replace", errno.EACCES, times=1)
    with pytest.raises(StoreError, match=r"a/file: cannot be written: .*Permission denied"):
        root.write_bytes("a/file", b"new")
    assert root.read_bytes("a/file") == b"old"
    assert root.temporaries() == []


@pytest.mark.parametrize("function", ["replace", "link", "fsync", "mkdir"])
def test_a_stale_handle_is_tried_again(function, root, monkeypatch):
    failing(monkeypatch, function, errno.ESTALE, times=3)
    root.write_bytes("a/file", b"new")
    assert root.create("new/claim", b"mine")
    assert not root.create("new/claim", b"yours")
    assert (root.read_bytes("a/file"), root.read_bytes("new/claim")) == (b"new", b"mine")
    assert root.temporaries() == []


def test_a_handle_that_stays_stale_is_told(root, monkeypatch):
    failing(monkeypatch, "scandir", errno.ESTALE, times=10**6)
    with pytest.raises(StoreError, match=r"a: cannot be listed: .*Stale file handle; run the same"):
        root.names("a")


def test_new_folders_are_flushed_from_the_top_down(root, monkeypatch):
    """A file that outlives a power cut is of no use in a folder that does not."""
    fsync, flushed = os.fsync, []

    def spy(descriptor):
        flushed.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), root.uri))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    root.write_bytes("b/c/file", b"x")
    assert [name for name in flushed if not name.endswith(".tmp")] == [".", "b", "b/c"]


def flushing(monkeypatch, code, of_folders):
    """Let `fsync` fail, of folders or of files."""
    fsync = os.fsync

    def fail(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}") == of_folders:
            raise fault(code)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_folders_that_cannot_be_flushed_are_none_of_ours(code, root, monkeypatch):
    flushing(monkeypatch, code, of_folders=True)
    root.write_bytes("a/file", b"new")
    assert root.create("a/claim", b"mine")
    assert root.read_bytes("a/file") == b"new"


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT])
def test_a_file_that_cannot_be_flushed_is_not_there(code, root, monkeypatch):
    """Its bytes may never reach the disk: that must not become visible under any name."""
    flushing(monkeypatch, code, of_folders=False)
    with pytest.raises(StoreError, match="a/file: cannot be written"):
        root.write_bytes("a/file", b"new")
    with pytest.raises(StoreError, match="a/claim: cannot be created"):
        root.create("a/claim", b"mine")
    assert os.listdir(f"{root.uri}/a") == ["file"]
    assert root.read_bytes("a/file") == b"old"


def test_a_temporary_file_that_cannot_be_removed_is_left_to_the_sweeper(root, monkeypatch):
    failing(monkeypatch, "unlink", errno.EIO, times=1)
    assert root.create("a/claim", b"mine")
    assert root.names("a") == ["a/claim", "a/file"]
    assert len(root.temporaries("a")) == 1
