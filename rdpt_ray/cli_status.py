"""`rdpt status`: how far runs are, from any machine that can read the store."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from rdpt_ray.cli_options import JsonOption
from rdpt_ray.errors import ConfigError, StoreError

status_app = typer.Typer()


@status_app.command()
def status(
    where: Annotated[str, typer.Argument(help="A store, or one run's folder STORE/runs/RUN.")],
    wait: Annotated[
        float | None,
        typer.Option(
            help="Seconds to look for a beat of a driver elsewhere, 25 by default; 0: only its age counts."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Who works on a store's runs, how far they are, when they end, what they cost, what to do next.

    Reads the store and nothing else: any fsspec URI, from any machine.
    """
    from rdpt_ray.publish.status_tables import print_leases, print_status
    from rdpt_ray.storage.files import open_root
    from rdpt_ray.storage.lease_status import status_of_leases
    from rdpt_ray.storage.status import WAIT_S, status_of_runs

    wait_s = WAIT_S if wait is None else wait
    if not wait_s >= 0:
        raise ConfigError(f"--wait: expected a number of at least 0: {wait}")
    store, _, run = where.rstrip("/").rpartition("/runs/")
    if not store or "/" in run:
        store, run = where, ""
    root = open_root(store)
    runs = status_of_runs(root, run or None, wait_s)
    leases = [] if run else status_of_leases(root)
    if not runs and not leases:
        raise StoreError(f"{root.show('runs')}: expected {run or 'runs'}, found no file")
    console = Console(stderr=as_json)
    print_status(console, runs)
    print_leases(console, leases)
    if as_json:
        result = {
            "store": root.show("").rstrip("/"),
            "runs": [asdict(each) for each in runs],
            "leases": [asdict(each) for each in leases],
        }
        typer.echo(json.dumps(result, sort_keys=True))
