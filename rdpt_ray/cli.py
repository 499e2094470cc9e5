"""The `rdpt` command. Every subcommand takes one config and dotted overrides, and exits 0 only on success.

Heavy rooms are imported inside the commands, so that `rdpt --help` answers at once.
"""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from rdpt_ray import __version__
from rdpt_ray.cli_experiment import experiment_app
from rdpt_ray.cli_options import (
    ConfigArgument,
    FailAboveOption,
    JsonOption,
    OverridesArgument,
    RunArgument,
    load,
    outcome_console,
    run_app,
    show,
)
from rdpt_ray.cli_status import status_app
from rdpt_ray.cli_store import store_app
from rdpt_ray.errors import ConfigError
from rdpt_ray.method.summary import Summary
from rdpt_ray.pipeline.logs import job_console

if TYPE_CHECKING:
    from rdpt_ray.pipeline.lineage import Kind

app = typer.Typer(
    name="rdpt",
    help="Decide which teacher traces are worth distilling, and prove where sentences come from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(experiment_app)
app.add_typer(status_app)
app.add_typer(store_app)


@app.command()
def curate(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    fail_above: FailAboveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Select the traces worth distilling: ingest, split, score, classify, select, report.

    Running it again continues a killed run; a finished run is found and shown.
    """
    _run_job("curate", config, overrides, fail_above, as_json=as_json)


@app.command()
def trace(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    fail_above: FailAboveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trace where a distilled model's sentences come from: four-way provenance of its own traces."""
    _run_job("trace", config, overrides, fail_above, as_json=as_json)


@app.command()
def ingest(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Read a few rows only, and say how and why.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read the input into the store, cut into sentences; `curate` goes on from there."""
    loaded = load(config, overrides)
    if explain:
        from rdpt_ray.storage.explain import explain_input
        from rdpt_ray.storage.explain_text import render_explanations

        explained = explain_input(loaded.input)
        typer.echo(render_explanations(explained), err=as_json)
        if as_json:
            typer.echo(json.dumps([asdict(each) for each in explained], sort_keys=True))
        return
    from rdpt_ray.pipeline.stages import ingest_only

    show(ingest_only(loaded, job_console()), as_json=as_json)


@app.command()
def plan(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure a short real run here, and say how long.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What every model would have to read, how long that takes, what it costs, what the store has already.

    Reads a sample of the input and the models' configs and tokenizers; nothing is scored, nothing written.
    """
    loaded = load(config, overrides)
    from rdpt_ray.pipeline.plan import plan_job
    from rdpt_ray.pipeline.plan_text import console_for, plan_json, print_plan

    planned, looked = plan_job(loaded)
    console = console_for(as_json)
    print_plan(console, planned)
    told = plan_json(planned)
    if calibrate:
        from rdpt_ray.pipeline.plan_calibrate import calibrate_plan, print_calibration

        calibrated = calibrate_plan(loaded, planned, looked, Console(stderr=True))
        print_calibration(console, calibrated)
        told["calibrated"] = [asdict(each) for each in calibrated]
    if as_json:
        typer.echo(json.dumps(told, sort_keys=True))


@app.command()
def score(
    config: ConfigArgument, overrides: OverridesArgument = None, as_json: JsonOption = False
) -> None:
    """Ingest and score, and stop there; `curate` with the same config scores nothing again."""
    loaded = load(config, overrides)
    from rdpt_ray.pipeline.stages import score_only

    show(score_only(loaded, job_console()), as_json=as_json)


@app.command()
def compare(
    run: RunArgument,
    policies: Annotated[
        str | None, typer.Option(help="Names with commas between; all of them by default.")
    ] = None,
    betas: Annotated[
        str | None, typer.Option(help="Thresholds to try, with commas between.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What every policy, and every beta, would have made of a finished run; no model is touched."""
    from rdpt_ray.pipeline.compare import compare_run
    from rdpt_ray.pipeline.progress import stage
    from rdpt_ray.publish.compare_tables import comparison_json, print_comparison
    from rdpt_ray.storage.runs import num_buckets, open_run

    store, folder, manifest = open_run(run)
    grid = None if betas is None else [_number(text) for text in betas.split(",")]
    with stage(Console(stderr=True), "compare", num_buckets(store, folder)) as advance:
        compared = compare_run(
            store,
            folder,
            manifest,
            betas=grid,
            policies=None if policies is None else [name.strip() for name in policies.split(",")],
            advance=advance,
        )
    print_comparison(Console(stderr=as_json), compared.comparison, compared.sensitivity)
    if as_json:
        found = comparison_json(compared.comparison, compared.sensitivity)
        typer.echo(json.dumps(found, sort_keys=True))


@app.command()
def report(
    run: RunArgument,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the report as Markdown on stdout.")
    ] = False,
) -> None:
    """Show a finished run's outcome again and write its report anew; nothing is computed."""
    from rdpt_ray.publish.facts import RunFacts
    from rdpt_ray.publish.report import render_report
    from rdpt_ray.publish.terminal import print_outcome
    from rdpt_ray.publish.viewer_traces import sample_traces
    from rdpt_ray.storage.files import open_root
    from rdpt_ray.storage.runs import REPORT, read_manifest

    root = open_root(run)
    manifest = read_manifest(root)
    if markdown:
        from rdpt_ray.publish.markdown import run_markdown

        typer.echo(run_markdown(manifest))
        return
    facts = RunFacts.from_dict(manifest["facts"])
    summary = Summary.from_dict(manifest["summary"])
    root.write_bytes(REPORT, render_report(summary, facts, sample_traces(root)).encode())
    print_outcome(Console(), summary, facts, root.show(REPORT))


@app.command()
def publish(
    run: RunArgument,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Keys of the config's section publish, for example rejected=true"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="hf://datasets/ORG/NAME[@BRANCH], a folder, or any fsspec URI."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a finished run as a dataset with its card and report, as one commit.

    Where the same release is already, nothing is written. The run's own config says what is not said here;
    if it has a `schedule`, this is a round of it. A token for the Hub is taken from HF_TOKEN or from
    `hf auth login`.
    """
    from rdpt_ray.config import apply_override, parse_config
    from rdpt_ray.pipeline.interrupts import interruptible
    from rdpt_ray.publish.publishing import publish_run
    from rdpt_ray.publish.rounds import schedule_round
    from rdpt_ray.storage.files import open_root
    from rdpt_ray.storage.runs import open_run, read_manifest

    root = open_root(run)
    tree = read_manifest(root)["config"]
    for override in overrides or []:
        apply_override(tree, f"publish.{override}")
    if to is not None:
        tree["publish"] = {**(tree.get("publish") or {}), "to": to}
    config = parse_config(tree, where=f"publish {run}")
    store, console = open_run(run)[0] if config.schedule else root, job_console()
    with interruptible(), schedule_round(config, store, console) as lease:
        published = publish_run(root, config.publish, console, lease)
    typer.echo(f"{published.url}\n{published.why}", err=as_json)
    if as_json:
        typer.echo(json.dumps(asdict(published), sort_keys=True))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _run_job(
    kind: "Kind",
    config: str,
    overrides: list[str] | None,
    fail_above: str | None = None,
    *,
    as_json: bool,
) -> None:
    """Load the config, run the job, show the outcome."""
    if fail_above is not None:
        overrides = [*(overrides or []), f"fail_above={fail_above}"]
    loaded = load(config, overrides)
    from rdpt_ray.pipeline.curate import curate as run_curate
    from rdpt_ray.publish.terminal import print_outcome

    run = run_curate(loaded, job_console(), kind=kind)
    print_outcome(outcome_console(as_json), run.summary, run.facts, run.report)
    if as_json:
        typer.echo(json.dumps(run.to_json(), sort_keys=True))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"--betas: expected numbers with commas between, got {text!r}") from error


def main() -> None:
    """Entry point of `rdpt`."""
    run_app(app, as_json="--json" in sys.argv)
