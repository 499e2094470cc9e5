"""A finished run to where it is published: assembled in a local folder, then sent as a whole."""

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from rdpt_ray import __version__
from rdpt_ray.errors import ConfigError, StoreError
from rdpt_ray.publish.fence import must_mark
from rdpt_ray.publish.folder import is_release, publish_to_folder
from rdpt_ray.publish.folder_claim import record_in
from rdpt_ray.publish.hub_commit import is_head, publish_to_hub
from rdpt_ray.publish.hub_target import HubTarget, hub_target
from rdpt_ray.publish.release import Published
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import HUB, PublishConfig
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.leases import Lease
from rdpt_ray.storage.runs import canonical_json, write_json

PUBLISHED = "published.json"
"""In a run's folder: what was published of it last. Only ever saves work."""


def publish_run(
    run: Root, config: PublishConfig, console: Console, lease: Lease | None = None
) -> Published:
    """Publish a run; where its release is already, nothing is written.

    Args:
        run: The run's folder.
        config: Where to, and what.
        console: Where it is told what happens.
        lease: Of the round of a schedule that publishes; None: it is none.

    Raises:
        ConfigError: if it does not say where to.
        StoreError: if the run is not finished, or a file of it cannot be read.
        PublishError: if it cannot be published, with what to do.
        LeaseError: if a later round has taken over, or has published.
    """
    if config.to is None:
        raise ConfigError(
            "publish.to: expected hf://datasets/ORG/NAME, a folder or a URI, got nothing (--to)"
        )
    on_hub = config.to.startswith(HUB)
    target = hub_target(config) if on_hub else None  # refused before anything is written
    if lease is not None:
        lease.check()
    known = _known(run, config, target, console, lease)
    if known is not None:
        return known
    with tempfile.TemporaryDirectory(prefix="rdpt-release-") as folder:
        release = make_release(run, Path(folder), config, lease)
        for warning in release.warnings:
            console.print(f"publish: {warning}", style="yellow", markup=False, highlight=False)
        if target is not None:
            published = publish_to_hub(release, target, console, lease=lease)
        else:
            published = publish_to_folder(release, config.to, lease)
    record = {
        "from": _asked(config),
        "url": published.url,
        "commit": published.commit,
        "fenced": _fenced(lease),
    }
    with suppress(StoreError):  # whoever publishes may not be one who may write the store
        write_json(run, PUBLISHED, record)
    return published


def _known(
    run: Root,
    config: PublishConfig,
    target: HubTarget | None,
    console: Console,
    lease: Lease | None,
) -> Published | None:
    """What was published of this run in this way, if it is still there, without making it again."""
    record = record_in(run.read_many([PUBLISHED]).get(PUBLISHED, b""))
    is_fenced = not must_mark(lease, None) or record.get("fenced") == _fenced(lease)
    if record.get("from") != _asked(config) or not is_fenced:
        return None
    url, commit = str(record.get("url")), str(record.get("commit"))
    if target is None:
        is_there = is_release(str(config.to), commit)
    else:
        is_there = not target.pull_request and is_head(target, commit, console)
    why = "nothing has changed since it was published"
    return Published(url, commit, False, why) if is_there else None


def _asked(config: PublishConfig) -> str:
    """What decides a release beside its run."""
    told = canonical_json([config.model_dump(mode="json"), __version__])
    return hashlib.sha256(told.encode()).hexdigest()


def _fenced(lease: Lease | None) -> list[Any]:
    """Which rounds that may live cannot replace what this one has left published."""
    return [] if lease is None else [lease.record.series, lease.record.at_large]
