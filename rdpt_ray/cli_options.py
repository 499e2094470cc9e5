"""What the subcommands of `rdpt` have in common: arguments, the config, errors as text, jobs."""

import inspect
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from rdpt_ray.errors import RdptError
from rdpt_ray.pipeline.submitted import SUBMITTED

if TYPE_CHECKING:
    from rdpt_ray.config import CurateConfig

ConfigArgument = Annotated[str, typer.Argument(help="YAML config: a local path or any fsspec URI.")]
ConfigOption = Annotated[str, typer.Option(help="YAML config: a local path or any fsspec URI.")]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(help="Overrides, for example thresholds.beta=0.15")
]
RunArgument = Annotated[
    str, typer.Argument(help="A finished run's folder, as `rdpt curate` printed it.")
]
RunOption = Annotated[str, typer.Option(help="A finished run's folder: STORE/runs/RUN, any URI.")]
FailAboveOption = Annotated[
    str | None,
    typer.Option(
        "--fail-above",
        help="Stop with exit code 3 when more of the rows is quarantined, for example 1%.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")
]


def load(config: str, overrides: list[str] | None) -> "CurateConfig":
    """The validated config of a command.

    Raises:
        ConfigError: listing every fault.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from rdpt_ray.config import load_config

    loaded = load_config(config, overrides)
    if told := os.environ.get(SUBMITTED):
        from rdpt_ray.pipeline.submission import refuse_lost_store

        refuse_lost_store(told, loaded.store)
    return loaded


def run_job(command: Callable[..., None], script: str) -> None:
    """Be a file of `jobs/`: a subcommand whose first argument is an option, and whose outcome is JSON.

    Args:
        command: A subcommand that takes `config` or `run` first, and `as_json`.
        script: The file.
    """
    # Python looks for modules beside a script first, and Ray tells its workers to: `trace` would be this
    # folder's, and not the standard library's.
    beside = os.path.dirname(os.path.abspath(script))
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != beside]
    run_app(job_app(command), as_json=True)


def job_app(command: Callable[..., None]) -> typer.Typer:
    """The command line of a file in `jobs/`.

    Args:
        command: As for `run_job`.
    """
    signature = inspect.signature(command)
    taken = dict(signature.parameters)
    del taken["as_json"]
    for name, option in (("config", ConfigOption), ("run", RunOption)):
        if name in taken:
            taken[name] = taken[name].replace(annotation=option)

    def job(**arguments: Any) -> None:
        command(**arguments, as_json=True)

    job.__signature__ = signature.replace(parameters=list(taken.values()))
    job.__annotations__ = {name: each.annotation for name, each in taken.items()}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    told = f"`rdpt {command.__name__}` as a job; the last line of stdout is one JSON object."
    app.command(help=told)(job)
    return app


def run_app(command: typer.Typer, *, as_json: bool = False) -> None:
    """Run a command line: errors made for users are shown as text, anything else as the traceback it is.

    Args:
        command: What to run.
        as_json: Whether such an error is the last line of stdout too, as an object.
    """
    try:
        if told := os.environ.get(SUBMITTED):
            from rdpt_ray.pipeline.submission import refuse_shown_secrets

            refuse_shown_secrets(told, sys.argv)
        command()
    except RdptError as error:
        _print_error(error)
        if as_json:
            import json

            told = {"error": type(error).__name__, "exit_code": error.exit_code}
            typer.echo(json.dumps({**told, "message": str(error)}))
        sys.exit(error.exit_code)


def _print_error(error: RdptError) -> None:
    import logging

    from rdpt_ray.pipeline.logs import start_log, tell, wants_json

    kind = type(error).__name__
    if wants_json():
        start_log()
        tell(f"{kind}: {error}", logging.ERROR, error=kind, exit_code=error.exit_code)
        return
    Console(stderr=True).print(
        f"{kind}: {error}",
        style="red",
        markup=False,
        highlight=False,
        soft_wrap=True,  # a path must stay whole in a log
    )


def outcome_console(as_json: bool) -> Console:
    """Where an outcome is shown to people: beside the JSON object on stderr, unless that is a log of JSON."""
    from rdpt_ray.pipeline.logs import wants_json

    return Console(stderr=True, quiet=wants_json()) if as_json else Console()


def show(counts: dict[str, Any], *, as_json: bool) -> None:
    """What a stage came to: a line each, and as one JSON object."""
    import json

    console = outcome_console(as_json)
    for name, value in counts.items():
        console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(counts, sort_keys=True))
