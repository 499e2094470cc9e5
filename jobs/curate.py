"""`ray job submit -- python jobs/curate.py --config URI [key.sub=value ...]`: `rdpt curate` on a cluster."""

from typing import Annotated

import typer

from rdpt_ray.cli import run_app, run_job

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[str, typer.Option(help="YAML config: a local path or any fsspec URI.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value")] = None,
) -> None:
    """Select the traces worth distilling. The last line of stdout is one JSON object."""
    run_job("curate", config, overrides, as_json=True)


if __name__ == "__main__":
    run_app(app)
