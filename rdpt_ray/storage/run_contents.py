"""What a store's runs came to, and what each of their models cost over all starts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.run_records import RunRecord
from rdpt_ray.storage.sessions import live_sessions

COSTS = ("parts", "traces", "errors", "tokens", "seconds", "read_again", "actor_s", "busy_s")
"""What sessions count per role: `seconds` are of parts, of which an actor has two in hand, `actor_s` of
actors, `busy_s` of their models; `read_again` are traces."""

State = Literal["finished", "live", "unfinished", "damaged"]


@dataclass(slots=True)
class RunContents:
    """One run."""

    run: str
    state: State
    started: int | None = None
    """How often; None: it is of a version that did not count."""
    started_at: str | None = None
    """The last time."""
    finished_at: str | None = None
    rows_read: int | None = None
    """None: it is not known yet."""
    selected: int | None = None
    rejected: int | None = None
    quarantined: int | None = None
    cost: dict[str, dict[str, float]] = field(default_factory=dict)
    """Role -> what its model cost over all starts."""


def list_runs(root: Root, runs: Sequence[RunRecord]) -> list[RunContents]:
    """How far every run came.

    Waits up to `sessions.LEASE_S`, if one is neither finished nor ended, to see whether it lives.

    Raises:
        StoreError: if a session's record cannot be read.
    """
    open_ones = [name for run in runs for name in run.open_sessions]
    live = {name.split("/")[1] for name in live_sessions(root, open_ones)}
    return [_run(run, run.run in live) for run in runs]


def _run(run: RunRecord, is_live: bool) -> RunContents:
    sessions = sessions_of_record(run)
    started = sorted(str(each.get("started_at")) for each in sessions)
    found = RunContents(
        run.run,
        _state(run, is_live),
        started=len(started) or None,
        started_at=started[-1] if started else None,
        cost=costs_of_roles(run),
    )
    if run.ingested is not None:
        found.rows_read = sum(bucket["num_rows"] for bucket in run.ingested)
    if run.manifest is not None:
        counts = run.manifest["counts"]
        for name in ("rows_read", "selected", "rejected", "quarantined"):
            setattr(found, name, counts.get(name))
        found.finished_at = run.manifest.get("finished_at")
    return found


def _state(run: RunRecord, is_live: bool) -> State:
    if run.damage:
        return "damaged"
    if run.is_finished:
        return "finished"
    return "live" if is_live else "unfinished"


def sessions_of_record(run: RunRecord) -> list[dict[str, Any]]:
    """Every start of a run that is known, by its own record or by the manifest."""
    told = (run.manifest or {}).get("sessions") or []
    found = {str(each.get("session")): each for each in told if isinstance(each, dict)}
    return list(
        (found | {str(each.get("session")): each for each in run.sessions.values()}).values()
    )


def costs_of_roles(run: RunRecord) -> dict[str, dict[str, float]]:
    """Role -> what its model cost, over all starts of a run."""
    found: dict[str, dict[str, float]] = {}
    for session in sessions_of_record(run):
        counts = session.get("counts")
        for role, told in counts.items() if isinstance(counts, dict) else ():
            _add(found.setdefault(role, {}), told)
    if not found and run.manifest is not None:
        found = _costs_of_facts(run.manifest["facts"])
    return found


def _costs_of_facts(facts: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The same of a run whose version did not count sessions: what its last start did."""
    found: dict[str, dict[str, float]] = {}
    for model in facts.get("models") or []:
        if model.get("tokens"):
            cost = {"traces": model["scored"], "tokens": model["tokens"]}
            if model.get("tokens_per_s"):
                cost["seconds"] = model["tokens"] / model["tokens_per_s"]
            found[model["role"]] = cost
    return found


def costs_of_models(runs: Iterable[RunRecord]) -> dict[str, dict[str, float]]:
    """Model-key -> what it cost over all starts of all runs that say which key a role had."""
    found: dict[str, dict[str, float]] = {}
    for run in runs:
        keys = run.model_keys or {}
        for role, cost in costs_of_roles(run).items():
            if role in keys:
                _add(found.setdefault(keys[role], {}), cost)
    return found


def _add(total: dict[str, float], told: Any) -> None:
    for name in COSTS if isinstance(told, dict) else ():
        value = told.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            total[name] = total.get(name, 0) + value
