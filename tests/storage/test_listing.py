"""A folder that cannot be listed is an error, on every kind of file system."""

import os

import fsspec
import pyarrow.fs
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.listing import files_below
from rdpt_ray.storage.parts import MANY_NAMES
from rdpt_ray.storage.scores import partial_parts, scored_parts
from rdpt_ray.storage.token_scores import parts_with_tokens

FILES = ["a/b/c/deep", "a/one", "a-sibling/x", "top"]


def written(root):
    for name in FILES:
        root.write_bytes(name, b"x")
    return root


def test_all_files_below_a_folder_and_no_others(any_root):
    written(any_root)
    assert any_root.names("") == sorted(FILES)
    assert any_root.names("a") == ["a/b/c/deep", "a/one"]
    assert any_root.names("a/b") == ["a/b/c/deep"]
    assert any_root.names("none") == []
    assert any_root.names("a/one") == []  # a file has nothing below it


def test_slices_are_the_names_that_begin_so(any_root):
    written(any_root)
    assert any_root.names("a", ["b/"]) == ["a/b/c/deep"]
    assert any_root.names("a", ["o", "x", "b"]) == ["a/b/c/deep", "a/one"]
    assert any_root.names("a", ["one"]) == ["a/one"]
    assert any_root.names("a", ["ones", "/"]) == []
    assert any_root.names("none", ["a", "b"]) == []


def test_many_parts_are_listed_in_slices_and_none_is_lost(tmp_path):
    root = open_root(str(tmp_path))
    keys = [f"{place:02x}{'0' * 30}" for place in range(0, 256, 5)]
    for place, key in enumerate(keys):
        root.write_bytes(f"scores/m/{key}.parquet", b"x")
        root.write_bytes(f"partial/m/{key}/some.parquet", b"x")
        root.write_bytes(f"tokens/m/d/bucket={place**3:04d}/{key}.parquet", b"x")
    for num_parts in (0, MANY_NAMES + 1):
        assert scored_parts(root, "m", num_parts) == set(keys)
        assert partial_parts(root, "m", num_parts) == set(keys)
        assert parts_with_tokens(root, "m", "d", num_parts) == set(keys)


def test_what_a_dead_writer_left_is_told_apart(any_root):
    written(any_root)
    any_root.write_bytes("a/.one.77.beef.tmp", b"half")
    any_root.write_bytes("a/.hidden", b"not ours")
    any_root.write_bytes("a/one.tmp", b"a name like any other")
    assert any_root.temporaries() == ["a/.one.77.beef.tmp"]
    assert any_root.temporaries("a/b") == []
    assert any_root.names("a") == ["a/b/c/deep", "a/one", "a/one.tmp"]


def test_a_folder_below_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    """fsspec's own walk leaves it out: what lies in it would be scored again."""
    root, scandir = written(open_root(str(tmp_path))), os.scandir

    def fails_deep_down(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fails_deep_down)
    with pytest.raises(StoreError, match=r"/a: cannot be listed: .*Permission denied.*/a/b"):
        root.names("a")


def test_a_folder_that_is_gone_meanwhile_is_empty(tmp_path, monkeypatch):
    root, scandir = written(open_root(str(tmp_path))), os.scandir

    def gone_deep_down(path):
        if str(path).endswith("/b"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", gone_deep_down)
    assert root.names("a") == ["a/one"]


def test_linked_folders_are_listed_too(tmp_path):
    root = written(open_root(str(tmp_path / "store")))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"x")
    os.symlink(tmp_path / "elsewhere", tmp_path / "store" / "linked")
    assert root.names("linked") == ["linked/file"]


# A file system whose `find` is fsspec's own


def test_it_is_walked_folder_by_folder(tmp_path):
    written(open_root(str(tmp_path)))
    fs = ArrowFSWrapper(pyarrow.fs.LocalFileSystem())
    found = sorted(files_below(fs, str(tmp_path)))
    assert found == [f"{tmp_path}/{name}" for name in sorted(FILES)]
    assert list(files_below(fs, f"{tmp_path}/none")) == []


class Fails(ArrowFSWrapper):
    """A disk with one folder that cannot be listed."""

    def ls(self, path, detail=False, **kwargs):
        if path.endswith("/c"):
            raise PermissionError(path)
        return super().ls(path, detail, **kwargs)


def test_a_fault_in_the_depth_is_an_error_there_too(tmp_path):
    written(open_root(str(tmp_path)))
    fs = Fails(pyarrow.fs.LocalFileSystem())
    assert f"{tmp_path}/a/one" in fsspec.AbstractFileSystem.find(fs, str(tmp_path))  # and no word
    with pytest.raises(PermissionError):
        list(files_below(fs, str(tmp_path)))
