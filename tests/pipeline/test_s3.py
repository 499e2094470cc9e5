"""The main job from an S3 input into an S3 store, by a real S3 API on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import config_tree, miniature_rows
from tests.storage.s3_server import SECRET, running_s3

RDPT = Path(sys.executable).parent / "rdpt"


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_curate_from_s3_into_s3_and_again(tmp_path):
    tree = config_tree(tmp_path, rows=miniature_rows(0, 24))
    with running_s3() as server:
        client = server.client()
        client.create_bucket(Bucket="rdpt")
        client.upload_file(str(tmp_path / "traces.jsonl"), "rdpt", "traces/day=1.jsonl")
        tree["input"] = {"path": "s3://rdpt/traces/"}
        tree["store"] = "s3://rdpt/store"
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(tree))

        def curate():
            done = subprocess.run(
                [str(RDPT), "curate", str(config), "--json"],
                capture_output=True,
                text=True,
                timeout=250,
                check=False,
                env={**os.environ, **server.environment()},
            )
            assert done.returncode == 0, done.stderr[-2000:]
            assert SECRET not in done.stdout + done.stderr
            return json.loads(done.stdout.splitlines()[-1])

        first = curate()
        assert (first["rows_read"], first["quarantined"]) == (24, 0)
        assert first["scored"] == {"student": 24, "teacher": 24}
        client.upload_file(str(tmp_path / "traces.jsonl"), "rdpt", "traces/day=2.jsonl")
        second = curate()
        assert (second["rows_read"], second["quarantined"]) == (48, 24), "the copies are duplicates"
        assert second["scored"] == {"student": 0, "teacher": 0}
        keys = [item["Key"] for item in client.list_objects_v2(Bucket="rdpt")["Contents"]]
        written = [
            client.get_object(Bucket="rdpt", Key=key)["Body"].read()
            for key in keys
            if key.endswith((".json", ".html"))
        ]
        assert written
        assert not any(SECRET.encode() in content for content in written)
