"""A driver that distills in a process of its own: CONFIG.yaml; prints what came of it."""

import json
import sys

from rich.console import Console

from rdpt_ray.config import load_config
from rdpt_ray.errors import RdptError
from rdpt_ray.pipeline.distill import distill


def main():
    try:
        told = distill(load_config(sys.argv[1]), Console(stderr=True)).to_json()
    except RdptError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
