import hashlib
import json
import os
import subprocess
import sys

import pytest

from rdpt_ray.errors import PublishError, StoreError
from rdpt_ray.publish.release_files import make_release, release_id_of
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.files import open_root
from tests.publish.finished_run import candidate, finished_run, made_facts, sums

SECRET = "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH"


def release(tmp_path, run, name="release", **publish):
    return make_release(run, tmp_path / name, PublishConfig(**publish))


def test_everything_is_there_and_listed(tmp_path):
    made = release(tmp_path, finished_run(tmp_path / "run"), rejected=True)
    assert [file.path for file in made.files] == [
        "README.md",
        "data/train-00000-of-00001.parquet",
        "figures/classes.svg",
        "figures/classes_by_position.svg",
        "figures/outcome.svg",
        "figures/teacher_by_length.svg",
        "manifest.json",
        "provenance/train-00000-of-00001.parquet",
        "rejected/train-00000-of-00001.parquet",
        "release.json",
        "report/index.html",
    ]
    assert made.num_rows == {"default": 6, "provenance": 12, "rejected": 6}
    for file in made.files:
        content = (made.folder / file.path).read_bytes()
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert file.num_bytes == len(content)
    record = json.loads((made.folder / "release.json").read_text())
    assert record["release_id"] == made.release_id == release_id_of(made.files)
    assert record["run_id"] == made.run_id == "demo-0123456789ab"
    assert set(record["files"]) == {file.path for file in made.files} - {"release.json"}
    assert record["rows"] == made.num_rows


def test_files_with_clocks_do_not_decide(tmp_path):
    made = release(tmp_path, finished_run(tmp_path / "run"))
    idle = {file.path for file in made.files if not file.decides}
    assert idle == {"manifest.json", "report/index.html", "release.json"}


def test_the_same_run_is_the_same_release_byte_by_byte(tmp_path):
    run = finished_run(tmp_path / "run")
    first, again = release(tmp_path, run, "one"), release(tmp_path, run, "two")
    assert first.files == again.files
    assert first.release_id == again.release_id


def test_a_run_made_again_elsewhere_is_the_same_release(tmp_path):
    """Clocks, hosts, costs and the report differ; what trains a model does not."""
    one = finished_run(tmp_path / "one/run")
    facts = made_facts(12, created_at="2027-07-07", wall_s=99.9)
    two = finished_run(tmp_path / "two/run", report="<html>later</html>", facts=facts, sessions=[])
    first, again = release(tmp_path, one, "a"), release(tmp_path, two, "b")
    assert first.release_id == again.release_id
    assert first.files != again.files


def test_other_rows_are_another_release(tmp_path):
    one = release(tmp_path, finished_run(tmp_path / "run"), "a")
    two = release(tmp_path, finished_run(tmp_path / "run2", sums(7)), "b")
    assert one.release_id != two.release_id


def test_a_token_in_a_row_stops_everything(tmp_path):
    rows = [*sums(), candidate("Token?", "I read it.", f"It is {SECRET}.", row=99)]
    run = finished_run(tmp_path / "run", rows)
    with pytest.raises(
        PublishError, match=r"in.jsonl row 99 .* response: Hugging Face token"
    ) as caught:
        release(tmp_path, run)
    assert SECRET not in str(caught.value)
    made = release(tmp_path, run, "allowed", allow_secrets=True)
    assert "publish.allow_secrets is true" in made.warnings[0]


def test_a_token_in_a_trace_that_stays_behind_is_none_of_this_datasets(tmp_path):
    rows = list(sums(1, 2))
    run = finished_run(tmp_path / "run", rows)
    (name,) = [name for name in run.names("rejected") if run.read_table(name).num_rows]
    table = run.read_table(name)
    at = table.schema.get_field_index("response")
    run.write_table(name, table.set_column(at, table.schema.field(at), [[SECRET]]))
    release(tmp_path, run)
    with pytest.raises(PublishError, match="response: Hugging Face token"):
        release(tmp_path, run, "with", rejected=True)


@pytest.mark.parametrize("where", ["report", "manifest"])
def test_a_token_beside_the_rows_stops_everything(tmp_path, where):
    """The report shows traces that are not published as rows."""
    more = {"report": f"<p>{SECRET}</p>"} if where == "report" else {"commit": SECRET}
    run = finished_run(tmp_path / "run", **more)
    with pytest.raises(PublishError, match=r"index.html, text|manifest.json, text") as caught:
        release(tmp_path, run)
    assert ("publish.report: false" in str(caught.value)) == (where == "report")
    if where == "report":
        made = release(tmp_path, run, "without", report=False)
        assert "report/index.html" not in {file.path for file in made.files}


def test_nothing_private_is_in_it(tmp_path):
    facts = made_facts(12)
    config = {
        "store": "/home/jane/store",
        "input": {"path": ["/home/jane/in.jsonl", "s3://u:pw@b/x"]},
    }
    models = {
        "teacher": {"key": "t-1", "model": "/home/jane/teacher", "location": "/home/jane/teacher"},
        "student": {
            "key": "s-1",
            "model": "models/student",
            "endpoint": {"url": "http://10.0.0.7"},
        },
    }
    run = finished_run(tmp_path / "run", facts=facts, config=config, models=models)
    made = release(tmp_path, run)
    text = "".join((made.folder / name).read_text() for name in ("manifest.json", "README.md"))
    for private in ("jane", "node-17", "10.0.0.7", "u:pw", "Linux-6.1"):
        assert private not in text
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest["config"]["input"]["path"] == ["in.jsonl", "s3://b/x"]
    assert not {"points", "most_teacher", "least_teacher"} & set(manifest["summary"])
    assert manifest["counts"]["rows_read"] == 12


def test_licences_are_told(tmp_path):
    rows = [
        candidate("a?", "b.", "c.", license=None),
        candidate("d?", "e.", "f.", license="cc-by-nc-4.0"),
    ]
    made = release(tmp_path, finished_run(tmp_path / "run", rows))
    assert made.warnings == (
        "1 rows have no licence: no licence is known: ask whoever made them",
        "1 rows have the licence cc-by-nc-4.0: no commercial use",
    )


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no finished run"):
        make_release(open_root(str(tmp_path / "none")), tmp_path / "release", PublishConfig())


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "release").mkdir()
    (tmp_path / "release/mine.txt").write_text("mine")
    with pytest.raises(PublishError, match="expected an empty folder"):
        release(tmp_path, finished_run(tmp_path / "run"))


PEAK = """
import re, sys
from pathlib import Path
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.files import open_root
run, folder, shard_bytes = sys.argv[1:]
make_release(open_root(run), Path(folder), PublishConfig(shard_bytes=int(shard_bytes)))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_size(tmp_path):
    """Four times the rows need no more memory: a row group of the run is held, and one of each config."""
    peaks = []
    for count in (3_300, 13_200):
        rows = (candidate(f"{at}?", os.urandom(10_000).hex(), "Yes.") for at in range(count))
        run = finished_run(tmp_path / f"run{count}", rows)
        command = [sys.executable, "-c", PEAK, run.uri, str(tmp_path / f"made{count}"), "100000000"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 120, peaks  # of 400 MB more of text, read and written
