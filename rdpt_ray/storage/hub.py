"""Datasets on the Hugging Face Hub: read at one commit, with the licence that their card states.

Who reads private datasets logs in by the environment (HF_TOKEN) or by `hf auth login`; a token is no part
of a path or config, and is never shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

import fsspec
import yaml
from huggingface_hub import RepoCard
from huggingface_hub.hf_file_system import HfFileSystem, HfFileSystemResolvedRepositoryPath

from rdpt_ray.errors import InputError
from rdpt_ray.storage.remote import remote_faults, said
from rdpt_ray.storage.sources import InputFile

PROTOCOL = "hf://"
CARD = "README.md"


class HubFacts(TypedDict):
    """What a dataset's card says of all its rows, as `input.defaults` does; null where it does not."""

    license: str | None
    source: str | None
    teacher_name: str | None


@dataclass(frozen=True, slots=True)
class Pinned:
    """A configured path, of a repository at one commit where it is in one.

    Attributes:
        root: The path to read.
        revision: The commit in it; None where there are no commits.
        renamed: The repository in `root`, and as it was configured.
    """

    root: str
    revision: str | None = None
    renamed: tuple[str, str] = ("", "")

    def show(self, uri: str) -> str:
        """A URI below `root` as it was configured: the same while the branch moves on."""
        return uri.replace(*self.renamed, 1)


def pinned(root: str) -> Pinned:
    """Replace the branch or tag of a Hub path by the commit that it stands for now.

    Raises:
        InputError: if the repository or revision does not exist, may not be read or cannot be asked for.
    """
    if not root.startswith(PROTOCOL):
        return Pinned(root)
    try:
        fs, path = fsspec.core.url_to_fs(root)
        resolved = fs.resolve_path(path)
        if not isinstance(resolved, HfFileSystemResolvedRepositoryPath):
            return Pinned(root)  # a bucket has no commits
        commit = _commit(fs, resolved)
    except FileNotFoundError as error:
        raise InputError(
            f"input.path: {root} does not exist, or may not be read ({said(error)}); for a private or"
            " gated dataset, set HF_TOKEN in the environment of the driver and of every worker"
        ) from error
    except (*remote_faults(), ValueError) as error:
        raise InputError(f"input.path: {root} cannot be listed: {said(error)}") from error
    repository = f"{PROTOCOL}{_repository(resolved)}"
    given = root[len(repository) :].partition("/")[0]
    revised = f"{repository}@{commit}"
    rest = f"/{resolved.path_in_repo}" if resolved.path_in_repo else ""
    return Pinned(f"{revised}{rest}", commit, (revised, f"{repository}{_given(root, given)}"))


def hub_facts(files: Iterable[InputFile]) -> dict[str, HubFacts]:
    """What the cards of the datasets say, at the commit that is read.

    Args:
        files: A job's input.

    Returns:
        URI of each file on the Hub -> the facts of its dataset; other files are left out.

    Raises:
        InputError: if the Hub cannot be asked; a dataset without a card, or with one that cannot be
            parsed, states nothing.
    """
    by_repository: dict[str, HubFacts] = {}
    facts: dict[str, HubFacts] = {}
    for file in files:
        if file.revision is None or not file.root.startswith(PROTOCOL):
            continue
        fs: Any = fsspec.core.url_to_fs(file.root)[0]
        resolved = fs.resolve_path(file.path)
        repository = _repository(resolved)
        if repository not in by_repository:
            card = _read_card(fs, f"{repository}@{file.revision}/{CARD}", file.uri)
            by_repository[repository] = HubFacts(
                license=_license(card), source=f"{PROTOCOL}{repository}", teacher_name=None
            )
        facts[file.uri] = by_repository[repository]
    return facts


def _commit(fs: HfFileSystem, resolved: HfFileSystemResolvedRepositoryPath) -> str:
    info = fs._api.repo_info(
        resolved.repo_id, repo_type=resolved.repo_type, revision=resolved.revision
    )
    return str(info.sha)


def _repository(resolved: Any) -> str:
    """Kind and name, as a path begins with them; models are written without a kind."""
    kind = "" if resolved.repo_type == "model" else f"{resolved.repo_type}s/"
    return f"{kind}{resolved.repo_id}"


def _given(root: str, given: str) -> str:
    """The revision as it was configured, with its `@`; some names of references hold a slash."""
    return given if given.startswith("@") and "@refs" not in root else ""


def _read_card(fs: Any, path: str, uri: str) -> str:
    try:
        return fs.cat_file(path).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except remote_faults() as error:
        raise InputError(f"{uri}: the card of its dataset cannot be read: {said(error)}") from error


def _license(card: str) -> str | None:
    """The licence in a card's front matter; a custom one goes by its name."""
    try:
        data = RepoCard(card, ignore_metadata_errors=True).data.to_dict()
    except (ValueError, yaml.YAMLError):  # no front matter that can be parsed
        return None
    stated = data.get("license")
    if stated == "other":
        stated = data.get("license_name") or stated
    if isinstance(stated, list):
        return ", ".join(str(each) for each in stated) or None
    return str(stated) if stated else None
