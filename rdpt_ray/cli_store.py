"""`rdpt store`: what is in a store, whether it is sound, what nobody needs any more, what a run was.

Every command takes any fsspec URI, says how far it is on stderr, and exits 0 only on success.
"""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from rdpt_ray.cli_options import JsonOption
from rdpt_ray.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from rdpt_ray.storage.sweep import Removal

store_app = typer.Typer(
    name="store",
    help="Look after a store: what is in it, whether it is sound, what may go.",
    no_args_is_help=True,
)

StoreArgument = Annotated[str, typer.Argument(help="The store: a folder or any fsspec URI.")]


@store_app.command("ls")
def list_store(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Datasets, models, other rooms and runs: how much there is, and what it cost."""
    from rdpt_ray.pipeline.progress import stage
    from rdpt_ray.publish.store_tables import print_contents
    from rdpt_ray.storage.contents import Listing
    from rdpt_ray.storage.files import open_root

    listing = Listing(open_root(store))
    if not listing.files:
        raise StoreError(f"{store}: expected a store, found no file")
    with stage(Console(stderr=True), "read footers", len(listing.tables)) as advance:
        contents = listing.contents(advance)
    print_contents(Console(stderr=as_json), contents)
    if as_json:
        typer.echo(json.dumps(asdict(contents), sort_keys=True))


@store_app.command()
def verify(
    store: StoreArgument,
    set_aside: Annotated[
        bool,
        typer.Option(
            "--set-aside",
            help="Move damaged files that a job makes again to damaged/, so that the next one does.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every file: checksums, schemas, ids, spans, lists, counts. Exits 1 if damage is left."""
    from rdpt_ray.pipeline.progress import stage
    from rdpt_ray.publish.store_tables import print_audit
    from rdpt_ray.storage.audit import audit, plan_audit, set_damage_aside
    from rdpt_ray.storage.files import open_root
    from rdpt_ray.storage.sessions import live_sessions

    root, console = open_root(store), Console(stderr=True)
    plan = plan_audit(root)
    if not plan.names:
        raise StoreError(f"{store}: expected a store, found no file")
    with stage(console, "verify", plan.num_files) as advance:
        found = audit(plan, advance)
    num_damaged = len({each.file for each in found.damage})
    moved: list[str] = []
    if set_aside and found.damage:
        live = live_sessions(root)
        if live:
            raise StoreError(
                f"{root.show(live[0])}: a job is at work; set damaged files aside when it has ended"
            )
        moved = set_damage_aside(plan, found)
    print_audit(Console(stderr=as_json), found, moved)
    if as_json:
        result = {
            "store": root.show("").rstrip("/"),
            "files": found.num_files,
            "damaged": num_damaged,
            "damage": [asdict(each) for each in found.damage],
            "set_aside": moved,
            "notes": found.notes,
        }
        typer.echo(json.dumps(result, sort_keys=True))
    if found.damage:
        raise typer.Exit(1)


@store_app.command()
def gc(
    store: StoreArgument,
    apply: Annotated[
        bool, typer.Option("--apply", help="Delete; without it is only said what would go.")
    ] = False,
    unused: Annotated[
        bool, typer.Option("--unused", help="Also parts and scores that no run refers to.")
    ] = False,
    unfinished_days: Annotated[
        float | None,
        typer.Option(
            help="Also runs that were never finished and have not changed for so many days."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Delete what nobody needs: leftovers of dead writers, superfluous scores, old damaged files.

    Nothing of a job at work is touched, and what jobs share waits until none is.
    """
    from rdpt_ray.pipeline.progress import stage
    from rdpt_ray.publish.store_tables import print_sweep
    from rdpt_ray.storage.files import open_root
    from rdpt_ray.storage.sweep import SweepOptions, plan_sweep
    from rdpt_ray.storage.sweep_apply import apply_sweep

    if unfinished_days is not None and not unfinished_days >= 0:
        raise ConfigError(f"--unfinished-days: expected a number of at least 0: {unfinished_days}")
    root, console = open_root(store), Console(stderr=True)
    unfinished_s = None if unfinished_days is None else 86400 * unfinished_days
    console.print("looking at the store, and at who works on it (up to a minute)")
    sweep = plan_sweep(root, SweepOptions(unused, unfinished_s), time.time())
    gone: list[Removal] | None = None
    if apply:
        with stage(console, "delete", len(sweep.removals)) as advance:
            gone = apply_sweep(root, sweep, advance)
    print_sweep(Console(stderr=as_json), sweep, gone)
    if as_json:
        done = gone or []
        result = {
            "store": root.show("").rstrip("/"),
            "applied": apply,
            "bytes": sum(each.bytes for each in (done if apply else sweep.removals)),
            "removals": _by_reason(done if apply else sweep.removals),
            "left": len(sweep.removals) - len(done) if apply else 0,
            "held_back": _by_reason(sweep.held_back),
            "live": sorted(sweep.live),
        }
        typer.echo(json.dumps(result, sort_keys=True))
    if gone is not None and len(gone) < len(sweep.removals):
        raise typer.Exit(1)


def _by_reason(removals: "list[Removal]") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in removals:
        found.setdefault(each.why, []).append(each.name)
    return found


@store_app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's folder, STORE/runs/RUN.")],
    as_json: JsonOption = False,
) -> None:
    """A run's manifest: versions, config, models, inputs, counts, costs, timings, starts."""
    from rdpt_ray.publish.run_record import print_run
    from rdpt_ray.storage.run_records import known_of, open_record

    record = open_record(run)
    print_run(Console(stderr=as_json), record)
    if as_json:
        typer.echo(json.dumps(record.manifest or known_of(record), sort_keys=True))
