"""What a commit changes in a dataset: all files of the new release, less those of the earlier one.

Only files that the earlier `release.json` names are deleted. All others are somebody's own and stay, and
where they would be read as a part of the new release, nothing is published.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.hub_dataset import Head
from rdpt_ray.publish.hub_target import HubTarget
from rdpt_ray.publish.release import README, RELEASE, Release

_SHARD = re.compile(r"(.*/[^/]*-)\d{5}-of-\d{5}\.\w+")
_GIT = (".gitattributes", ".gitignore")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths in the dataset."""

    added: tuple[str, ...]
    deleted: tuple[str, ...]


def decide_changes(release: Release, head: Head, target: HubTarget) -> Changes:
    """What turns the dataset as it is into the release.

    Raises:
        PublishError: if files that are not ours would be read together with the release's.
    """
    added = tuple(file.path for file in release.files)
    ours = set(added) | set(head.release.files if head.release else ())
    shards = {found[1] for path in added if (found := _SHARD.fullmatch(path))}
    strangers = [
        path for path in sorted(set(head.files) - ours) if any(map(path.startswith, shards))
    ]
    if strangers:
        raise PublishError(
            f"{target}: nothing was published: {_listed(strangers)} would be read as a part of this"
            " release, and no release.json beside them names them; delete them, or publish to another"
            " dataset or branch"
        )
    stale = ours - set(added) - set(_GIT)
    return Changes(added, tuple(sorted(stale & set(head.files))))


def replaced(release: Release, head: Head, read: Callable[[], str]) -> str | None:
    """What to tell of files of others, or of a README that was changed by hand; None if there are none.

    Args:
        release: What replaces them.
        head: The dataset as it is.
        read: Tells the sha256 of the README as it is.
    """
    ours = {RELEASE, *head.release.files} if head.release else set[str]()
    strange = [file.path for file in release.files if file.path in head.files.keys() - ours]
    if strange:
        are, they = ("is", "it was") if len(strange) == 1 else ("are", "they were")
        return f"{_listed(strange)} {are} replaced; what {they} stays in the history, at commit {head.sha}"
    if not head.release or README not in head.files or read() == head.release.files.get(README):
        return None
    return (
        f"{README} was changed by hand since the last release, and is replaced; what it was stays in the"
        f" history, at commit {head.sha}"
    )


def _listed(paths: Iterable[str]) -> str:
    paths = list(paths)
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
