import json
import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import s3fs
import yaml

from rdpt_ray.errors import ConfigError, PublishError, StoreError
from rdpt_ray.publish.folder import JOURNAL, NOTHING_YET, publish_to_folder
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.files import open_root
from tests.publish.finished_run import finished_run, sums
from tests.storage.s3_server import running_s3

KILLED = 9


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Of two runs with the same files' names and other rows in them; and of one with more shards."""
    folder = tmp_path_factory.mktemp("releases")
    made = {}
    for name, prompts, shard_bytes in (("old", 6, 10**6), ("new", 7, 10**6), ("more", 8, 2_000)):
        run = finished_run(folder / f"run-{name}", sums(prompts))
        made[name] = make_release(run, folder / name, PublishConfig(shard_bytes=shard_bytes))
    return made


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def files_of(release):
    return files_in(release.folder)


def ids_by_card(folder):
    """Config -> trace_ids of the rows that README.md names; None where it names none."""
    _, head, _ = (Path(folder) / "README.md").read_text().split("---\n", 2)
    names = [name for name in files_in(folder) if name.endswith(".parquet")]
    found = {}
    for config in yaml.safe_load(head)["configs"]:
        files = config["data_files"]
        if isinstance(files, str):
            assert not any(fnmatch(name, files) for name in names)
            return None
        pattern = files[0]["path"]
        shards = sorted(name for name in names if fnmatch(name, pattern))
        assert len(shards) == int(pattern[-len("00001.parquet") : -len(".parquet")])
        rows = [row for name in shards for row in pq.read_table(Path(folder) / name).to_pylist()]
        found[config["config_name"]] = [row["trace_id"] for row in rows]
    return found


def test_a_folder_holds_the_release_and_nothing_else(releases, tmp_path):
    published = publish_to_folder(releases["old"], str(tmp_path / "to/it"))
    assert files_in(tmp_path / "to/it") == files_of(releases["old"])
    assert published.changed
    assert published.commit == releases["old"].release_id
    assert published.url == str(tmp_path / "to/it")


def test_an_unchanged_release_writes_nothing(releases, tmp_path):
    publish_to_folder(releases["old"], str(tmp_path))
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in files_in(tmp_path)}
    published = publish_to_folder(releases["old"], str(tmp_path))
    assert not published.changed
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in files_in(tmp_path)} == before


