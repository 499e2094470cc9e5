"""A finished run as the files of a dataset, complete in a local folder."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rdpt_ray import __version__
from rdpt_ray.errors import PublishError
from rdpt_ray.method.summary import Summary
from rdpt_ray.publish.dataset_card import dataset_card
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.fence import SCHEDULE, round_of
from rdpt_ray.publish.figure_files import figure_files
from rdpt_ray.publish.licenses import license_warnings
from rdpt_ray.publish.public_names import public_manifest
from rdpt_ray.publish.release import README, RELEASE, Release, ReleaseFile
from rdpt_ray.publish.release_tables import Tables, write_tables
from rdpt_ray.publish.untrusted import shorten
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.leases import Lease
from rdpt_ray.storage.runs import MANIFEST, REPORT, canonical_json, read_manifest

_CLOCKS = (MANIFEST, REPORT)
"""Files with clocks and timings in them, which differ although the dataset is the same."""


def make_release(
    run: Root, folder: Path, publish: PublishConfig, lease: Lease | None = None
) -> Release:
    """Write a run's dataset below a folder: the same run and config give the same release_id.

    Args:
        run: The run's own folder.
        folder: Empty, or not there.
        publish: What the dataset is to hold.
        lease: Of the round of a schedule that makes it; its number is no part of the release_id.

    Raises:
        StoreError: if the run is not finished, or its tables are damaged.
        PublishError: if rows hold access tokens or private keys.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PublishError(f"{folder}: expected an empty folder to make the dataset in")
    manifest = read_manifest(run)
    tables = write_tables(run, manifest, folder, publish)
    screen = tables.screen
    if not publish.allow_secrets:
        screen.refuse_secrets()
    texts = _texts(run, manifest, publish)
    card = dataset_card(manifest, tables, _sizes(folder, tables), publish, list(texts))
    texts[README] = card.encode()
    for path, content in texts.items():
        screen.look_at_file(path, content.decode())
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if not publish.allow_secrets:
        screen.refuse_secrets()
    return _finished(folder, manifest, tables, lease)


def _texts(run: Root, manifest: Mapping[str, Any], publish: PublishConfig) -> dict[str, bytes]:
    """Path -> content of what is published beside the shards, without the card."""
    summary = Summary.from_dict(manifest["summary"]).finished()
    texts = figure_files(summary, RunFacts.from_dict(manifest["facts"]))
    public = json.dumps(public_manifest(manifest), indent=2, sort_keys=True, ensure_ascii=False)
    texts[MANIFEST] = f"{public}\n".encode()
    if publish.report and run.exists(REPORT):
        texts[REPORT] = run.read_bytes(REPORT)
    return texts


def _sizes(folder: Path, tables: Tables) -> dict[str, int]:
    return {
        path: (folder / path).stat().st_size for shards in tables.shards for path in shards.paths
    }


def _finished(
    folder: Path, manifest: Mapping[str, Any], tables: Tables, lease: Lease | None
) -> Release:
    """Add the file that says what is there."""
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [_file(path, path.relative_to(folder).as_posix()) for path in names]
    release_id = release_id_of(files)
    run_id = manifest["facts"]["run_id"]
    num_rows = {shards.config: shards.num_rows for shards in tables.shards}
    record = {
        "release_id": release_id,
        "run_id": run_id,
        "files": {file.path: {"sha256": file.sha256, "bytes": file.num_bytes} for file in files},
        "rows": num_rows,
        "rdpt_ray": __version__,
    }
    if lease is not None:
        record[SCHEDULE] = round_of(lease)
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / RELEASE).write_text(f"{text}\n", encoding="utf-8")
    files = sorted([*files, _file(folder / RELEASE, RELEASE)], key=lambda file: file.path)
    return Release(folder, tuple(files), release_id, run_id, num_rows, tuple(_warnings(tables)))


def release_id_of(files: Iterable[ReleaseFile]) -> str:
    """What stands for a dataset: a hash over path and content of the files that decide."""
    decide = sorted([file.path, file.sha256] for file in files if file.decides)
    return hashlib.sha256(canonical_json(decide).encode()).hexdigest()


def _file(path: Path, name: str) -> ReleaseFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ReleaseFile(name, digest, path.stat().st_size, name not in (*_CLOCKS, RELEASE))


def _warnings(tables: Tables) -> list[str]:
    screen = tables.screen
    found = [shorten(each, 200) for each in license_warnings(tables.licenses)]
    if not tables.shards[0].num_rows:
        found.append(
            "nothing was selected: `datasets` reads a dataset without rows as a stream only"
        )
    if screen.num_emails:
        found.append(f"{screen.num_emails:,} rows hold what looks like an e-mail address")
    if screen.num_secrets:
        found.append(
            f"{screen.num_secrets:,} rows or files hold what looks like an access token or a private key;"
            " published, because publish.allow_secrets is true"
        )
    return found
