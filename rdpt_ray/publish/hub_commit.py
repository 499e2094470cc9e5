"""Publish a release to the Hugging Face Hub: in one commit, or not at all.

Every try looks first and acts then, so that nothing depends on what became of the try before:

1. Read the head of the branch and its `release.json`. If it is this release, there is nothing to do.
2. Upload large files. The Hub keeps them by their content and shows them to nobody; a file that is there
   already, from a try that was interrupted too, is not uploaded again.
3. One commit on top of that head: all files of the release, deletions of what the release before left over,
   `release.json`. The Hub refuses it if the head has moved: then look again.
4. Look at the commit's files, and put the tag on it.

Who publishes another release at the same time makes a commit of their own, before or after; both are
whole, and the later one is what the branch shows.
"""

import hashlib

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from rich.console import Console

from rdpt_ray import __version__
from rdpt_ray.errors import PublishError
from rdpt_ray.publish.fence import pass_fence
from rdpt_ray.publish.hub_changes import decide_changes, replaced
from rdpt_ray.publish.hub_client import careful_client, hub_api, shown
from rdpt_ray.publish.hub_dataset import (
    KIND,
    Head,
    differing,
    read_file,
    read_files,
    read_head,
    release_at,
)
from rdpt_ray.publish.hub_faults import PATIENCE, Patience, persevere
from rdpt_ray.publish.hub_place import FIRST, Place, Sent, find_release, is_sent
from rdpt_ray.publish.hub_target import MAIN, HubTarget
from rdpt_ray.publish.release import README, Published, Release
from rdpt_ray.storage.leases import Lease


def publish_to_hub(
    release: Release,
    target: HubTarget,
    console: Console,
    *,
    patience: Patience = PATIENCE,
    lease: Lease | None = None,
) -> Published:
    """Publish a release as one commit, which is there as a whole or not at all.

    Args:
        release: What to publish.
        target: The dataset, branch and tag.
        console: Where it is told what happens to files that are not the release's.
        patience: With a Hub that fails.
        lease: Of the round of a schedule that publishes; None: it is none.

    Returns:
        The commit that holds the release; `changed` is False if this process did not make it.

    Raises:
        PublishError: if it cannot be published, with what to do about it; nothing was committed then,
            unless the words say so.
        LeaseError: if a later round has taken over, or has published.
    """
    api, sent = hub_api(), Sent()
    with careful_client(progress=console.is_terminal):
        return persevere(
            lambda: _publish(api, release, target, console, sent, lease), target, patience
        )


def is_head(target: HubTarget, commit: str, console: Console) -> bool:
    """Whether a commit is what the branch shows now."""
    api = hub_api()

    def look() -> bool:
        found = api.repo_info(target.repo_id, repo_type=KIND, revision=target.revision)
        return str(found.sha) == commit

    try:
        with careful_client(progress=console.is_terminal):
            return persevere(look, target, PATIENCE)
    except PublishError:
        return False  # whoever publishes says it better


def _publish(
    api: HfApi,
    release: Release,
    target: HubTarget,
    console: Console,
    sent: Sent,
    lease: Lease | None,
) -> Published:
    place = sent.place
    if place is None:
        head = read_head(api, target)
        pass_fence(lease, head.round, str(target))
        place = find_release(api, release, target, head, sent, lease)
        if place is None:
            _check_tag(api, release, target, None)
            place = sent.place = _commit(api, release, target, head, console, sent, lease)
    if place.is_ours:
        _check_published(api, release, target, place.commit)
    if target.tag and not _check_tag(api, release, target, place.commit):
        api.create_tag(target.repo_id, repo_type=KIND, tag=target.tag, revision=place.commit)
    return Published(_url(api, target, place), place.commit, place.is_ours, place.why)


