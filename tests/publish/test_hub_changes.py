"""What a commit changes, as a law: the release and nobody else's files, whatever lies in the dataset."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.errors import PublishError
from rdpt_ray.publish.hub_changes import decide_changes, replaced
from rdpt_ray.publish.hub_dataset import EarlierRelease, Head, parse_release
from rdpt_ray.publish.hub_target import HubTarget
from rdpt_ray.publish.release import Release, ReleaseFile

TARGET = HubTarget("org/name")
OURS = [
    "README.md",
    "release.json",
    "report/report.html",
    *(
        f"{folder}/train-{place:05}-of-00003.parquet"
        for folder in ("data", "rejected")
        for place in range(3)
    ),
]
THEIRS = [
    "notes.md",
    "data/notes.txt",
    "data/test-00000-of-00001.parquet",
    ".gitattributes",
    "LICENSE",
]


def release(paths):
    files = [
        ReleaseFile(path, hashlib.sha256(path.encode()).hexdigest(), 1, True)
        for path in sorted(paths)
    ]
    return Release(Path("/nowhere"), tuple(files), "id", "run", {})


def head(files, earlier=None):
    names = None if earlier is None else EarlierRelease("earlier", dict.fromkeys(earlier, "sha"))
    return Head("0" * 40, True, dict.fromkeys(files), names)


@given(
    new=st.sets(st.sampled_from(OURS), min_size=1),
    earlier=st.sets(st.sampled_from(OURS)),
    lost=st.sets(st.sampled_from(OURS)),
    theirs=st.sets(st.sampled_from(THEIRS)),
)
def test_the_commit_leaves_the_release_and_what_was_never_ours(new, earlier, lost, theirs):
    before = (earlier - lost) | theirs
    changes = decide_changes(release(new), head(before, earlier), TARGET)
    assert set(changes.added) == new
    assert set(changes.deleted) <= before  # the Hub refuses to delete what is not there
    assert (before - set(changes.deleted)) | new == new | theirs


@given(
    new=st.sets(st.sampled_from(OURS), min_size=1), there=st.sets(st.sampled_from(OURS + THEIRS))
)
def test_without_an_earlier_release_nothing_is_deleted(new, there):
    try:
        changes = decide_changes(release(new), head(there), TARGET)
    except PublishError:
        assert any(path.endswith(".parquet") for path in there - new)
    else:
        assert changes.deleted == ()


def test_git_s_own_files_are_never_deleted_whatever_release_json_says():
    there = [".gitattributes", ".gitignore", "old.txt"]
    assert decide_changes(release(["README.md"]), head(there, there), TARGET).deleted == (
        "old.txt",
    )


@pytest.mark.parametrize(
    ("there", "mixed"),
    [
        ("data/train-00001-of-00002.parquet", True),
        ("data/train-extra.parquet", True),
        ("data/training.parquet", False),
        ("data/test-00000-of-00001.parquet", False),
        ("more/data/train-00000-of-00001.parquet", False),
    ],
)
def test_what_a_reader_would_mix_with_the_release_is_refused(there, mixed):
    new = release(["data/train-00000-of-00001.parquet"])
    if not mixed:
        assert decide_changes(new, head([there]), TARGET).deleted == ()
        return
    with pytest.raises(PublishError, match=there):
        decide_changes(new, head([there]), TARGET)


def test_many_strangers_are_counted():
    there = [f"data/train-{place:05}-of-00009.parquet" for place in range(9)]
    with pytest.raises(PublishError, match=r"00004-of-00009\.parquet and 4 more would be read"):
        decide_changes(release(["data/train-00000-of-00001.parquet"]), head(there), TARGET)


def test_files_of_others_that_are_replaced_are_told():
    new = release(["README.md", "manifest.json", "figures/a.svg", "data/b.parquet"])
    there = ["README.md", "manifest.json", "data/b.parquet", "notes.md"]
    told = replaced(new, head(there), lambda: "x") or ""
    assert told.startswith(
        "README.md, data/b.parquet, manifest.json are replaced; what they were stays"
    )
    told = replaced(new, head(there, ["README.md", "data/b.parquet"]), lambda: "sha") or ""
    assert told.startswith("manifest.json is replaced; what it was stays in the history")


def test_a_card_is_told_of_if_somebody_wrote_it():
    new = release(["README.md"])
    assert replaced(new, head([]), lambda: "x") is None
    assert replaced(release(["a"]), head(["README.md"]), lambda: "x") is None
    assert "is replaced" in (replaced(new, head(["README.md"]), lambda: "x") or "")
    assert replaced(new, head(["README.md"], ["README.md"]), lambda: "sha") is None
    told = replaced(new, head(["README.md"], ["README.md"]), lambda: "other")
    assert "changed by hand" in (told or "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"release_id": "x"}',
        b'{"release_id": "x", "files": ["a"]}',
        b'{"release_id": "x", "files": {"a": "b"}}',
        b'{"release_id": "x", "files": {"a": {}}}',
        b"[" * 100_000,
    ],
)
def test_a_release_json_of_somebody_else_is_none(content):
    assert parse_release(content) is None


def test_a_release_json_of_ours_is_read():
    content = b'{"release_id": "x", "files": {"a": {"sha256": "s", "bytes": 1}}, "more": 1}'
    assert parse_release(content) == EarlierRelease("x", {"a": "s"})
