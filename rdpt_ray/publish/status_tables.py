"""How far runs are, on a terminal: who works on them, where they are, when they end, what to do."""

from collections.abc import Sequence

from rich.console import Console

from rdpt_ray.publish.findings_cost import duration
from rdpt_ray.publish.store_tables import entry, line, say
from rdpt_ray.publish.words import counted
from rdpt_ray.storage.lease_status import LeaseStatus
from rdpt_ray.storage.model_status import ModelStatus
from rdpt_ray.storage.status import DriverStatus, RunStatus

MAX_FINISHED = 20
"""Finished runs that are shown; `--json` has all."""

MAX_DRIVERS = 5
"""Starts of a run that are shown, those that live first."""


def print_status(console: Console, runs: Sequence[RunStatus]) -> None:
    """Print every run that is not finished, and the last ones that are in a line or two each."""
    finished = sorted(
        (run for run in runs if run.state == "finished"), key=lambda each: each.finished_at or ""
    )
    if len(finished) > MAX_FINISHED:
        say(console, f"{len(finished) - MAX_FINISHED:,} older finished runs; --json has all")
    for run in finished[-MAX_FINISHED:]:
        _print_finished(console, run)
    for run in runs:
        if run.state != "finished":
            _print_run(console, run)


def print_leases(console: Console, leases: Sequence[LeaseStatus]) -> None:
    """Print who holds the lease of each schedule, since when, with which number."""
    for lease in leases:
        entry(console, f"lease {lease.schedule}", lease.state)
        told = f"{lease.number}, on {lease.host} since {lease.started_at}"
        if lease.silent_s is not None:
            told += f", last beat {duration(lease.silent_s)} ago"
        line(console, "round", told)
        if lease.state == "silent":
            line(
                console,
                "next",
                f"the next round takes over, after {lease.lease_s:g} s at most",
            )


def _print_finished(console: Console, run: RunStatus) -> None:
    entry(console, run.run, run.state)
    told = f"{run.finished_at or 'unknown'}"
    if run.rows_read is not None:
        told += f"; {run.rows_read:,} rows read"
    if run.selected is not None:
        told += f", {run.selected:,} selected, {run.quarantined or 0:,} quarantined"
    line(console, "at", told)
    _print_cost(console, run)


def _print_run(console: Console, run: RunStatus) -> None:
    entry(console, run.run, run.state)
    live = [each for each in run.drivers if each.state == "live"]
    is_told = any(model.eta_s is not None for model in run.models)  # by what is committed: newer
    for driver in live or run.drivers[-1:]:
        line(console, "stage", _stage(driver, with_eta=not is_told))
    for driver in (live or run.drivers)[-MAX_DRIVERS:]:
        line(console, "driver", _driver(driver))
        if driver.error:
            line(console, "why", driver.error)
    if len(run.drivers) > 1:
        line(console, "started", f"{len(run.drivers):,} times, first {run.started_at}")
    for model in run.models:
        line(console, model.role, _model(model))
    if run.rows_read is not None:
        line(console, "rows", f"{run.rows_read:,} read, {run.quarantined or 0:,} set aside so far")
    _print_cost(console, run)
    line(console, "next", run.next)


def _stage(driver: DriverStatus, *, with_eta: bool) -> str:
    if driver.stage is None:
        return "not begun"
    told = f"{driver.stage}: {driver.done:,} of {driver.total:,}"
    is_known = with_eta and driver.eta_s is not None and driver.done < driver.total
    return f"{told}, ends in {duration(driver.eta_s)}" if is_known else told


def _driver(driver: DriverStatus) -> str:
    told = f"{driver.state}, on {driver.host} since {driver.started_at}"
    if driver.job is not None:
        told += f", Ray job {driver.job}"
    if driver.silent_s is not None:
        told += f", last beat {duration(driver.silent_s)} ago"
    return told + (f", {counted(driver.in_hand, 'part')} in hand" if driver.in_hand else "")


def _model(model: ModelStatus) -> str:
    told = [model.state]
    if model.done is not None and model.total is not None:
        share = f" ({100 * model.done / model.total:.0f} %)" if model.total else ""
        told.append(f"{model.done:,} of {model.total:,} traces{share}")
    if model.tokens:
        told.append(f"{model.tokens:,} tokens")
    if model.tokens_per_s:
        told.append(f"{model.tokens_per_s:,.0f} tokens/s")
    if model.busy_share is not None:
        told.append(f"model busy {100 * model.busy_share:.0f} %")
    if model.errors:
        told.append(counted(model.errors, "error"))
    if model.eta_s is not None:
        told.append(f"ends in {duration(model.eta_s)}")
    return ", ".join(told)


def _print_cost(console: Console, run: RunStatus) -> None:
    if run.cost is not None:
        told = f"{run.cost:,.2f}" if run.cost >= 1 else f"{run.cost:.2g}"
        line(console, "cost", f"{told} {run.currency or ''}".rstrip())
