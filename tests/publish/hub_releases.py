"""Small releases, how a publisher with little patience publishes them, and what the hub shows of it."""

import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from rdpt_ray.publish.hub_commit import publish_to_hub
from rdpt_ray.publish.hub_faults import Patience
from rdpt_ray.publish.hub_target import HubTarget
from rdpt_ray.publish.release import RELEASE, Release, ReleaseFile

NAME = "org/traces"

COMMIT = ("POST", "/commit/")
"""What publishing ends with."""

CARD = """---
license: mit
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  default: true
- config_name: provenance
  data_files:
  - split: train
    path: provenance/train-*
---
# {title}
"""

HASTY = Patience(first_wait_s=0.01, total_s=60.0, answer_s=20.0)


def rows_of(title, count):
    """Rows of two configs."""
    rows = [
        {"prompt": f"{title} {place}?", "response": f"It is {place}."} for place in range(count)
    ]
    spans = [{"prompt": row["prompt"], "sentence": 0, "start": 0, "end": 5} for row in rows]
    return {"data": rows, "provenance": spans}


def parquet(rows):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream, row_group_size=10)
    return stream.getvalue()


def release_of(folder, title="first", *, shards=2, count=20, more=None, sizes=0):
    """A release in a folder.

    Args:
        folder: Is made.
        title: Another title is another release.
        shards: Of its rows.
        count: Rows.
        more: Path -> content of more files.
        sizes: Bytes that make the shards larger.
    """
    content = {
        f"{config}/train-{place:05}-of-{shards:05}.parquet": parquet(rows[place::shards])
        + hashlib.shake_128(f"{title} {place}".encode()).digest(sizes) * bool(sizes)
        for config, rows in rows_of(title, count).items()
        for place in range(shards)
    }
    content |= {
        "README.md": CARD.format(title=title).encode(),
        "report/report.html": b"<p>clock</p>",
    }
    return write_release(folder, content | (more or {}), count)


def write_release(folder, content, count=0):
    """A release of these files: path -> content."""
    files = []
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        decides = not path.startswith("report/")
        files.append(ReleaseFile(path, hashlib.sha256(data).hexdigest(), len(data), decides))
    files.sort(key=lambda file: file.path)
    decided = [(file.path, file.sha256) for file in files if file.decides]
    told = {
        "release_id": hashlib.sha256(repr(decided).encode()).hexdigest(),
        "run_id": folder.name,
        "files": {file.path: {"sha256": file.sha256, "bytes": file.num_bytes} for file in files},
        "rows": {"default": count},
    }
    (folder / RELEASE).write_bytes(json.dumps(told).encode())
    return load_release(folder)


def load_release(folder):
    """A release that lies in a folder."""
    data = (folder / RELEASE).read_bytes()
    told = json.loads(data)
    files = [
        ReleaseFile(path, each["sha256"], each["bytes"], not path.startswith("report/"))
        for path, each in told["files"].items()
    ]
    files.append(ReleaseFile(RELEASE, hashlib.sha256(data).hexdigest(), len(data), False))
    files.sort(key=lambda file: file.path)
    return Release(folder, tuple(files), told["release_id"], told["run_id"], told["rows"])


def content_of(release):
    """Path -> bytes."""
    return {file.path: (release.folder / file.path).read_bytes() for file in release.files}


def publish(release, *, patience=HASTY, name=NAME, said=None, lease=None, **target):
    """Publish to the hub that the client is turned to; what is told is written to `said`."""
    console = Console(file=said if said is not None else io.StringIO(), width=1000)
    place = HubTarget(name, **target)
    return publish_to_hub(release, place, console, patience=patience, lease=lease)


def shown(hub, revision="main", name=NAME):
    """Path -> bytes of what is published."""
    return hub.datasets[name].head(revision).content()


def states(hub, revision="main", name=NAME):
    """What each commit of a branch holds, the newest first, without git's own."""
    return [commit.content() for commit in hub.datasets[name].history(revision)]


def is_linear(hub, name=NAME):
    """Whether every commit that is on no pull request is on the main branch."""
    dataset = hub.datasets[name]
    proposed = {pull.head for pull in dataset.pulls.values()}
    return {each.sha for each in dataset.history()} | proposed == set(dataset.commits)
