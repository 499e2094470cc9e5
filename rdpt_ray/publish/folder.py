"""A release into a folder: local, or any place that fsspec reaches.

A folder has no transactions; what it has is that one file is replaced at once. So README.md decides: it names
the shards of each config, and whenever it is replaced, those that it names are all there. A release whose
shards have the names of other ones that are there is first put beside them, README.md is pointed to that, and
only then are the old ones replaced; for that while its shards are there twice. Before anything is there,
README.md names nothing, because without one `load_dataset` takes what it finds. What is being done is written
down first, so that the next publisher knows what a killed one may have left.

This holds for whoever reads README.md, as `load_dataset` does. Who lists `data/` may see two releases while
one is being published: `release.json` says which files are whose. One publisher at a time changes a folder
(`folder_claim`).
"""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from huggingface_hub import DatasetCard

from rdpt_ray.errors import ConfigError, PublishError
from rdpt_ray.publish.fence import Round, must_mark, pass_fence, round_in
from rdpt_ray.publish.folder_claim import JOURNAL, Claim, claimed, record_in
from rdpt_ray.publish.release import README, RELEASE, Published, Release, ReleaseFile
from rdpt_ray.publish.untrusted import shorten
from rdpt_ray.publish_config import HUB
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.leases import Lease
from rdpt_ray.storage.runs import canonical_json

SHARD = ".parquet"

NOTHING_YET = b"""---
configs:
- config_name: default
  data_files: nothing-is-published-here-yet/*.parquet
---

This dataset is being published. If this text stays, publishing was interrupted: publish again.
"""


@dataclass(slots=True)
class _Folder:
    """What is there.

    Attributes:
        release: The record of the release that is there; empty without one.
        left: What another publisher was doing when it was killed; None if none was.
        names: All files.
    """

    root: Root
    release: dict[str, Any] = field(default_factory=dict)
    left: dict[str, Any] | None = None
    names: set[str] = field(default_factory=set)

    @property
    def sums(self) -> dict[str, str]:
        """File -> checksum, where it is certain."""
        if self.left is not None:
            return {}
        listed = self.release.get("files")
        files = listed if isinstance(listed, dict) else {}
        return {
            name: str(file.get("sha256"))
            for name, file in files.items()
            if isinstance(file, dict) and name in self.names
        }

    @property
    def round(self) -> Round | None:
        """Of a schedule, that made the release."""
        return round_in(self.release)

    @property
    def ours(self) -> set[str]:
        """Files that publishers put there; never one that is not below the folder."""
        told: set[str] = set()
        if self.release:
            told |= {README, RELEASE, *_texts(self.release.get("files"))}
        told |= _texts((self.left or {}).get("paths"))
        return told & self.names


def _texts(value: Any) -> set[str]:
    """The texts in a list, or the keys of an object; none in anything else."""
    return (
        {each for each in value if isinstance(each, str)}
        if isinstance(value, list | dict)
        else set()
    )


def publish_to_folder(release: Release, uri: str, lease: Lease | None = None) -> Published:
    """Make a folder hold this release, and nothing of an earlier one.

    Whenever this is killed, README.md names whole files of the old release or of the new one; the same call
    again brings it to its end. What is in the folder and was not published stays as it is.

    Args:
        release: The dataset.
        uri: A local folder or any fsspec URI, but not the Hub's.
        lease: Of the round of a schedule that publishes; None: it is none.

    Raises:
        LeaseError: if a later round has taken over, or has published.
        PublishError: if files of other people are where the dataset's are to be, or another publisher is
            at work there.
        StoreError: if a file cannot be read or written, naming it.
    """
    if uri.startswith(HUB):
        raise ConfigError(f"{uri}: a dataset on the Hub is published by commits, not as a folder")
    folder = _look(open_root(uri))
    shown = public_uri(folder.root.uri)
    pass_fence(lease, folder.round, shown)
    if _is_there(folder, release) and not must_mark(lease, folder.round):
        return Published(shown, release.release_id, False, "this release is there already")
    _refuse_foreign(folder, release)
    with claimed(folder.root, folder.left, _may_leave(folder, release), lease) as claim:
        folder = replace(_look(folder.root), left=folder.left)  # now that nobody else changes it
        pass_fence(lease, folder.round, shown)
        if _is_there(folder, release) and not must_mark(lease, folder.round):
            claim.end()
            why = "another publisher of this release was first"
            return Published(shown, release.release_id, False, why)
        _refuse_foreign(folder, release)
        claim.note(_may_leave(folder, release))
        _publish(folder, release, claim)
    return Published(shown, release.release_id, True, "published")


