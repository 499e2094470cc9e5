"""What file systems say of a file for nothing: hashes, versions, times."""

import os
import time

import fsspec
import pytest

from rdpt_ray.storage.stamps import content_tag, stamp, stamp_of

LOCAL = fsspec.filesystem("file")


@pytest.mark.parametrize(
    ("info", "tag"),
    [
        ({"name": "x", "size": 3}, ""),
        ({"ETag": '"abc"'}, "etag:abc"),
        ({"md5Hash": "m", "etag": "e"}, "etag:e"),
        ({"blob_id": "b", "lfs": {"sha256": "s", "size": 1}}, "sha256:s"),
        ({"blob_id": "b", "lfs": None}, "blob_id:b"),
        ({"ETag": None}, ""),
    ],
)
def test_content_tag(info, tag):
    assert content_tag(info) == tag


@pytest.mark.parametrize(
    "change",
    [
        {"size": 4},
        {"ETag": "b"},
        {"LastModified": 2},
        {"generation": "2"},
        {"mtime": 2.5},
    ],
)
def test_a_stamp_far_away_holds_hash_version_and_time(change):
    info = {"size": 3, "ETag": "a", "LastModified": 1, "generation": "1", "mtime": 2.0}
    assert stamp_of({**info, "name": "elsewhere"}) == stamp_of(info)
    assert stamp_of({**info, **change}) != stamp_of(info)


def test_every_change_of_a_local_file_gives_another_stamp(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"0")
    seen = {stamp(LOCAL, str(path))}
    for count in range(1, 20):
        before = path.stat()
        path.write_bytes(str(count % 10).encode())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        seen.add(stamp(LOCAL, str(path)))
    assert len(seen) == 20


def test_a_young_file_is_waited_for_and_an_old_one_is_not(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"0")
    stamp(LOCAL, str(path))
    assert time.time_ns() - path.stat().st_ctime_ns >= 20_000_000
    begun = time.perf_counter()
    for _ in range(100):
        stamp(LOCAL, str(path))
    assert time.perf_counter() - begun < 0.5
