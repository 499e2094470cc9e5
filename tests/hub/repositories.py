"""Datasets as a Hub keeps them: commits with a parent each, branches, tags, pull requests, large files."""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch

LARGE = ("*.parquet", "*.arrow", "*.zst", "*.bin")
"""What `.gitattributes` of a new dataset keeps out of git, beside all above LARGE_BYTES."""

LARGE_BYTES = 10_000_000

GIT_ATTRIBUTES = ".gitattributes"

_clock = itertools.count(1_700_000_000)  # no two commits at the same time


def git_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(path, size):
    """Whether a file's content lies beside git, under its sha256."""
    return size > LARGE_BYTES or any(fnmatch(path.rpartition("/")[2], each) for each in LARGE)


@dataclass(frozen=True)
class Blob:
    """A file of a commit."""

    size: int
    oid: str
    """As git names it."""
    sha256: str | None = None
    """Of a large file."""
    content: bytes | None = None
    """None if it went to a storage that is not ours (Xet)."""

    def named(self):
        """What two large or two small files of the same content have in common."""
        return self.sha256 or self.oid


def small_blob(content):
    return Blob(len(content), git_oid(content), content=content)


def large_blob(sha256, size, content=None):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return Blob(size, git_oid(pointer.encode()), sha256, content)


def blob_of(path, content):
    """A file as a push of it by git would keep it."""
    if is_large(path, len(content)):
        return large_blob(hashlib.sha256(content).hexdigest(), len(content), content)
    return small_blob(content)


@dataclass(frozen=True)
class Commit:
    """A state of all files, and where it came from."""

    sha: str
    parent: str | None
    files: Mapping[str, Blob]
    title: str
    message: str
    author: str
    date: str

    def content(self):
        """Path -> bytes of every file but git's own."""
        return {path: blob.content for path, blob in self.files.items() if path != GIT_ATTRIBUTES}


@dataclass
class Pull:
    """A proposed commit."""

    number: int
    base: str
    head: str
    title: str
    author: str
    status: str = "open"


@dataclass
class Dataset:
    """One repository. Whoever changes it holds the hub's lock."""

    private: bool = False
    gated: bool = False
    """Files are only for those in `granted`."""
    granted: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by their sha256, committed or not."""
    parts: dict[tuple[str, int], bytes] = field(default_factory=dict)
    """Pieces of large files on their way."""

    def commit(self, files, branch="main", *, deleted: Iterable[str] = (), title="Edit"):
        """Add a commit on a branch, with these files (path -> content) changed; returns its sha."""
        blobs = {path: blob_of(path, content) for path, content in files.items()}
        self.objects |= {blob.sha256: blob.content for blob in blobs.values() if blob.sha256}
        added = self.add(self.branches.get(branch), blobs, deleted, title)
        self.branches[branch] = added.sha
        return added.sha

    def add(self, parent, changed, deleted=(), title="Edit", message="", author="user"):
        """A new commit on top of another, on no branch yet."""
        before = self.commits[parent].files if parent else {}
        gone = set(deleted)
        files = {path: blob for path, blob in before.items() if path not in gone} | changed
        tree = sorted((path, blob.oid) for path, blob in files.items())
        seconds = next(_clock)
        sha = hashlib.sha1(repr((parent, tree, title, author, seconds)).encode()).hexdigest()
        date = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self.commits[sha] = Commit(sha, parent, files, title, message, author, date)
        return self.commits[sha]

    def find(self, revision) -> str | None:
        """The commit that a branch, tag, reference or (short) sha stands for."""
        if revision.startswith("refs/pr/") and revision[8:].isdigit():
            pull = self.pulls.get(int(revision[8:]))
            return pull.head if pull else None
        named = revision.removeprefix("refs/heads/")
        if sha := self.branches.get(named) or self.tags.get(revision.removeprefix("refs/tags/")):
            return sha
        found = [sha for sha in self.commits if sha.startswith(revision)]
        return found[0] if len(revision) >= 7 and len(found) == 1 else None

    def head(self, revision="main"):
        """The commit that a revision stands for."""
        return self.commits[self.find(revision) or ""]

    def history(self, revision="main") -> list[Commit]:
        """A commit and all before it, the newest first."""
        found, sha = [], self.find(revision)
        while sha:
            found.append(self.commits[sha])
            sha = found[-1].parent
        return found

    def merge(self, number):
        """Do what a pull request proposes."""
        pull = self.pulls[number]
        self.branches[pull.base], pull.status = pull.head, "merged"
