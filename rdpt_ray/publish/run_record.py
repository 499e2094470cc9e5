"""A run's manifest on a terminal: enough to see what it was made from, and to make it again."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from rdpt_ray.publish.store_tables import cost_words, entry, line, lines, say, title
from rdpt_ray.publish.words import counted
from rdpt_ray.storage.run_contents import costs_of_roles, sessions_of_record
from rdpt_ray.storage.run_records import RunRecord

MAX_LINES = 100
"""Lines of one section; `--json` has all of it."""

_LEFT_OUT = {"summary", "sessions", "files", "schema"}
"""Sections that are shown in another way, or are the report's."""

_FIRST = ("finished_at", "commit", "python", "platform", "splitter", "verifier")
"""Single values that are shown on top."""


def print_run(console: Console, run: RunRecord) -> None:
    """Print a finished run's manifest, or what is known of one that is not finished."""
    title(console, f"run {run.run}")
    line(console, "state", "finished" if run.is_finished else "not finished")
    manifest = run.manifest or {}
    for key in _FIRST:
        if manifest.get(key) is not None:
            line(console, key, _shown(manifest[key]))
    if run.ingested is not None and not run.is_finished:
        rows = sum(bucket["num_rows"] for bucket in run.ingested)
        line(console, "ingested", f"{rows:,} rows, {len(run.parts):,} parts")
    elif not run.is_finished:
        line(console, "ingested", "not to the end")
    for each in run.damage:
        line(console, "damaged", f"{each.file}: expected {each.expected}, found {each.found}")
    for key, value in _sections(manifest):
        _print_section(console, key, value)
    _print_costs(console, run)
    _print_sessions(console, run)
    if manifest.get("files"):
        total = sum(each.get("bytes", 0) for each in manifest["files"].values())
        title(console, "files")
        say(
            console,
            f"checksums of {counted(len(manifest['files']), 'table')}, {total:,} bytes in all",
        )


def _sections(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is left, versions and models first."""
    order = ["facts", "models", "inputs", "counts", "config"]
    rest = sorted(manifest.keys() - set(order) - _LEFT_OUT - set(_FIRST))
    for key in (*order, *rest):
        value = manifest.get(key)
        if value not in (None, {}, []):
            yield key, value


def _print_section(console: Console, key: str, value: Any) -> None:
    title(console, key)
    rows = list(flattened(value))
    lines(console, rows[:MAX_LINES])
    if len(rows) > MAX_LINES:
        say(console, f"and {len(rows) - MAX_LINES:,} more; --json has all")


def _print_costs(console: Console, run: RunRecord) -> None:
    costs = costs_of_roles(run)
    if costs:
        title(console, "cost, over all starts")
    for role, cost in costs.items():
        line(console, role, cost_words(cost))


def _print_sessions(console: Console, run: RunRecord) -> None:
    sessions = sorted(sessions_of_record(run), key=lambda each: str(each.get("started_at")))
    if not sessions:
        return
    title(console, f"started {len(sessions):,} x")
    for session in sessions[-MAX_LINES:]:
        ended = session.get("ended") or "not ended: at work, or killed"
        entry(console, f"{session.get('started_at')} on {session.get('host')}: {ended}")
        timings = session.get("timings")
        if isinstance(timings, Mapping) and timings:
            told = [f"{stage} {_shown(seconds)} s" for stage, seconds in timings.items()]
            line(console, "stages", ", ".join(told))
        progress = session.get("progress")
        if isinstance(progress, Mapping) and progress and not session.get("ended"):
            told = f"{progress.get('stage')}: {progress.get('done')} of {progress.get('total')}"
            line(console, "was at", told)


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A value as lines of a dotted name and a text; what is null or empty is left out."""
    if isinstance(value, Mapping):
        for key in value:
            yield from flattened(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        for number, each in enumerate(value):
            yield from flattened(each, f"{name}[{number}]")
    elif isinstance(value, list):
        if value:
            yield name, ", ".join(map(_shown, value))
    elif value is not None and value != "":
        yield name, _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
