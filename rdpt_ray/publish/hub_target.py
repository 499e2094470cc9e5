"""Where on the Hugging Face Hub a dataset is published."""

import re
from dataclasses import dataclass

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from rdpt_ray.errors import ConfigError
from rdpt_ray.publish_config import PublishConfig

PREFIX = "hf://datasets/"
MAIN = "main"

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubTarget:
    """A dataset on the Hub, and how a release gets into it."""

    repo_id: str
    """ORG/NAME."""
    revision: str = MAIN
    """A branch, made from main if it is not there; or a pull request that is open, as refs/pr/3."""
    private: bool = True
    """What a dataset is that has to be made, and whether a public one without a release is refused."""
    tag: str | None = None
    """Put on the commit."""
    pull_request: bool = False
    """Propose the commit to the branch."""

    def __str__(self) -> str:
        at = "" if self.revision == MAIN else f"@{self.revision}"
        return f"{PREFIX}{self.repo_id}{at}"


def hub_target(publish: PublishConfig) -> HubTarget:
    """The dataset that `publish.to` names.

    Raises:
        ConfigError: if that is no dataset on the Hub, or nothing that can be committed to.
    """
    repo_id, _, revision = (publish.to or "").rstrip("/").removeprefix(PREFIX).partition("@")
    revision = revision.replace("%2F", "/").replace("%2f", "/") or MAIN
    if not (publish.to or "").startswith(PREFIX) or repo_id.count("/") != 1:
        raise ConfigError(
            f"publish.to: expected {PREFIX}ORG/NAME or {PREFIX}ORG/NAME@BRANCH, got {publish.to}"
        )
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ConfigError(f"publish.to: {publish.to}: {error}") from error
    if _COMMIT.fullmatch(revision):
        raise ConfigError(f"publish.to: {publish.to}: expected a branch after @, got a commit")
    if publish.pull_request and publish.tag:
        raise ConfigError(
            "publish.tag: a pull request has no commit to tag yet; leave out `tag`, and tag what is merged"
        )
    if publish.pull_request and revision.startswith("refs/pr/"):
        raise ConfigError(
            f"publish.pull_request: {revision} is a pull request already; leave out `pull_request` to"
            " commit to it"
        )
    return HubTarget(repo_id, revision, publish.private, publish.tag, publish.pull_request)
