"""A finished run to where it is published: assembled in a local folder, then sent as a whole."""

import tempfile
from pathlib import Path

from rich.console import Console

from rdpt_ray.errors import ConfigError
from rdpt_ray.publish.folder import publish_to_folder
from rdpt_ray.publish.hub_commit import publish_to_hub
from rdpt_ray.publish.hub_target import hub_target
from rdpt_ray.publish.release import Published
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import HUB, PublishConfig
from rdpt_ray.storage.files import Root


def publish_run(run: Root, config: PublishConfig, console: Console) -> Published:
    """Publish a run; where its release is already, nothing is written.

    Args:
        run: The run's folder.
        config: Where to, and what.
        console: Where it is told what happens.

    Raises:
        ConfigError: if it does not say where to.
        StoreError: if the run is not finished, or a file of it cannot be read.
        PublishError: if it cannot be published, with what to do.
    """
    if config.to is None:
        raise ConfigError(
            "publish.to: expected hf://datasets/ORG/NAME, a folder or a URI, got nothing (--to)"
        )
    on_hub = config.to.startswith(HUB)
    target = hub_target(config) if on_hub else None  # refused before anything is written
    with tempfile.TemporaryDirectory(prefix="rdpt-release-") as folder:
        release = make_release(run, Path(folder), config)
        for warning in release.warnings:
            console.print(f"publish: {warning}", style="yellow", markup=False, highlight=False)
        if target is not None:
            return publish_to_hub(release, target, console)
        return publish_to_folder(release, config.to)
