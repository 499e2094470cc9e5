"""`rdpt sample`, `distill`, `evaluate`, `loop`: from prompts to a distilled model, and what it learnt.

All read the same config as `rdpt curate`, each its own section.
"""

import json

import typer

from rdpt_ray.cli_options import (
    ConfigArgument,
    JsonOption,
    OverridesArgument,
    load,
    outcome_console,
    show,
)
from rdpt_ray.pipeline.logs import job_console

experiment_app = typer.Typer()


@experiment_app.command()
def sample(
    config: ConfigArgument, overrides: OverridesArgument = None, as_json: JsonOption = False
) -> None:
    """Sample candidate traces from a model, with the log-probability of every token.

    Running it again continues; what was sampled is never sampled again. `input.path` may name the dataset,
    and `models.teacher.recorded` too, so that the teacher does not read what it wrote.
    """
    loaded = load(config, overrides)
    from rdpt_ray.errors import ConfigError
    from rdpt_ray.pipeline.sample import sample as run_sample

    ask = loaded.sample
    if ask is None:
        raise ConfigError("sample: this section is needed to sample (docs/sampling.md)")
    run = run_sample(loaded, job_console(), ask=ask, role=ask.role, to=ask.to)
    show(run.to_json(), as_json=as_json)


@experiment_app.command()
def distill(
    config: ConfigArgument, overrides: OverridesArgument = None, as_json: JsonOption = False
) -> None:
    """Train the student on what was selected; running it again continues from the last checkpoint."""
    loaded = load(config, overrides)
    from rdpt_ray.pipeline.distill import distill as run_distill

    show(run_distill(loaded, job_console()).to_json(), as_json=as_json)


@experiment_app.command()
def evaluate(
    config: ConfigArgument, overrides: OverridesArgument = None, as_json: JsonOption = False
) -> None:
    """How often models are right on prompts with known answers, with intervals."""
    loaded = load(config, overrides)
    from rdpt_ray.pipeline.evaluate import evaluate as run_evaluate
    from rdpt_ray.publish.accuracy_table import accuracy_table

    found = run_evaluate(loaded, job_console())
    rows = [(each.role, each.accuracy, each.unknown, each.cut) for each in found]
    outcome_console(as_json).print(accuracy_table(rows))
    if as_json:
        typer.echo(json.dumps({each.role: each.to_json() for each in found}, sort_keys=True))


@experiment_app.command()
def loop(
    config: ConfigArgument, overrides: OverridesArgument = None, as_json: JsonOption = False
) -> None:
    """The whole experiment: does the selection train a better student? One student per policy and seed.

    Samples, curates by every policy at equal tokens, distils, evaluates and traces; ends in a table of
    means, intervals and paired differences, and a report page. Running it again continues.
    """
    loaded = load(config, overrides)
    from rdpt_ray.pipeline.loop import loop as run_loop
    from rdpt_ray.publish.loop_report import print_loop

    found = run_loop(loaded, job_console())
    print_loop(outcome_console(as_json), found.facts, found.report)
    if as_json:
        typer.echo(json.dumps(found.to_json(), sort_keys=True))