def is_release(uri: str, release_id: str) -> bool:
    """Whether a folder holds a release with all its files, and nobody is changing it."""
    folder = _look(open_root(uri))
    same = folder.release.get("release_id") == release_id and folder.left is None
    return same and {RELEASE, *_texts(folder.release.get("files"))} <= folder.names


def _may_leave(folder: _Folder, release: Release) -> set[str]:
    beside = {f"{_beside(release)}{file.path}" for file in _shards(release)}
    return {file.path for file in release.files} | beside | folder.ours


def _publish(folder: _Folder, release: Release, claim: Claim) -> None:
    """Change the folder; it is ours."""
    if README not in folder.names:
        claim.write(README, NOTHING_YET)
    if any(_replaces(folder, file) for file in _shards(release)):
        _put_beside(claim, release)
    for file in _in_order(release.files):
        if folder.sums.get(file.path) != file.sha256:
            claim.write(file.path, (release.folder / file.path).read_bytes())
    stale = set(folder.root.names("")) & claim.paths - {file.path for file in release.files}
    for path in sorted(stale):
        claim.check()
        folder.root.delete(path)
    _drop_empty(folder.root, stale)
    claim.end()


def _drop_empty(root: Root, deleted: Collection[str]) -> None:
    """Remove folders that deleted files leave empty; object stores have none."""
    if "://" in root.uri:
        return
    folders = {str(parent) for name in deleted for parent in PurePosixPath(name).parents}
    for folder in sorted(folders - {"."}, reverse=True):
        with suppress(OSError):  # it holds something
            os.rmdir(root.path(folder))


def _shards(release: Release) -> list[ReleaseFile]:
    return [file for file in release.files if file.path.endswith(SHARD)]


def _beside(release: Release) -> str:
    return f"incoming-{release.release_id[:12]}/"


def _look(root: Root) -> _Folder:
    read = root.read_many([RELEASE, JOURNAL])
    left = record_in(read[JOURNAL]) if JOURNAL in read else None
    return _Folder(root, record_in(read.get(RELEASE, b"{}")), left, set(root.names("")))


def _is_there(folder: _Folder, release: Release) -> bool:
    """Whether this release is there, complete, and nothing is left to do."""
    same = folder.release.get("release_id") == release.release_id
    return same and folder.left is None and {file.path for file in release.files} <= folder.names


def _refuse_foreign(folder: _Folder, release: Release) -> None:
    foreign = sorted({file.path for file in release.files} & (folder.names - folder.ours))
    if foreign:
        raise PublishError(
            f"{public_uri(folder.root.uri)}: holds {shorten(foreign[0], 100)}, which no release put there;"
            " publish into a folder of its own, or move it away"
        )


def _replaces(folder: _Folder, file: ReleaseFile) -> bool:
    """Whether another file of this name is there, or one that may be another."""
    return file.path in folder.names and folder.sums.get(file.path) != file.sha256


def _put_beside(claim: Claim, release: Release) -> None:
    """Put all shards beside those that are there, and point README.md to them."""
    beside, shards = _beside(release), _shards(release)
    for file in shards:
        claim.write(f"{beside}{file.path}", (release.folder / file.path).read_bytes())
    card = DatasetCard(
        (release.folder / README).read_text(encoding="utf-8"), ignore_metadata_errors=True
    )
    for config in card.data.configs:  # pyright: ignore[reportAttributeAccessIssue]
        for files in config["data_files"]:
            files["path"] = f"{beside}{files['path']}"
    claim.write(README, str(card).encode())
    record = json.loads((release.folder / RELEASE).read_bytes())
    names = {file.path for file in shards}
    record["files"] = {
        f"{beside}{name}" if name in names else name: told for name, told in record["files"].items()
    }
    claim.write(RELEASE, canonical_json(record).encode())


def _in_order(files: Collection[ReleaseFile]) -> Iterator[ReleaseFile]:
    """What README.md speaks of, then README.md, then what says that all is there."""
    last = (README, RELEASE)
    yield from (file for file in files if file.path not in last)
    yield from sorted(
        (file for file in files if file.path in last), key=lambda file: last.index(file.path)
    )
