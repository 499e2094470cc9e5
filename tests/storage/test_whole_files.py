"""Servers with folders that fsspec writes to in place (SFTP, FTP, HDFS, SMB): whole files there too.

Arrow's file system stands for them: HDFS is reached through it. The disk is real, and the subclasses below
do to it what such servers do.
"""

import io
import os

import fsspec
import pyarrow.fs
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root


class Server(ArrowFSWrapper):
    """A disk behind Arrow."""

    protocol = "arrowdisk"
    cachable = False

    def __init__(self, **kwargs):
        super().__init__(pyarrow.fs.LocalFileSystem(), **kwargs)

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix(f"{cls.protocol}://")


class RefusesToReplace(Server):
    """As HDFS and SMB do."""

    protocol = "refuses"

    def mv(self, path1, path2, **kwargs):
        if self.exists(path2):
            raise FileExistsError(path2)
        super().mv(path1, path2)


class RefusesInSilence(Server):
    """As WebHDFS does: its answer holds `false`, and nobody looks."""

    protocol = "silent"

    def mv(self, path1, path2, **kwargs):
        if not self.exists(path2):
            super().mv(path1, path2)


class LosesAnswers(Server):
    """Moves, and the connection is gone."""

    protocol = "loses"

    def mv(self, path1, path2, **kwargs):
        super().mv(path1, path2)
        raise ConnectionResetError("told to")


class Busy(Server):
    """Refuses for another reason, twice."""

    protocol = "busy"
    left = 2

    def mv(self, path1, path2, **kwargs):
        Busy.left -= 1
        if Busy.left >= 0:
            raise TimeoutError("told to")
        super().mv(path1, path2)


class CutsOff(Server):
    """Takes half of what is sent, and says nothing."""

    protocol = "cuts"

    def _open(self, path, mode="rb", **kwargs):
        stream = super()._open(path, mode, **kwargs)
        return Half(stream) if mode == "wb" else stream


class Half(io.RawIOBase):
    def __init__(self, stream):
        self.stream = stream

    def write(self, data):
        return self.stream.write(data[: len(data) // 2])

    def close(self):
        self.stream.close()
        super().close()


KINDS = [Server, RefusesToReplace, RefusesInSilence, LosesAnswers]
for kind in [*KINDS, Busy, CutsOff]:
    fsspec.register_implementation(kind.protocol, kind, clobber=True)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.protocol)
def root(request, tmp_path):
    return open_root(f"{request.param.protocol}://{tmp_path}/store", patience_s=0.3)


def test_files_appear_and_are_replaced(root, tmp_path):
    root.write_bytes("a/b/file", b"old and long")
    assert root.read_bytes("a/b/file") == b"old and long"
    root.write_bytes("a/b/file", b"new")
    assert root.read_bytes("a/b/file") == b"new"
    assert os.listdir(tmp_path / "store" / "a" / "b") == ["file"]
    assert root.names("") == ["a/b/file"]
    root.delete("a/b/file")
    assert not root.exists("a/b/file")


def test_the_first_makes_a_file_and_the_next_does_not(root, tmp_path):
    assert root.create("a/claim", b"mine")
    assert not root.create("a/claim", b"yours")
    assert root.read_bytes("a/claim") == b"mine"
    assert os.listdir(tmp_path / "store" / "a") == ["claim"]


def test_pieces_can_be_read(root):
    root.write_bytes("file", bytes(range(100)))
    with root.opened("file") as stream:
        stream.seek(-3, 2)
        assert stream.read() == bytes([97, 98, 99])


def test_the_final_name_is_never_written_to(tmp_path, monkeypatch):
    """A writer that dies leaves what nobody sees."""
    opened = []
    whole = Server._open

    def spy(self, path, mode="rb", **kwargs):
        if mode == "wb":
            opened.append(os.path.basename(path))
        return whole(self, path, mode, **kwargs)

    monkeypatch.setattr(Server, "_open", spy)
    open_root(f"arrowdisk://{tmp_path}").write_bytes("a/file", b"x")
    (name,) = opened
    assert name.startswith(".file.")
    assert name.endswith(".tmp")


def test_a_file_is_not_given_up_because_a_server_is_busy(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    removed = []
    monkeypatch.setattr(Busy, "rm_file", lambda self, path: removed.append(os.path.basename(path)))
    open_root(f"busy://{tmp_path}", patience_s=1).write_bytes("file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(removed) == 2
    assert "file" not in removed


def test_what_did_not_arrive_whole_does_not_appear(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    root = open_root(f"cuts://{tmp_path}")
    with pytest.raises(StoreError, match="4 bytes were sent, 2 arrived"):
        root.write_bytes("file", b"news")
    assert root.read_bytes("file") == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_object_stores_are_put_to_directly(s3_store, s3_root):
    s3_store.requests.clear()
    s3_root.write_bytes("a/file", b"x")
    assert [method for method, _ in s3_store.requests] == ["PUT"]
