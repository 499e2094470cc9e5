"""Inputs far away: an S3 API, a Hub and a GCS API on loopback, read in ranges by the unmodified clients."""

import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.hub.repositories import Dataset
from tests.hub.server import TOKEN, running_hub
from tests.storage.s3_server import KEY, SECRET, running_s3

REPOSITORY = Path(__file__).resolve().parents[2]

READ = """
import json, sys
from rdpt_ray.input_config import InputConfig
from rdpt_ray.errors import RdptError
from rdpt_ray.method.sentences import SPLITTERS
from rdpt_ray.storage.hub import hub_facts
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import check_columns, list_inputs

config = InputConfig(path=json.loads(sys.argv[1]))
try:
    files = list_inputs(config)
    check_columns(files, config)
    rows = {
        file.uri: sum(
            table.num_rows - table.column("response").null_count
            for table in read_file(file, config, split=SPLITTERS["line"])
        )
        for file in files
    }
    result = {
        "rows": rows,
        "revisions": sorted({str(file.revision) for file in files}),
        "fingerprints": [file.fingerprint for file in files],
        "facts": hub_facts(files),
    }
except RdptError as error:
    result = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(result))
"""


def read(path, environment, code=READ):
    """What a process of its own reads there; nothing of it may show a secret."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code, json.dumps(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**kept, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    for secret in (SECRET, TOKEN):
        assert secret not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def traces(count, junk=0):
    rng = random.Random(0)
    return [
        {
            "prompt": f"{place} + {place}?",
            "response": f"<think>\ntwice {place}\n</think>\n\n{2 * place}",
            "junk": rng.randbytes(junk).hex(),
        }
        for place in range(count)
    ]


def parquet(rows, **kwargs):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream, **kwargs)
    return stream.getvalue()


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


WIDE = parquet(traces(80, junk=40_000), row_group_size=20)


# S3


@pytest.fixture(scope="module")
def s3():
    with running_s3() as server:
        client = server.client()
        client.create_bucket(Bucket="inputs")
        for key, content in {
            "data/a.parquet": WIDE,
            "data/deep/b.jsonl.zst": zstandard.compress(jsonl(traces(30))),
            "data/deep/c.jsonl": jsonl(traces(20)),
            "data/_hidden.jsonl": b"{}",
            "data/readme.txt": b"no input",
        }.items():
            client.put_object(Bucket="inputs", Key=key, Body=content)
        yield server
        client.close()


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        (
            "s3://inputs/data",
            {"data/a.parquet": 80, "data/deep/b.jsonl.zst": 30, "data/deep/c.jsonl": 20},
        ),
        ("s3://inputs/data/deep/*.jsonl*", {"data/deep/b.jsonl.zst": 30, "data/deep/c.jsonl": 20}),
        ("s3://inputs/data/deep/c.jsonl", {"data/deep/c.jsonl": 20}),
    ],
    ids=["folder", "glob", "file"],
)
def test_s3_folders_globs_and_files_are_read(s3, path, rows):
    found = read(path, s3.environment())
    keys = {uri.removeprefix("s3://inputs/"): count for uri, count in found["rows"].items()}
    assert keys == rows
    assert found["revisions"] == ["None"]
    assert all("etag" in fingerprint for fingerprint in found["fingerprints"])


def test_of_a_parquet_file_only_the_columns_that_are_needed_travel(s3):
    s3.gets.clear()
    assert sum(read("s3://inputs/data/a.parquet", s3.environment())["rows"].values()) == 80
    assert len(WIDE) > 6_000_000
    assert 0 < s3.served("data/a.parquet") < 0.1 * len(WIDE)


@pytest.mark.parametrize("path", ["s3://inputs/none", "s3://no-such-bucket/x.jsonl"])
def test_what_is_not_there_is_told(s3, path):
    assert read(path, s3.environment())["error"] == f"InputError: input.path: {path} does not exist"


def test_without_credentials_the_error_is_ours(s3, tmp_path):
    environment = {name: value for name, value in s3.environment().items() if "KEY" not in name} | {
        "HOME": str(tmp_path)
    }
    error = read("s3://inputs/data", environment)["error"]
    assert error.startswith("InputError: input.path: s3://inputs/data cannot be listed: ")
    assert "credentials" in error


def test_with_wrong_credentials_the_error_is_ours_and_shows_no_secret(s3):
    s3.check_logins(after=0)
    try:
        error = read("s3://inputs/data", s3.environment())["error"]
    finally:
        s3.check_logins(after=10**9)
    assert error.startswith("InputError: input.path: s3://inputs/data cannot be listed: ")
    assert len(error) < 600


@pytest.mark.slow  # it is asked again for a minute
def test_a_server_that_does_not_answer_is_told(tmp_path):
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_MAX_ATTEMPTS": "1",
    }
    error = read("s3://inputs/data", environment)["error"]
    assert error.startswith("InputError: input.path: s3://inputs/data cannot be listed: ")


# The Hub

CARD = "---\nlicense: apache-2.0\n---\n# Traces\n"


@pytest.fixture
def hub():
    with running_hub() as server:
        server.datasets["org/traces"] = Dataset()
        yield server


def of_hub(hub, path, **environment):
    return read(path, {"HF_ENDPOINT": hub.url, **environment})


def test_a_dataset_is_read_at_the_commit_its_branch_stands_for(hub):
    dataset = hub.datasets["org/traces"]
    first = dataset.commit({"data/a.parquet": WIDE, "README.md": CARD.encode()})
    dataset.commit({"data/b.jsonl": jsonl(traces(7))}, branch="more")
    found = of_hub(hub, "hf://datasets/org/traces")
    assert found["rows"] == {"hf://datasets/org/traces/data/a.parquet": 80}
    assert found["revisions"] == [first]
    content = [each.path for each in hub.requests if each.served]
    assert content
    assert all(f"/resolve/{first}/" in path for path in content)
    assert hub.served("a.parquet") < 0.1 * len(WIDE)


def test_a_revision_can_be_a_branch_or_a_commit(hub):
    dataset = hub.datasets["org/traces"]
    first = dataset.commit({"data/a.jsonl": jsonl(traces(3))})
    second = dataset.commit({"data/a.jsonl": jsonl(traces(5))})
    for revision, rows, commit in (("main", 5, second), (first, 3, first), (second, 5, second)):
        uri = f"hf://datasets/org/traces@{revision}/data/a.jsonl"
        found = of_hub(hub, uri)
        assert (found["rows"], found["revisions"]) == ({uri: rows}, [commit])
    globbed = of_hub(hub, "hf://datasets/org/traces@main/data/*.jsonl")
    assert list(globbed["rows"].values()) == [5]


@pytest.mark.parametrize(
    ("card", "license"),
    [
        (CARD, "apache-2.0"),
        ("---\nlicense: other\nlicense_name: own-terms\n---\n", "own-terms"),
        ("---\nlicense: [mit, cc-by-4.0]\n---\n", "mit, cc-by-4.0"),
        ("# no front matter", None),
        ("---\nlicense: [broken\n---\n", None),
        (None, None),
    ],
)
def test_the_card_states_the_licence(hub, card, license):
    files = {"a.jsonl": jsonl(traces(1))} | ({"README.md": card.encode()} if card else {})
    hub.datasets["org/traces"].commit(files)
    facts = of_hub(hub, "hf://datasets/org/traces")["facts"]
    assert facts == {
        "hf://datasets/org/traces/a.jsonl": {
            "license": license,
            "source": "hf://datasets/org/traces",
            "teacher_name": None,
        }
    }


def test_a_private_dataset_needs_the_token_of_the_environment(hub):
    hub.datasets["org/private"] = Dataset(private=True)
    hub.datasets["org/private"].commit({"a.jsonl": jsonl(traces(2)), "README.md": CARD.encode()})
    uri = "hf://datasets/org/private/a.jsonl"
    assert of_hub(hub, uri, HF_TOKEN=TOKEN)["rows"] == {uri: 2}
    error = of_hub(hub, uri)["error"]
    assert error.startswith(f"InputError: input.path: {uri} does not exist, or may not be read")
    assert "set HF_TOKEN" in error


@pytest.mark.parametrize(
    "path",
    [
        "hf://datasets/org/none/a.jsonl",
        "hf://datasets/org/traces@none/a.jsonl",
        "hf://datasets/org/traces/none.jsonl",
    ],
)
def test_what_the_hub_does_not_have_is_told(hub, path):
    hub.datasets["org/traces"].commit({"a.jsonl": jsonl(traces(1))})
    error = of_hub(hub, path)["error"]
    assert error.startswith("InputError: input.path: hf://datasets/org/")
    assert "does not exist" in error


def test_a_hub_that_does_not_answer_is_told():
    error = read("hf://datasets/org/traces", {"HF_ENDPOINT": "http://127.0.0.1:9"})["error"]
    assert error.startswith("InputError: input.path: hf://datasets/org/traces cannot be listed: ")
