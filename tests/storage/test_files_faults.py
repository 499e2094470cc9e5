"""A store that answers badly: every operation, every fault, against a real S3 API that is told to fail.

The client's own patience (s3fs and botocore ask five times) is switched off, so that ours is tested.
"""

import gc
import itertools
import time
from collections import Counter

import pytest
import s3fs

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import open_root
from tests.storage.conftest import BUCKET
from tests.storage.s3_server import ALWAYS, Fault

CONTENT = b"content " * 1000


def read_in_pieces(root):
    with root.opened("there/file") as stream:
        stream.seek(-8, 2)
        last = stream.read()
        stream.seek(8)
        return stream.read(8) + last


def write(root):
    root.write_bytes("there/new", CONTENT)
    return root.read_bytes("there/new") == CONTENT


def create(root):
    return root.create("there/claim", b"mine"), root.read_bytes("there/claim")


def create_again(root):
    return root.create("there/file", b"mine"), len(root.read_bytes("there/file"))


def delete(root):
    root.delete("there/other")
    return root.names("there")


OPERATIONS = {
    "exists": (lambda root: root.exists("there/file"), True),
    "does not exist": (lambda root: root.exists("there/none"), False),
    "names": (lambda root: root.names(""), ["there/file", "there/other"]),
    "no names": (lambda root: root.names("none"), []),
    "read": (lambda root: root.read_bytes("there/file"), CONTENT),
    "read many": (
        lambda root: root.read_many(["there/file", "there/none", "there/other"]),
        {"there/file": CONTENT, "there/other": b"x"},
    ),
    "read in pieces": (read_in_pieces, b"content content "),
    "write": (write, True),
    "create": (create, (True, b"mine")),
    "create again": (create_again, (False, len(CONTENT))),
    "delete": (delete, ["there/file"]),
}
KINDS = ["500", "503", "reset", "slow", "truncate", "forget", "hang_up"]


