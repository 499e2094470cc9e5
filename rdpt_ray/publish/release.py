"""What is published: the files of a dataset, complete in one local folder, and an id that stands for them."""

from dataclasses import dataclass
from pathlib import Path

RELEASE = "release.json"
README = "README.md"


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of the dataset."""

    path: str
    """In the dataset, with forward slashes."""
    sha256: str
    num_bytes: int
    decides: bool
    """Whether it makes the release what it is: shards and README. What holds clocks and timings does not."""


@dataclass(frozen=True, slots=True)
class Release:
    """A dataset ready to be published."""

    folder: Path
    """Local; every file lies there under its path."""
    files: tuple[ReleaseFile, ...]
    """Sorted by path; `release.json` is one of them."""
    release_id: str
    """sha256 over path and sha256 of the files that decide: equal ids mean that nothing is to be done."""
    run_id: str
    num_rows: dict[str, int]
    """Per config of the dataset."""
    warnings: tuple[str, ...] = ()
    """What whoever publishes it has to be told, in sentences."""


@dataclass(frozen=True, slots=True)
class Published:
    """What came of publishing."""

    url: str
    """Where the dataset can be looked at."""
    commit: str
    """The commit on the Hub; elsewhere the release_id."""
    changed: bool
    """False if this release was there already."""
    why: str
    """One sentence."""
