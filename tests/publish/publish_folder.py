"""Publish the release of a folder from a process of its own: FOLDER DATASET TRIES; prints what came of it."""

import json
import logging
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from rdpt_ray.errors import RdptError
from rdpt_ray.publish.hub_commit import publish_to_hub
from rdpt_ray.publish.hub_faults import Patience
from rdpt_ray.publish.hub_target import HubTarget
from tests.publish.hub_releases import load_release


def main():
    folder, name, tries = sys.argv[1:4]
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    patience = Patience(tries=int(tries), first_wait_s=0.1)
    try:
        done = publish_to_hub(
            load_release(Path(folder)), HubTarget(name), Console(), patience=patience
        )
        result = asdict(done)
    except RdptError as error:
        traceback.print_exc()
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