@pytest.fixture(scope="module")
def impatient(s3_store):
    """The server, whose clients ask once and wait less than a second for the answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        patch.setattr(s3fs.S3FileSystem, "read_timeout", 0.8)
        s3fs.S3FileSystem.clear_instance_cache()
        yield s3_store
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def faulty(impatient, s3_root):
    """The server, and the URI of a root with two files."""
    s3_root.write_bytes("there/file", CONTENT)
    s3_root.write_bytes("there/other", b"x")
    impatient.requests.clear()
    return impatient, s3_root.uri


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_faults_that_end_change_nothing(operation, kind, faulty):
    s3, uri = faulty
    act, expected = OPERATIONS[operation]
    fault = Fault(kind, path=f"/{BUCKET}", times=1 if kind == "slow" else 2, seconds=1.2)
    with s3.failing(fault):
        assert act(open_root(uri, patience_s=20)) == expected
    assert fault.times == 0 or kind == "truncate"  # what has no body cannot be cut


@pytest.mark.parametrize(
    ("operation", "kind"),
    [*itertools.product(OPERATIONS, ["503", "reset"]), ("read", "slow"), ("write", "500")],
)
def test_faults_that_do_not_end_are_told_in_time(operation, kind, faulty):
    s3, uri = faulty
    root, began = open_root(uri, patience_s=2 if kind == "slow" else 0.3), time.monotonic()
    fault = Fault(kind, path=f"/{BUCKET}", times=ALWAYS, seconds=1.2)
    with s3.failing(fault), pytest.raises(StoreError) as caught:
        OPERATIONS[operation][0](root)
    assert time.monotonic() - began < 30  # a second, on a machine that has nothing else to do
    assert ALWAYS - fault.times > 1  # it was tried again
    told = str(caught.value)
    assert told.startswith(f"{uri}/")
    assert "cannot be" in told
    assert "run the same command again when it answers" in told
    fault_says = {"500": "told to fail|Internal Server Error", "503": "told to fail|Service Unav"}
    caught.match(fault_says.get(kind, "endpoint|Connection|imeout"))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refusal_is_told_at_once(operation, faulty):
    s3, uri = faulty
    with (
        s3.failing(Fault("403", path=f"/{BUCKET}", times=ALWAYS)),
        pytest.raises(StoreError) as caught,
    ):
        OPERATIONS[operation][0](open_root(uri))
    caught.match("told to fail|Forbidden")
    assert "run the same command" not in str(caught.value)
    twice = operation == "read many"  # together, and then by itself to be named
    assert max(Counter(s3.requests).values()) == 1 + twice


@pytest.mark.parametrize("kind", ["500", "503", "403", "reset"])
def test_a_bucket_that_cannot_be_listed_is_not_empty(kind, faulty):
    """s3fs answers that a bucket is not there when it cannot know."""
    s3, _ = faulty
    root = open_root(f"s3://{BUCKET}", patience_s=0.3)
    with (
        s3.failing(Fault(kind, times=ALWAYS)),
        pytest.raises(StoreError, match=f"s3://{BUCKET}/: cannot be listed"),
    ):
        root.names("")
    assert root.names("")


def test_what_is_not_there_is_told_at_once(faulty):
    s3, uri = faulty
    with pytest.raises(StoreError, match="there/none: cannot be read"):
        open_root(uri).read_bytes("there/none")
    assert len(s3.requests) == len(set(s3.requests))


@pytest.mark.parametrize("kind", ["forget", "hang_up"])
def test_a_put_that_was_done_and_denied_is_ours(kind, faulty):
    """The client asks again by itself, and is told that the file is there already."""
    s3, uri = faulty
    for number in range(3):
        with s3.failing(Fault(kind, method="PUT", times=1 + number)):
            assert open_root(uri, patience_s=20).create(f"claims/{number}", b"mine")
    assert not open_root(uri).create("claims/0", b"yours")
    assert open_root(uri).names("claims") == ["claims/0", "claims/1", "claims/2"]


def test_a_name_that_is_given_up_meanwhile_was_taken(faulty):
    s3, uri = faulty
    with s3.failing(Fault("412", method="PUT", path="gone")):
        assert not open_root(uri).create("gone", b"mine")


def test_a_server_that_names_no_condition_is_understood(faulty):
    s3, uri = faulty
    with s3.failing(Fault("412", method="PUT", path="there/file")):
        assert not open_root(uri).create("there/file", b"mine")


def test_writers_in_each_others_way_try_again(faulty):
    s3, uri = faulty
    with s3.failing(Fault("409", method="PUT", times=2)):
        assert open_root(uri, patience_s=20).create("claim", b"mine")


# s3fs leaves the other ranges' connections to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_large_file_is_read_whole_whatever_is_cut_off(faulty, monkeypatch):
    """s3fs reads large files in parallel ranges, and does not ask again for one that was cut off."""
    s3, uri = faulty
    monkeypatch.setattr(s3fs.S3FileSystem, "default_block_size", 100_000)
    s3fs.S3FileSystem.clear_instance_cache()
    root = open_root(uri, patience_s=20)
    large = bytes(range(250)) * 4000
    root.write_bytes("large", large)
    for kind in ("truncate", "500", "reset"):
        fault = Fault(kind, method="GET", path="large", times=3)
        with s3.failing(fault):
            assert root.read_bytes("large") == large
        assert fault.times == 0
    gc.collect()


def test_the_wait_is_logged(faulty, caplog):
    s3, uri = faulty
    with s3.failing(Fault("503", method="PUT", times=1)):
        open_root(uri, patience_s=20).write_bytes("file", b"x")
    (record,) = [r for r in caplog.records if r.name == "rdpt_ray.storage.retrying"]
    assert record.getMessage().startswith(f"{uri}/file: cannot be written: ")
    assert "; trying again in 0." in record.getMessage()
