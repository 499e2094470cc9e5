"""The section of a config that says where a run is published, and what the dataset holds.

`rdpt_ray.config` puts it together with the rest of a job.
"""

import re
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from rdpt_ray.model_config import Section

Format = Literal[
    "messages", "prompt_completion", "sharegpt", "alpaca", "reasoning_content", "axolotl"
]
"""How rows are written for a trainer; docs/publishing.md says which trainer reads which."""

HUB = "hf://"

_HUB_DATASET = re.compile(r"hf://datasets/[\w.-]+/[\w.-]+(@[^\s@]+)?/?")


class PublishConfig(Section):
    """Where to, for whom, in which formats."""

    to: str | None = Field(default=None, min_length=1)
    """hf://datasets/ORG/NAME, with @REVISION for another branch than main; or a local folder, or any fsspec
    URI. None: nothing is published."""
    private: bool = True
    """A dataset that the Hub has to make is made private. One that is there stays as it is: if it is public
    and holds no release yet, nothing is published to it; if it holds one, that it is public is told."""
    formats: list[Format] = Field(default=["messages"], min_length=1)
    """One config of the dataset each; the first is its default config."""
    rejected: bool = False
    """Publish the traces that were not selected too, with the reason of each, as the config `rejected`."""
    provenance: bool = True
    """Publish every published trace sentence by sentence, as the config `provenance`."""
    report: bool = True
    """Publish the run's report page too; it shows examples of traces that were not selected as well."""
    license: str | None = Field(default=None, min_length=1)
    """Of the dataset, as the Hub spells it: apache-2.0. None: what its rows say."""
    language: list[str] = Field(default=["en"])
    """ISO 639 codes, for the card."""
    pretty_name: str | None = Field(default=None, min_length=1)
    """The card's title; None: the run's name."""
    tags: list[str] = Field(default=[])
    """For the card, beside ours."""
    tag: str | None = Field(default=None, min_length=1)
    """A git tag to put on the commit, on the Hub."""
    pull_request: bool = False
    """Open a pull request on the Hub, in place of a commit."""
    shard_bytes: int = Field(default=500_000_000, ge=1)
    """A file ends with the row that brings it above this many bytes, counted in memory, before compression
    (as `datasets` counts `max_shard_size`)."""
    allow_secrets: bool = False
    """Publish although rows hold what looks like an access token or a private key."""

    @field_validator("formats")
    @classmethod
    def _each_once(cls, formats: list[Format]) -> list[Format]:
        if len(set(formats)) < len(formats):
            raise PydanticCustomError("formats", "expected each format once")
        return formats

    @field_validator("to")
    @classmethod
    def _is_dataset(cls, to: str | None) -> str | None:
        if to is not None and to.startswith(HUB) and not _HUB_DATASET.fullmatch(to):
            raise PydanticCustomError(
                "to", "expected hf://datasets/ORG/NAME or hf://datasets/ORG/NAME@REVISION"
            )
        return to
