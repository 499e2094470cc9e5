"""One release, one commit: what it adds, what it deletes, what it leaves alone, and when there is none."""

import io

import pytest

from rdpt_ray.errors import PublishError
from tests.hub.repositories import Dataset
from tests.hub.wire import ALWAYS, Fault
from tests.hub.writing import new_dataset
from tests.publish.hub_releases import (
    NAME,
    content_of,
    is_linear,
    publish,
    release_of,
    shown,
    states,
    write_release,
)

NOTES = {"notes.md": b"mine", "data/mine.parquet": b"mine too", "images/figure.png": b"\x89PNG"}


@pytest.fixture
def first(tmp_path):
    return release_of(tmp_path / "run-1")


@pytest.fixture
def second(tmp_path):
    return release_of(tmp_path / "run-2", "second", shards=3)


def test_a_new_dataset_is_private_and_holds_the_release_in_one_commit(hub, first):
    done = publish(first)
    dataset = hub.datasets[NAME]
    assert dataset.private
    assert states(hub) == [content_of(first), {}]
    assert (done.changed, done.commit) == (True, dataset.branches["main"])
    assert done.url == f"{hub.url}/datasets/{NAME}"
    assert done.why == f"{len(first.files)} files, in one commit"


def test_the_commit_says_what_it_holds(hub, first):
    publish(first)
    commit = hub.datasets[NAME].head()
    assert commit.title == f"Release {first.release_id[:12]} of run run-1"
    assert f"release {first.release_id}\ndefault: 20 rows\nrdpt_ray " in commit.message


def test_a_dataset_can_be_public(hub, first):
    publish(first, private=False)
    assert not hub.datasets[NAME].private


def test_the_same_release_makes_no_commit(hub, first):
    one = publish(first)
    hub.requests.clear()
    again = publish(first)
    assert (again.changed, again.commit, again.url) == (False, one.commit, one.url)
    assert again.why == "it is there already"
    assert len(hub.datasets[NAME].commits) == 2
    assert {each.method for each in hub.requests} == {"GET", "HEAD"}


def test_what_does_not_decide_makes_no_commit(hub, first, tmp_path):
    publish(first)
    later = release_of(tmp_path / "later", more={"report/report.html": b"another clock"})
    assert later.release_id == first.release_id
    assert not publish(later).changed


def test_a_release_that_lost_a_file_on_the_hub_is_published_again(hub, first):
    publish(first)
    lost = "data/train-00001-of-00002.parquet"
    hub.datasets[NAME].commit({}, deleted=[lost])
    assert publish(first).changed
    assert shown(hub) == content_of(first)


def test_a_new_release_takes_the_place_of_the_one_before_and_nothing_else(hub, first, second):
    publish(first)
    hub.datasets[NAME].commit(NOTES)
    done = publish(second)
    assert done.changed
    assert done.why == f"{len(second.files)} files and 4 deleted, in one commit"
    assert shown(hub) == {**NOTES, **content_of(second)}
    assert is_linear(hub)


def test_what_lies_in_the_dataset_before_is_kept(hub, first):
    hub.datasets[NAME] = new_dataset(private=True)
    hub.datasets[NAME].commit(NOTES)
    publish(first)
    assert shown(hub) == {**NOTES, **content_of(first)}


def test_shards_of_somebody_else_are_neither_deleted_nor_mixed_with_ours(hub, first):
    hub.datasets[NAME] = new_dataset(private=True)
    before = hub.datasets[NAME].commit({"data/train-00000-of-00009.parquet": b"theirs"})
    with pytest.raises(PublishError) as refused:
        publish(first)
    assert str(refused.value).startswith(
        f"hf://datasets/{NAME}: nothing was published: data/train-00000-of-00009.parquet would be read"
    )
    assert hub.datasets[NAME].branches["main"] == before
    assert not hub.uploads()


def test_a_release_json_that_is_not_ours_names_nothing(hub, first):
    hub.datasets[NAME] = new_dataset(private=True)
    hub.datasets[NAME].commit({"release.json": b'{"files": ["notes.md"]}', **NOTES})
    publish(first)
    assert shown(hub) == {**NOTES, **content_of(first)}


def test_a_dataset_without_any_commit_file_can_be_published_to(hub, first):
    hub.datasets[NAME] = Dataset(private=True)
    hub.datasets[NAME].commit({})
    publish(first)
    assert shown(hub) == content_of(first)


def test_a_card_written_by_hand_is_replaced_and_that_is_told(hub, first, second):
    hub.datasets[NAME] = new_dataset(private=True)
    by_hand = hub.datasets[NAME].commit({"README.md": b"# By hand"})
    said = io.StringIO()
    publish(first, said=said)
    assert said.getvalue() == (
        f"hf://datasets/{NAME}: README.md is replaced; what it was stays in the history, at commit"
        f" {by_hand}\n"
    )
    said = io.StringIO()
    publish(second, said=said)
    assert said.getvalue() == ""
    edited = hub.datasets[NAME].commit({"README.md": b"# Edited"})
    publish(first, said=said)
    assert (
        "README.md was changed by hand since the last release, and is replaced" in said.getvalue()
    )
    assert edited in said.getvalue()


def test_a_public_dataset_stays_public_and_that_is_told(hub, first, second):
    publish(first, private=False)
    said = io.StringIO()
    publish(second, said=said)
    assert not hub.datasets[NAME].private
    assert shown(hub) == content_of(second)
    assert said.getvalue() == (
        f"hf://datasets/{NAME} is public and stays so: publish.private is for a new dataset\n"
    )


