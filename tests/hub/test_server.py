"""The hub of the tests is one to the unmodified clients: they create, upload, read, and are refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from httpx2 import HTTPError
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.client import environment, turned_to
from tests.hub.server import READ_TOKEN, TOKEN, running_hub
from tests.hub.wire import Fault

NAME = "org/traces"
FILES = {"a.txt": b"one", "data/b.parquet": b"two" * 100, "data/deep/c.txt": b"three"}


@pytest.fixture
def hub(tmp_path):
    with running_hub() as server, turned_to(server, tmp_path):
        yield server


@pytest.fixture
def api(hub):
    api = HfApi()
    api.create_repo(NAME, repo_type="dataset", private=True)
    return api


def commit(api, files, deleted=(), **kwargs):
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    operations += [CommitOperationDelete(path) for path in deleted]
    return api.create_commit(
        NAME, operations, repo_type="dataset", commit_message="Change", **kwargs
    )


def listed(api, **kwargs):
    tree = api.list_repo_tree(NAME, repo_type="dataset", recursive=True, **kwargs)
    return {each.path for each in tree}


def test_commits_follow_each_other(hub, api):
    first = commit(api, FILES).oid
    second = commit(api, {"d.txt": b"four"}, ["a.txt", "data/deep/"]).oid
    history = api.list_repo_commits(NAME, repo_type="dataset")
    assert [each.commit_id for each in history][:2] == [second, first]
    assert len(history) == 3
    dataset = hub.datasets[NAME]
    assert dataset.head(first).content() == FILES
    assert dataset.head().content() == {"d.txt": b"four", "data/b.parquet": FILES["data/b.parquet"]}
    assert dataset.commits[second].parent == first


def test_only_a_head_can_be_a_parent(api):
    first = commit(api, FILES).oid
    commit(api, {"d.txt": b"four"}, parent_commit=first)
    with pytest.raises(HfHubHTTPError) as refused:
        commit(api, {"d.txt": b"five"}, parent_commit=first)
    assert refused.value.response.status_code == 412


def test_what_is_not_changed_makes_no_commit(hub, api):
    first = commit(api, FILES).oid
    assert commit(api, FILES).oid == first
    assert len(hub.datasets[NAME].commits) == 2


def test_a_dataset_is_made_once(api):
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo(NAME, repo_type="dataset")
    assert refused.value.response.status_code == 409
    assert api.create_repo(NAME, repo_type="dataset", exist_ok=True).repo_id == NAME


def test_branches_and_tags_and_pull_requests(hub, api):
    first = commit(api, FILES).oid
    api.create_branch(NAME, repo_type="dataset", branch="a/b")
    api.create_tag(NAME, repo_type="dataset", tag="v1", revision=first)
    second = commit(api, {"d.txt": b"four"}, revision="a/b").oid
    proposed = commit(api, {"e.txt": b"five"}, create_pr=True)
    refs = api.list_repo_refs(NAME, repo_type="dataset", include_pull_requests=True)
    assert {each.name: each.target_commit for each in refs.branches} == {
        "main": first,
        "a/b": second,
    }
    assert [(each.name, each.target_commit) for each in refs.tags] == [("v1", first)]
    assert [each.target_commit for each in refs.pull_requests] == [proposed.oid]
    assert proposed.pr_revision == "refs/pr/1"
    assert "e.txt" in listed(api, revision="refs/pr/1")
    assert "e.txt" not in listed(api)
    [discussion] = api.get_repo_discussions(NAME, repo_type="dataset", discussion_status="open")
    assert (discussion.num, discussion.is_pull_request) == (1, True)
    for make in (
        lambda: api.create_branch(NAME, repo_type="dataset", branch="a/b"),
        lambda: api.create_tag(NAME, repo_type="dataset", tag="v1"),
    ):
        with pytest.raises(HfHubHTTPError) as refused:
            make()
        assert refused.value.response.status_code == 409
    hub.datasets[NAME].merge(1)
    assert "e.txt" in listed(api)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_listings_come_in_pages(hub, api, page):
    commit(api, FILES)
    hub.page = page
    assert listed(api) == {*FILES, ".gitattributes", "data", "data/deep"}
    assert listed(api, path_in_repo="data") == {"data/b.parquet", "data/deep", "data/deep/c.txt"}
    assert len(api.list_repo_commits(NAME, repo_type="dataset")) == 2


def test_files_are_read_as_a_whole_and_in_ranges(hub, api, tmp_path):
    commit(api, FILES)
    folder = api.snapshot_download(NAME, repo_type="dataset", local_dir=tmp_path / "all")
    assert {path: (Path(folder) / path).read_bytes() for path in FILES} == FILES
    fs = HfFileSystem(skip_instance_cache=True)
    assert fs.cat_file(f"datasets/{NAME}/data/b.parquet", start=3, end=9) == b"twotwo"
    [info] = api.get_paths_info(NAME, ["data/b.parquet", "none"], repo_type="dataset")
    assert (info.size, info.lfs.size) == (300, 300)


def test_what_is_not_there(api):
    commit(api, FILES)
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(NAME, "none", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(NAME, revision="none")
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("org/none")
    with pytest.raises(EntryNotFoundError):
        commit(api, {}, ["none"])


def test_a_commit_needs_its_large_files(hub, api):
    operation = CommitOperationAdd("data/b.parquet", FILES["data/b.parquet"])
    api.preupload_lfs_files(NAME, [operation], repo_type="dataset", free_memory=False)
    hub.datasets[NAME].objects.clear()
    with pytest.raises(HfHubHTTPError, match="its content was never uploaded"):
        api.create_commit(NAME, [operation], repo_type="dataset", commit_message="Change")
    assert listed(api) == {".gitattributes"}


def test_accounts(hub, api, tmp_path):
    assert api.whoami()["auth"]["accessToken"]["role"] == "write"
    commit(api, FILES)
    for token in (None, READ_TOKEN, "hf_unknown"):
        with turned_to(hub, tmp_path, token=token):
            with pytest.raises(HfHubHTTPError) as refused:
                commit(api, {"d.txt": b"four"})
            assert refused.value.response.status_code == (403 if token == READ_TOKEN else 401)
    with turned_to(hub, tmp_path, token=READ_TOKEN):
        assert "a.txt" in listed(api)
    hub.datasets[NAME].private = False
    with turned_to(hub, tmp_path, token=None):
        assert "a.txt" in listed(api)
        hub.datasets[NAME].gated = True
        with pytest.raises(GatedRepoError):
            HfFileSystem(skip_instance_cache=True).cat_file(f"datasets/{NAME}/a.txt")


@pytest.mark.parametrize(
    ("kind", "done"),
    [("500", False), ("reset", False), ("forget", True), ("hang_up", True), ("truncate", True)],
)
def test_faults_happen_before_or_after(hub, api, kind, done):
    with hub.failing(Fault(kind, "POST", "/commit/")), pytest.raises(HTTPError):
        commit(api, FILES)
    assert (hub.datasets[NAME].head().content() == FILES) is done
    commit(api, FILES)
    assert hub.datasets[NAME].head().content() == FILES


PUSH = """
from datasets import Dataset, load_dataset

rows = Dataset.from_dict({"text": [str(place) for place in range(100)]})
rows.push_to_hub("org/pushed", private=True, num_shards=3)
assert load_dataset("org/pushed", split="train").to_list() == rows.to_list()
"""


@pytest.mark.slow
def test_datasets_pushes_and_loads(hub, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PUSH],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **environment(hub, tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    names = set(hub.datasets["org/pushed"].head().files)
    assert names >= {f"data/train-{place:05}-of-00003.parquet" for place in range(3)}
    assert hub.datasets["org/pushed"].private
    assert TOKEN not in done.stderr