def _commit(
    api: HfApi,
    release: Release,
    target: HubTarget,
    head: Head,
    console: Console,
    sent: Sent,
    lease: Lease | None,
) -> Place:
    _check_folder(release)
    changes = decide_changes(release, head, target)
    if target.private and not head.private:
        _check_public(target, head)
        _tell(console, f"{target} is public and stays so: publish.private is for a new dataset")
    if told := replaced(release, head, lambda: _sha256(api, target, head.sha, README)):
        _tell(console, f"{target}: {told}")
    added = [CommitOperationAdd(path, release.folder / path) for path in changes.added]
    api.preupload_lfs_files(
        target.repo_id,
        added,
        repo_type=KIND,
        revision=target.revision,
        create_pr=target.pull_request,
        free_memory=False,
    )
    for file, operation in zip(release.files, added, strict=True):
        if operation.upload_info.sha256.hex() != file.sha256:
            raise PublishError(
                f"{release.folder / file.path}: changed since the release was made; make it again"
            )
    sent.since = sent.since or head.sha
    pass_fence(lease, head.round, str(target))  # uploads take long; the parent does the rest
    made = api.create_commit(
        target.repo_id,
        [*added, *(CommitOperationDelete(path, is_folder=False) for path in changes.deleted)],
        repo_type=KIND,
        revision=target.revision,
        parent_commit=head.sha,
        create_pr=target.pull_request,
        commit_message=f"Release {release.release_id[:12]} of run {' '.join(release.run_id.split())}",
        commit_description=_description(release, sent),
    )
    if not made.pr_num and not is_sent(api, target, str(made.oid), sent):
        # The client sends nothing when all files are there, whoever committed them since the head was read.
        return Place(str(made.oid), False, FIRST)
    deleted = f" and {len(changes.deleted):,} deleted" if changes.deleted else ""
    how = f"as pull request {made.pr_num}" if made.pr_num else "in one commit"
    why = f"{len(changes.added):,} files{deleted}, {how}"
    return Place(str(made.oid), True, why, made.pr_num)


def _check_public(target: HubTarget, head: Head) -> None:
    """Whether everybody sees what is here already, so that no more is given away now.

    Raises:
        PublishError: if this would be the first release that everybody sees, and nobody asked for that.
    """
    if head.release is None:
        raise PublishError(
            f"{target}: nothing was published: the dataset is there, is public and holds no release yet, and"
            " publish.private is true; say private=false to let everybody see the release, or make the"
            " dataset private in its settings on the Hub"
        )


def _description(release: Release, sent: Sent) -> str:
    rows = [f"{name}: {count:,} rows" for name, count in release.num_rows.items()]
    return "\n".join([f"release {release.release_id}", *rows, f"rdpt_ray {__version__}", sent.mark])


def _check_folder(release: Release) -> None:
    for file in release.files:
        path = release.folder / file.path
        if not path.is_file() or path.stat().st_size != file.num_bytes:
            raise PublishError(
                f"{path}: expected {file.num_bytes:,} bytes, as when the release was made; make it again"
            )


def _check_published(api: HfApi, release: Release, target: HubTarget, commit: str) -> None:
    if problems := differing(release, release.files, read_files(api, target, commit)):
        raise PublishError(
            f"{target}: commit {commit} is not what was sent: {'; '.join(problems[:5])}; see whether the"
            " dataset's .gitignore names them, and publish again"
        )


def _check_tag(api: HfApi, release: Release, target: HubTarget, commit: str | None) -> bool:
    """Whether the tag is on this release already.

    Raises:
        PublishError: if it is on something else.
    """
    if target.tag is None:
        return False
    tags = api.list_repo_refs(target.repo_id, repo_type=KIND).tags
    on = next((tag.target_commit for tag in tags if tag.name == target.tag), None)
    if on is None or on == commit:
        return on is not None
    _, found = release_at(api, target, on)
    if found is not None and found.release_id == release.release_id:
        return True
    done = f"the release is there, as commit {commit}" if commit else "nothing was published"
    raise PublishError(
        f"{target}: the tag {target.tag} is on commit {on}, which is not this release; {done}; choose"
        " another tag, or delete that one"
    )


def _url(api: HfApi, target: HubTarget, place: Place) -> str:
    url = shown(f"{api.endpoint}/datasets/{target.repo_id}")
    if place.pull_request is not None:
        return f"{url}/discussions/{place.pull_request}"
    return url if target.revision == MAIN else f"{url}/tree/{target.revision}"


def _sha256(api: HfApi, target: HubTarget, sha: str, path: str) -> str:
    return hashlib.sha256(read_file(api, target, sha, path)).hexdigest()


def _tell(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
