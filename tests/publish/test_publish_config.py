import pytest
from pydantic import ValidationError

from rdpt_ray.publish_config import PublishConfig


@pytest.mark.parametrize(
    "to",
    [
        None,
        "hf://datasets/org/name",
        "hf://datasets/org/name@draft",
        "hf://datasets/org/na.me-2@refs/pr/3",
        "out/dataset",
        "s3://bucket/dataset",
    ],
)
def test_places_to_publish(to):
    assert PublishConfig(to=to).to == to


@pytest.mark.parametrize(
    "to", ["hf://org/name", "hf://datasets/name", "hf://models/a/b", "hf://datasets/a/b/data", ""]
)
def test_what_is_no_dataset_on_the_hub(to):
    with pytest.raises(
        ValidationError, match=r"expected hf://datasets/ORG/NAME|at least 1 character"
    ):
        PublishConfig(to=to)


@pytest.mark.parametrize("formats", [[], ["messages", "messages"], ["jsonl"], "messages"])
def test_formats_that_cannot_be(formats):
    with pytest.raises(ValidationError):
        PublishConfig(formats=formats)


def test_nothing_is_published_unless_it_is_said_where_and_then_in_private():
    config = PublishConfig()
    assert config.to is None
    assert config.private
    assert not config.allow_secrets