@pytest.mark.parametrize("second", ["new", "more"])
def test_another_release_takes_its_place(releases, tmp_path, second):
    publish_to_folder(releases["old"], str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert publish_to_folder(releases[second], str(tmp_path)).changed
    assert files_in(tmp_path) == files_of(releases[second])
    publish_to_folder(releases["old"], str(tmp_path))
    assert files_in(tmp_path) == files_of(releases["old"])
    assert [path for path in tmp_path.rglob("*") if path.is_dir() and not any(path.iterdir())] == [
        tmp_path / "mine"
    ]


def test_what_others_put_there_stays(releases, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.txt").write_text("mine")
    for name in ("old", "new"):
        publish_to_folder(releases[name], str(tmp_path))
        assert (tmp_path / "data/mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "data/train-00000-of-00001.parquet"])
def test_what_others_put_in_its_place_is_not_overwritten(releases, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(PublishError, match=f"holds {name}, which no release put there"):
        publish_to_folder(releases["old"], str(tmp_path))
    assert files_in(tmp_path) == {name: b"mine"}


def test_a_file_that_was_lost_is_put_there_again(releases, tmp_path):
    publish_to_folder(releases["old"], str(tmp_path))
    (tmp_path / "data/train-00000-of-00001.parquet").unlink()
    assert publish_to_folder(releases["old"], str(tmp_path)).changed
    assert files_in(tmp_path) == files_of(releases["old"])


@pytest.mark.parametrize(
    "content", [b"[]", b"{", b'{"files": [1, {}]}', b'{"files": {"a": 1}}', b'{"files": 7}']
)
def test_a_record_that_is_none_is_taken_for_none(releases, tmp_path, content):
    """It is replaced where it says that it is a release's; nothing falls over it."""
    (tmp_path / "release.json").write_bytes(content)
    try:
        publish_to_folder(releases["old"], str(tmp_path))
    except PublishError:
        assert files_in(tmp_path) == {"release.json": content}
    else:
        assert files_in(tmp_path) == files_of(releases["old"])


def test_a_record_cannot_have_other_files_deleted(releases, tmp_path):
    """The folder may be anybody's: names in it that lead elsewhere lead nowhere."""
    (tmp_path / "outside.txt").write_text("mine")
    folder = tmp_path / "folder"
    publish_to_folder(releases["old"], str(folder))
    record = json.loads((folder / "release.json").read_text())
    for name in ("../outside.txt", str(tmp_path / "outside.txt"), "data/../../outside.txt"):
        record["files"][name] = {"sha256": "0", "bytes": 4}
    (folder / "release.json").write_text(json.dumps(record))
    publish_to_folder(releases["new"], str(folder))
    assert (tmp_path / "outside.txt").read_text() == "mine"
    assert files_in(folder) == files_of(releases["new"])


def test_the_hub_is_no_folder(releases):
    with pytest.raises(ConfigError, match="published by commits"):
        publish_to_folder(releases["old"], "hf://datasets/org/name")


def test_a_place_that_cannot_be_written_is_told(releases, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file"):
        publish_to_folder(releases["old"], str(tmp_path / "file/below"))


def publish_and_die(release, folder, step):
    """Publish in a process that is killed just before its step-th change of a name; False if it lives."""
    child = os.fork()
    if child == 0:
        count = 0

        def dying(change):
            def call(*args, **kwargs):
                nonlocal count
                count += 1
                if count == step:
                    os._exit(KILLED)
                return change(*args, **kwargs)

            return call

        os.replace, os.remove, os.link = dying(os.replace), dying(os.remove), dying(os.link)
        try:
            publish_to_folder(release, str(folder))
        finally:
            os._exit(0 if count < step else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == KILLED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"), [(None, "old"), ("old", "new"), ("old", "more"), ("more", "old")]
)
def test_killed_at_any_step_a_folder_reads_as_the_old_or_the_new(releases, tmp_path, first, second):
    old = None if first is None else ids_by_card(releases[first].folder)
    new = ids_by_card(releases[second].folder)
    seen = []
    for step in range(1, 200):
        folder = tmp_path / str(step)
        if first is not None:
            publish_to_folder(releases[first], str(folder))
        died = publish_and_die(releases[second], folder, step)
        if (folder / "README.md").exists():
            found = ids_by_card(folder)
            assert found in (old, new)
            seen.append(found == new)
        else:  # nothing is named, and nothing is there
            assert first is None
            assert not [name for name in files_in(folder) if name.endswith(".parquet")]
        publish_to_folder(releases[second], str(folder))
        temporary = {name for name in files_in(folder) if name.endswith(".tmp")}
        assert files_in(folder).keys() - temporary == files_of(releases[second]).keys()
        assert all(
            files_in(folder)[name] == content
            for name, content in files_of(releases[second]).items()
        )
        shutil.rmtree(folder)
        if not died:
            break
    else:
        pytest.fail("it never came to an end")
    assert seen == sorted(seen)  # once it is the new one, it stays the new one
    assert step > 10


@pytest.mark.slow
def test_a_third_release_after_a_kill(releases, tmp_path):
    """Whatever the killed one left goes away with the next, whichever that is."""
    for step in range(1, 200, 3):
        folder = tmp_path / str(step)
        publish_to_folder(releases["old"], str(folder))
        died = publish_and_die(releases["new"], folder, step)
        publish_to_folder(releases["more"], str(folder))
        left = {name for name in files_in(folder) if not name.endswith(".tmp")}
        assert left == files_of(releases["more"]).keys()
        shutil.rmtree(folder)
        if not died:
            break


@pytest.mark.slow
def test_what_is_not_there_yet_does_not_load(releases, tmp_path):
    from datasets import load_dataset

    folder = tmp_path / "new"
    for step in range(1, 200):
        if not publish_and_die(releases["more"], folder, step):
            break
        if (folder / "data").exists():
            with pytest.raises((FileNotFoundError, ValueError)):
                load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
            assert (folder / "README.md").read_bytes() == NOTHING_YET
            return
        shutil.rmtree(folder, ignore_errors=True)


def test_the_journal_is_hidden_and_goes_away(releases, tmp_path):
    publish_to_folder(releases["old"], str(tmp_path))
    assert JOURNAL.startswith(".")
    assert not (tmp_path / JOURNAL).exists()


def test_any_place_that_fsspec_reaches(releases):
    uri = "memory://published-by-a-test/it"
    for name in ("old", "new", "new", "more"):
        publish_to_folder(releases[name], uri)
        root = open_root(uri)
        found = {path: root.read_bytes(path) for path in root.names("")}
        assert found == files_of(releases[name])


@pytest.mark.slow
def test_an_object_store(releases, monkeypatch):
    with running_s3() as s3:
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        client = s3.client()
        client.create_bucket(Bucket="published")
        client.close()
        for name in ("old", "new", "more"):
            assert publish_to_folder(releases[name], "s3://published/it").changed
            root = open_root("s3://published/it")
            found = {path: root.read_bytes(path) for path in root.names("")}
            assert found == files_of(releases[name])
        assert not publish_to_folder(releases["more"], "s3://published/it").changed
        s3fs.S3FileSystem.clear_instance_cache()