@pytest.mark.parametrize("how", [{}, {"pull_request": True}, {"revision": "next"}])
def test_nothing_is_given_away_to_a_public_dataset_of_others_unasked(hub, first, how):
    hub.datasets[NAME] = new_dataset(private=False)
    hub.datasets[NAME].commit(NOTES | {"README.md": b"# By hand"})
    with pytest.raises(PublishError, match=r"is public and holds no release .* say private=false"):
        publish(first, **how)
    assert not hub.uploads()
    assert len(hub.datasets[NAME].commits) == 2
    assert publish(first, private=False, **how).changed


def test_a_branch_is_made_and_main_stays(hub, first, second):
    publish(first)
    done = publish(second, revision="next/v2")
    assert done.url == f"{hub.url}/datasets/{NAME}/tree/next/v2"
    assert shown(hub) == content_of(first)
    assert shown(hub, "next/v2") == content_of(second)
    assert not publish(second, revision="next/v2").changed


def test_a_branch_of_a_dataset_that_is_new(hub, first):
    publish(first, revision="next")
    assert shown(hub, "next") == content_of(first)
    assert shown(hub) == {}


def test_a_tag_is_put_on_the_commit_and_found_again(hub, first):
    done = publish(first, tag="v1")
    assert hub.datasets[NAME].tags == {"v1": done.commit}
    assert not publish(first, tag="v1").changed
    publish(first, tag="v1.0")
    assert hub.datasets[NAME].tags == {"v1": done.commit, "v1.0": done.commit}


def test_a_tag_stays_on_the_commit_that_first_held_the_release(hub, first):
    done = publish(first, tag="v1")
    hub.datasets[NAME].commit(NOTES)
    assert not publish(first, tag="v1").changed
    assert hub.datasets[NAME].tags == {"v1": done.commit}


def test_a_tag_on_another_release_is_told_before_anything_is_uploaded(hub, first, second):
    done = publish(first, tag="v1")
    before = hub.uploads()
    with pytest.raises(PublishError, match=f"the tag v1 is on commit {done.commit}, .*nothing was"):
        publish(second, tag="v1")
    assert shown(hub) == content_of(first)
    assert hub.uploads() == before


def test_a_pull_request_proposes_the_release_once(hub, first, second):
    publish(first)
    done = publish(second, pull_request=True)
    assert done.url == f"{hub.url}/datasets/{NAME}/discussions/1"
    assert done.why.endswith("as pull request 1")
    assert shown(hub) == content_of(first)
    assert shown(hub, "refs/pr/1") == content_of(second)
    again = publish(second, pull_request=True)
    assert (again.changed, again.url, again.commit) == (False, done.url, done.commit)
    hub.datasets[NAME].merge(1)
    assert shown(hub) == content_of(second)
    assert publish(second, pull_request=True).why == "it is there already"
    assert list(hub.datasets[NAME].pulls) == [1]


def test_a_pull_request_that_is_closed_is_opened_again(hub, first, second):
    publish(first)
    publish(second, pull_request=True)
    hub.datasets[NAME].pulls[1].status = "closed"
    assert publish(second, pull_request=True).url.endswith("/discussions/2")


def test_an_open_pull_request_takes_another_commit(hub, first, second, tmp_path):
    publish(first)
    publish(second, pull_request=True)
    third = release_of(tmp_path / "run-3", "third")
    publish(third, revision="refs/pr/1")
    assert shown(hub, "refs/pr/1") == content_of(third)
    assert shown(hub) == content_of(first)


def test_a_pull_request_that_is_not_there_is_told(hub, first):
    publish(first)
    with pytest.raises(PublishError, match="refs/pr/9: there is no such pull request"):
        publish(first, revision="refs/pr/9")


def test_many_files_and_pages(hub, tmp_path):
    hub.page = 7
    files = {f"provenance/train-{place:05}-of-00060.parquet": b"%d" % place for place in range(60)}
    release = write_release(tmp_path / "many", files)
    publish(release)
    assert shown(hub) == content_of(release)
    few = write_release(tmp_path / "few", {"provenance/train-00000-of-00001.parquet": b"all"})
    publish(few)
    assert shown(hub) == content_of(few)


def test_names_of_any_kind(hub, tmp_path):
    names = ["a b#c?d%20.txt", "\u00e9t\u00e9/train & test.json", "+x/@y.md", "empty.txt"]
    release = write_release(tmp_path / "names", {name: name.encode()[:-9] for name in names})
    publish(release)
    assert shown(hub) == content_of(release)


def test_files_that_the_dataset_ignores_are_told(hub, first):
    hub.datasets[NAME] = new_dataset(private=True)
    hub.datasets[NAME].commit({".gitignore": b"*.parquet\n"})
    with pytest.raises(
        PublishError, match=r"train-00000-of-00002.parquet is not there.*\.gitignore"
    ):
        publish(first)


def test_a_listing_that_lacks_files_is_no_listing(hub, first, second):
    publish(first)
    with (
        hub.failing(Fault("empty", path="/tree/", times=ALWAYS)),
        pytest.raises(PublishError, match="the Hub does not list 8 of the files"),
    ):
        publish(second)
    assert shown(hub) == content_of(first)


@pytest.mark.parametrize("change", [b"other", b""], ids=["same length", "shorter"])
def test_a_file_that_was_changed_since_is_not_published(hub, first, change):
    path = first.folder / "data/train-00000-of-00002.parquet"
    content = path.read_bytes()
    path.write_bytes(change + content[len(change) :] if change else change)
    with pytest.raises(PublishError, match="make it again"):
        publish(first)
    assert states(hub) == [{}]


def test_a_card_that_the_hub_refuses_is_told(hub, first, tmp_path):
    bad = release_of(tmp_path / "bad", more={"README.md": b"---\nlicense: [open\n---\n"})
    with pytest.raises(PublishError, match=r"status 400 \(Invalid metadata in README.md"):
        publish(bad)
    assert states(hub) == [{}]
