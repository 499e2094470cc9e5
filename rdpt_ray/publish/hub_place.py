"""Where on the Hub a release lies already: on the branch, in its history, or in a pull request."""

import uuid
from dataclasses import dataclass, field
from itertools import islice

from huggingface_hub import HfApi

from rdpt_ray.publish.fence import must_mark
from rdpt_ray.publish.hub_dataset import KIND, Head, differing, release_at
from rdpt_ray.publish.hub_target import HubTarget
from rdpt_ray.publish.release import README, Release
from rdpt_ray.storage.leases import Lease

FIRST = "another publisher of this release was first"

_MAX_PULL_REQUESTS = 20
"""Open ones that are looked through for a release, the newest first."""


@dataclass(frozen=True, slots=True)
class Place:
    """A commit that holds the release.

    Attributes:
        commit: Its sha.
        is_ours: Whether this process made it.
        why: In words.
        pull_request: The number of the one that proposes it.
    """

    commit: str
    is_ours: bool
    why: str
    pull_request: int | None = None


@dataclass(slots=True)
class Sent:
    """What this process has asked the Hub to commit."""

    mark: str = field(default_factory=lambda: f"publisher {uuid.uuid4().hex}")
    """In the message of its commits, by which it knows them again."""
    since: str | None = None
    """The head below the first commit that was sent; None before."""
    place: Place | None = None
    """What the Hub answered; None if that was lost, or was a refusal."""


def find_release(
    api: HfApi,
    release: Release,
    target: HubTarget,
    head: Head,
    sent: Sent,
    lease: Lease | None = None,
) -> Place | None:
    """The commit that holds the release; None if there is none yet.

    A commit whose answer was lost is found in the history, even if another publisher has made one since.
    """
    if sent.since and not target.pull_request:
        for commit in api.list_repo_commits(target.repo_id, repo_type=KIND, revision=head.sha):
            if commit.commit_id == sent.since:
                break
            if sent.mark in commit.message:
                return Place(commit.commit_id, True, "committed, though the Hub's answer was lost")
    if _holds(release, head) and not must_mark(lease, head.round):
        why = FIRST if sent.since else "it is there already"
        return Place(head.sha, False, why)
    return _find_proposed(api, release, target, sent) if target.pull_request else None


def is_sent(api: HfApi, target: HubTarget, commit: str, sent: Sent) -> bool:
    """Whether a commit is one that this process asked for."""
    newest = api.list_repo_commits(target.repo_id, repo_type=KIND, revision=commit)[0]
    return sent.mark in newest.message


def _holds(release: Release, head: Head) -> bool:
    """Whether the release is there, and its data are as they were published."""
    if head.release is None or head.release.release_id != release.release_id:
        return False
    data = (file for file in release.files if file.decides and file.path != README)
    return not differing(release, data, head.files)


def _find_proposed(api: HfApi, release: Release, target: HubTarget, sent: Sent) -> Place | None:
    """The open pull request that proposes this release."""
    opened = api.get_repo_discussions(
        target.repo_id,
        repo_type=KIND,
        discussion_type="pull_request",
        discussion_status="open",
    )
    for each in islice(opened, _MAX_PULL_REQUESTS):
        sha, found = release_at(api, target, f"refs/pr/{each.num}")
        if found is not None and found.release_id == release.release_id:
            is_ours = is_sent(api, target, sha, sent)
            why = f"pull request {each.num} proposes it{'' if is_ours else ' already'}"
            return Place(sha, is_ours, why, each.num)
    return None
