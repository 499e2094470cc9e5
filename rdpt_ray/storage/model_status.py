"""How far each model of a run is: what is committed of what it reads, how fast that goes, what it cost."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rdpt_ray.storage.costs import cost_of
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.run_contents import costs_of_roles, sessions_of_record
from rdpt_ray.storage.run_records import RunRecord
from rdpt_ray.storage.scores import partial_parts, scored_parts

Record = Mapping[str, Any]
"""One session's."""


@dataclass(slots=True)
class ModelStatus:
    """One model of a run."""

    role: str
    model: str | None = None
    key: str | None = None
    state: Literal["done", "at work", "begun", "to come"] = "to come"
    done: int | None = None
    """Traces of the run, or responses, that are committed, or need not be read; None: nobody knows."""
    total: int | None = None
    parts_done: int | None = None
    parts: int | None = None
    tokens: int = 0
    """Over all starts, as are `errors`, `actor_s`, `busy_share` and `cost`."""
    errors: int = 0
    actor_s: float = 0.0
    busy_share: float | None = None
    """Of the actors' time, in which the model read or wrote."""
    cost: float | None = None
    """Of what has a price."""
    per_s: float | None = None
    """Traces per second of late, by all drivers that live."""
    tokens_per_s: float | None = None
    eta_s: float | None = None


def models_of(root: Root, record: RunRecord, live: Collection[str]) -> list[ModelStatus]:
    """The models of a run, in the order in which they read.

    Args:
        root: The store.
        record: The run.
        live: Names of its sessions that live.

    Raises:
        StoreError: if the store cannot be listed.
    """
    sessions, costs = sessions_in_order(record), costs_of_roles(record)
    models: list[ModelStatus] = []
    for role, told in told_models(sessions).items():
        model = ModelStatus(role, told.get("model"), told.get("key"))
        _add_cost(model, costs.get(role, {}), sessions)
        stages = [
            progress
            for session in sessions
            if session.get("session") in live
            and (progress := section(session, "progress")).get("role") == role
        ]
        if record.is_finished or told.get("done"):
            model.state = "done"
        elif stages:
            model.state = "at work"
        if model.key is not None and record.parts:
            _add_committed(root, model, record.parts, reads_all=told.get("all", True))
        elif stages:
            model.done, model.total = stages[-1].get("done"), stages[-1].get("total")
        if model.state == "to come" and model.done:
            is_all = told.get("all", True) and model.done == model.total
            model.state = "done" if is_all else "begun"
        if model.state == "at work":
            _add_speed(model, stages, reads_all=told.get("all", True))
        models.append(model)
    return models


def sessions_in_order(record: RunRecord) -> list[Record]:
    """Every start of a run, the last one last."""
    return sorted(sessions_of_record(record), key=lambda each: str(each.get("started_at")))


def section(session: Record, name: str) -> Record:
    """A part of a session's record that is an object; an empty one if it is not there."""
    found = session.get(name)
    return found if isinstance(found, Mapping) else {}


def told_models(sessions: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Role -> what sessions say of its model, the last one last."""
    found: dict[str, dict[str, Any]] = {}
    for session in sessions:
        for role, told in section(session, "models").items():
            if isinstance(told, Mapping):
                found.setdefault(role, {}).update(told)
        for role, counts in section(session, "counts").items():
            if isinstance(counts, Mapping) and "model_key" in counts:
                found.setdefault(role, {}).setdefault("key", counts["model_key"])
    return found


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _add_cost(model: ModelStatus, cost: Mapping[str, float], sessions: Sequence[Record]) -> None:
    model.tokens, model.errors = int(cost.get("tokens", 0)), int(cost.get("errors", 0))
    model.actor_s = cost.get("actor_s", 0.0)
    if model.actor_s:
        model.busy_share = cost.get("busy_s", 0.0) / model.actor_s
    model.cost = known_sum(
        cost_of(section(section(session, "counts"), model.role), section(session, "prices"))
        for session in sessions
    )


def _add_committed(
    root: Root, model: ModelStatus, parts: Mapping[tuple[int, str], int], *, reads_all: bool
) -> None:
    model.parts, model.total = len(parts), sum(parts.values())
    if model.state == "done" or model.key is None:
        model.parts_done, model.done = model.parts, model.total
        return
    there = scored_parts(root, model.key, len(parts))
    if not reads_all:  # what it was asked to read of a part lies in partial files
        there |= partial_parts(root, model.key, len(parts))
    done = [count for (_, key), count in parts.items() if key in there]
    model.parts_done, model.done = len(done), sum(done)


def _add_speed(model: ModelStatus, stages: Sequence[Record], *, reads_all: bool) -> None:
    model.per_s = known_sum(each.get("per_s") for each in stages)
    model.tokens_per_s = known_sum(each.get("tokens_per_s") for each in stages)
    left = min(each["total"] - each["done"] for each in stages)
    if reads_all and model.parts and model.total is not None and model.done is not None:
        left = model.total - model.done
        if not model.per_s:  # drivers hear of parts after they are committed
            model.per_s = _since_it_began(model.total - left, model.total, stages)
    model.eta_s = left / model.per_s if model.per_s else None


def _since_it_began(done: int, total: int, stages: Sequence[Record]) -> float | None:
    """Traces per second since the first of the drivers came to the stage."""
    before = total - max(each["total"] for each in stages)
    running_s = max(each.get("running_s") or 0.0 for each in stages)
    return (done - before) / running_s if done > before and running_s > 0 else None
