"""How far runs are, and who works on them: `rdpt status`. Only the store is asked, and nothing is changed."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rdpt_ray.storage.attempts import holders
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inventory import inventory
from rdpt_ray.storage.model_status import (
    ModelStatus,
    Record,
    known_sum,
    models_of,
    section,
    sessions_in_order,
    told_models,
)
from rdpt_ray.storage.run_records import RunRecord, read_runs
from rdpt_ray.storage.sessions import LEASE_S, Ending, live_sessions

WAIT_S = 25.0
"""How long to look for a beat of a driver elsewhere: two beats and some seconds."""

SILENT_S = 900.0
"""Whose record is as old as that, by the clocks of the store and of whoever asks, is not waited for."""

State = Literal["running", "waiting", "dead", "finished", "damaged"]


@dataclass(slots=True)
class DriverStatus:
    """One start of a run."""

    session: str
    host: str
    started_at: str
    state: Literal["live", "dead"] | Ending
    job: str | None = None
    """The submission id of the Ray job that it is, if it was submitted."""
    silent_s: float | None = None
    """Since its last beat, by the clocks of the store and of whoever asks; None if it has ended."""
    stage: str | None = None
    """Where it is, or was."""
    done: int = 0
    total: int = 0
    """Items of the stage: traces, responses, files or buckets."""
    eta_s: float | None = None
    """Of the stage, as it said with its last beat."""
    in_hand: int = 0
    """Parts that its actors have begun."""
    error: str | None = None
    """Why it failed."""


@dataclass(slots=True)
class RunStatus:
    """One run."""

    run: str
    state: State
    next: str = ""
    """What to do."""
    started_at: str | None = None
    """The first time."""
    finished_at: str | None = None
    drivers: list[DriverStatus] = field(default_factory=list)
    """The last one last."""
    models: list[ModelStatus] = field(default_factory=list)
    """In the order in which they read."""
    rows_read: int | None = None
    quarantined: int | None = None
    """So far: rows that ingestion set aside, and errors of models, of which one trace may have several."""
    selected: int | None = None
    cost: float | None = None
    """So far, of what has a price."""
    currency: str | None = None


def status_of_runs(root: Root, run: str | None = None, wait_s: float = WAIT_S) -> list[RunStatus]:
    """How far the runs of a store are.

    Lists `runs/`, and of each model of an unfinished run its scores and attempts; reads no table.

    Args:
        root: The store.
        run: The id of the only one that is asked for.
        wait_s: How long to look, at most, for a beat of drivers on other hosts; 0: their records' age counts.

    Raises:
        StoreError: if the store cannot be read.
    """
    records = read_runs(root, root.names("runs" if run is None else f"runs/{run}"))
    open_ones = [name for record in records for name in record.open_sessions]
    ages = _ages(root, open_ones)
    live = _live(root, open_ones, ages, wait_s)
    return [_status(root, record, live, ages) for record in records]


def _ages(root: Root, names: Sequence[str]) -> dict[str, float]:
    """File -> seconds since it was written."""
    found: dict[str, float] = {}
    for folder in sorted({name.rpartition("/")[0] for name in names}):
        inside = [name for name in names if name.startswith(f"{folder}/")]
        for name, file in inventory(root, inside, folder).items():
            if file.changed is not None:
                found[name] = max(0.0, time.time() - file.changed)
    return found


def _live(
    root: Root, names: Iterable[str], ages: Mapping[str, float], wait_s: float
) -> frozenset[str]:
    limit_s = SILENT_S if wait_s > 0 else LEASE_S
    near = [name for name in names if ages.get(name, 0.0) < limit_s]
    return frozenset(live_sessions(root, near, wait_s) if wait_s > 0 else near)


def _status(
    root: Root, record: RunRecord, live: frozenset[str], ages: Mapping[str, float]
) -> RunStatus:
    sessions = sessions_in_order(record)
    files = {str(session.get("session")): name for name, session in record.sessions.items()}
    in_hand: Counter[str] = Counter()
    if not record.is_finished:
        for key in sorted({str(told.get("key")) for told in told_models(sessions).values()}):
            in_hand.update(holders(root, key))
    found = RunStatus(record.run, "dead")
    for session in sessions:
        name = files.get(str(session.get("session")), "")
        found.drivers.append(_driver(session, name in live, ages.get(name), in_hand[name]))
    at_work = [each for each in found.drivers if each.state == "live"]
    found.models = models_of(root, record, {each.session for each in at_work})
    found.started_at = min((each.started_at for each in found.drivers), default=None)
    _count(found, record, sessions)
    found.state = _state(found, record, at_work)
    found.next = _next(found)
    return found


def _driver(session: Record, is_live: bool, age: float | None, in_hand: int) -> DriverStatus:
    progress, ended = section(session, "progress"), session.get("ended")
    return DriverStatus(
        session=str(session.get("session")),
        host=str(session.get("host")),
        started_at=str(session.get("started_at")),
        state=ended or ("live" if is_live else "dead"),
        job=session.get("job"),
        silent_s=None if ended else age,
        stage=progress.get("stage"),
        done=progress.get("done") or 0,
        total=progress.get("total") or 0,
        eta_s=progress.get("eta_s") if is_live else None,
        in_hand=in_hand,
        error=session.get("error"),
    )


def _count(run: RunStatus, record: RunRecord, sessions: Sequence[Record]) -> None:
    """Rows, and what it cost."""
    if record.ingested is not None:
        run.rows_read = sum(bucket["num_rows"] for bucket in record.ingested)
        run.quarantined = sum(bucket["num_faults"] for bucket in record.ingested)
        run.quarantined += sum(model.errors for model in run.models)
    if record.manifest is not None:
        counts = record.manifest["counts"]
        run.rows_read = counts.get("rows_read", run.rows_read)
        run.quarantined = counts.get("quarantined", run.quarantined)
        run.selected = counts.get("selected")
        run.finished_at = record.manifest.get("finished_at")
    run.cost = known_sum(model.cost for model in run.models)
    currencies = [section(each, "prices").get("currency") for each in sessions]
    run.currency = next(filter(None, reversed(currencies)), None)


def _state(run: RunStatus, record: RunRecord, at_work: Sequence[DriverStatus]) -> State:
    if record.damage:
        return "damaged"
    if record.is_finished:
        return "finished"
    if not at_work:
        return "dead"
    reads = any(model.state == "at work" for model in run.models)
    return "waiting" if reads and not any(each.in_hand for each in at_work) else "running"


def _next(run: RunStatus) -> str:
    again = "run its command again: it continues"
    if run.state == "finished":
        return "rdpt report shows it, rdpt publish publishes it"
    if run.state == "damaged":
        return "rdpt store verify says what to do"
    if run.state == "running":
        return "nothing: it goes on by itself"
    if run.state == "waiting":
        return (
            "no actor has a part in hand: machines are to come or models load; if that lasts, look at the"
            " cluster (ray status) and at the job's log"
        )
    last = run.drivers[-1] if run.drivers else None
    if last is None or last.state == "dead":
        return f"its driver is gone, or cut off from the store; {again}"
    if last.state == "interrupted":
        return f"it was asked to leave, and did; {again}"
    if last.state == "failed":
        return f"mend what its log says, then {again}"
    return f"a single stage of it was asked for, and is done; {again}"
