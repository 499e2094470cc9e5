"""What a dataset on the Hub holds at a commit: its files, and the release that they belong to."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.fence import Round, round_in
from rdpt_ray.publish.hub_target import MAIN, HubTarget
from rdpt_ray.publish.release import RELEASE, Release, ReleaseFile

KIND = "dataset"

_MAX_RELEASE_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class EarlierRelease:
    """What `release.json` says of the files that lie beside it."""

    release_id: str
    files: Mapping[str, str]
    """Path -> sha256."""
    round: Round | None = None
    """Of a schedule, that made it."""


@dataclass(frozen=True, slots=True)
class Head:
    """A dataset at one commit."""

    sha: str
    private: bool
    files: Mapping[str, RepoFile]
    release: EarlierRelease | None
    """None if it holds none of ours."""

    @property
    def round(self) -> Round | None:
        """Of a schedule, that made the release."""
        return self.release.round if self.release else None


def read_head(api: HfApi, target: HubTarget) -> Head:
    """The dataset at the head of the branch; dataset and branch are made if they are not there.

    Raises:
        PublishError: if the revision is a pull request that is not there.
    """
    try:
        info = _info(api, target)
    except GatedRepoError:  # is one of those that are not found
        raise
    except RepositoryNotFoundError:
        info = None
    except RevisionNotFoundError:
        if target.revision.startswith("refs/"):
            raise PublishError(f"{target}: there is no such pull request") from None
        api.create_branch(target.repo_id, repo_type=KIND, branch=target.revision, exist_ok=True)
        info = _info(api, target)
    if info is None:
        api.create_repo(target.repo_id, repo_type=KIND, private=target.private, exist_ok=True)
        if target.revision != MAIN:
            api.create_branch(target.repo_id, repo_type=KIND, branch=target.revision, exist_ok=True)
        info = _info(api, target)
    sha = str(info.sha)
    files = read_files(api, target, sha)
    unlisted = {each.rfilename for each in info.siblings or ()} - set(files)
    if unlisted:  # what is left over could not be told from what is not there
        raise ValueError(f"the Hub does not list {len(unlisted):,} of the files of commit {sha}")
    return Head(sha, bool(info.private), files, _release(api, target, sha, files))


def read_files(api: HfApi, target: HubTarget, sha: str) -> dict[str, RepoFile]:
    """Path -> size and name of every file at a commit."""
    tree = api.list_repo_tree(target.repo_id, repo_type=KIND, revision=sha, recursive=True)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def release_at(api: HfApi, target: HubTarget, revision: str) -> tuple[str, EarlierRelease | None]:
    """The commit that a revision stands for, and the release that it holds."""
    info = api.dataset_info(target.repo_id, revision=revision)
    sha = str(info.sha)
    return sha, _release(api, target, sha, read_files(api, target, sha))


def read_file(api: HfApi, target: HubTarget, sha: str, path: str) -> bytes:
    """The content of a small file at a commit."""
    with tempfile.TemporaryDirectory() as folder:
        found = api.hf_hub_download(
            target.repo_id, path, repo_type=KIND, revision=sha, local_dir=folder
        )
        return Path(found).read_bytes()


def differing(
    release: Release, wanted: Iterable[ReleaseFile], files: Mapping[str, RepoFile]
) -> list[str]:
    """Which of these files of a release are not on the Hub as they are here, and how they differ."""
    return [
        f"{file.path} {problem}"
        for file in wanted
        if (problem := _difference(release, file, files.get(file.path)))
    ]


def _difference(release: Release, file: ReleaseFile, found: RepoFile | None) -> str | None:
    if found is None:
        return "is not there"
    if found.size != file.num_bytes:
        return f"has {found.size:,} bytes, not {file.num_bytes:,}"
    if found.lfs is not None:
        same = found.lfs.sha256 == file.sha256
    else:  # a small one: git's name of it is known
        same = found.blob_id == _git_oid(release.folder / file.path)
    return None if same else "has another content"


def _git_oid(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _info(api: HfApi, target: HubTarget) -> Any:
    return api.dataset_info(target.repo_id, revision=target.revision)


def _release(
    api: HfApi, target: HubTarget, sha: str, files: Mapping[str, RepoFile]
) -> EarlierRelease | None:
    if RELEASE not in files or files[RELEASE].size > _MAX_RELEASE_BYTES:
        return None
    return parse_release(read_file(api, target, sha, RELEASE))


def parse_release(content: bytes) -> EarlierRelease | None:
    """What `release.json` says; None if it is not one of ours. Anybody may have written it."""
    try:
        told = json.loads(content)
        files = {path: str(file["sha256"]) for path, file in told["files"].items()}
        return EarlierRelease(str(told["release_id"]), files, round_in(told))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
