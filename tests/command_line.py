"""The command `rdpt` in a process of its own."""

import os
import subprocess
import sys

CODE = "import sys; from rdpt_ray.cli import main; sys.argv[0] = 'rdpt'; main()"


def rdpt(*words):
    """Run it in a terminal of 80 columns; the process that has ended."""
    return subprocess.run(
        [sys.executable, "-c", CODE, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
