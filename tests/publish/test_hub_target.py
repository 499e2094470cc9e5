"""Where a dataset is published, as the config says it."""

import pytest

from rdpt_ray.errors import ConfigError
from rdpt_ray.publish.hub_target import HubTarget, hub_target
from rdpt_ray.publish_config import PublishConfig

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("to", "more", "target"),
    [
        ("hf://datasets/org/name", {}, HubTarget("org/name")),
        ("hf://datasets/org/name/", {}, HubTarget("org/name")),
        ("hf://datasets/org/na.me-1@dev", {}, HubTarget("org/na.me-1", "dev")),
        ("hf://datasets/org/name@a%2Fb", {}, HubTarget("org/name", "a/b")),
        ("hf://datasets/org/name@refs/pr/3", {}, HubTarget("org/name", "refs/pr/3")),
        (
            "hf://datasets/org/name",
            {"private": False, "tag": "v1"},
            HubTarget("org/name", private=False, tag="v1"),
        ),
        (
            "hf://datasets/org/name@dev",
            {"pull_request": True},
            HubTarget("org/name", "dev", pull_request=True),
        ),
    ],
)
def test_a_dataset_on_the_hub(to, more, target):
    assert hub_target(PublishConfig(to=to, **more)) == target


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "publish.to: expected hf://datasets/ORG/NAME"),
        ({"to": "/a/folder"}, "got /a/folder"),
        ({"to": "hf://datasets/org/na--me"}, "na--me"),
        ({"to": f"hf://datasets/org/name@{SHA}"}, "expected a branch after @, got a commit"),
        (
            {"to": "hf://datasets/o/n", "pull_request": True, "tag": "v1"},
            "publish.tag: a pull request",
        ),
        (
            {"to": "hf://datasets/o/n@refs/pr/1", "pull_request": True},
            "refs/pr/1 is a pull request",
        ),
    ],
)
def test_what_cannot_be_committed_to_is_refused(config, said):
    with pytest.raises(ConfigError) as refused:
        hub_target(PublishConfig(**config))
    assert said in str(refused.value)


def test_a_target_is_shown_as_it_is_written():
    assert str(HubTarget("org/name")) == "hf://datasets/org/name"
    assert str(HubTarget("org/name", "dev")) == "hf://datasets/org/name@dev"
