"""What there is to look at in a store, and what is looked at together: the first half of an audit."""

from dataclasses import dataclass
from typing import Any

from rdpt_ray.storage.damage import Damage, Finding, damages, parsed_json
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.places import DAMAGED, Place, place_of
from rdpt_ray.storage.run_records import RunRecord, read_runs

DERIVED_OF_PARTS = ("scores", "partial", "tokens", "verified")
"""Kinds of files that say something about the traces of one part."""

_SMALL = ("dataset", "index", "model", "attempt")
"""Kinds of files that are read before all others."""


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """A store's files, and which are looked at together."""

    root: Root
    names: frozenset[str]
    runs: dict[str, RunRecord]
    """By their ids."""
    facts: dict[str, Any]
    """Small JSON files that tell about others: name -> value."""
    damage: list[Damage]
    """Of those."""
    units: list[list[tuple[str, Place]]]
    """A part and what is derived from it, or a single file."""
    strays: list[str]
    """Files with names that the store does not give."""

    @property
    def num_files(self) -> int:
        """How many files are looked at one by one."""
        return sum(map(len, self.units))

    def num_buckets(self, dataset: str) -> int | None:
        """Of a dataset, if it is known."""
        return self.facts.get(f"traces/{dataset}/dataset.json", {}).get("num_buckets")

    def signals(self, model_key: str) -> list[str] | None:
        """What a model measures beside log-probabilities, if it is known."""
        return self.facts.get(f"models/{model_key}.json", {}).get("signals")


def plan_audit(root: Root) -> AuditPlan:
    """List the store and read what is small.

    Raises:
        StoreError: if the store cannot be listed, or a small file not be read.
    """
    names = [name for name in root.names("") if not name.startswith(f"{DAMAGED}/")]
    placed = {name: place_of(name) for name in names}
    runs = read_runs(root, names)
    facts, damage = _small_files(root, placed)
    return AuditPlan(
        root=root,
        names=frozenset(root.names("")),
        runs={run.run: run for run in runs},
        facts=facts,
        damage=[*damage, *(each for run in runs for each in run.damage)],
        units=_units(placed),
        strays=[name for name, place in placed.items() if place is None],
    )


def _small_files(
    root: Root, placed: dict[str, Place | None]
) -> tuple[dict[str, Any], list[Damage]]:
    wanted = [name for name, place in placed.items() if place and place.kind in _SMALL]
    facts: dict[str, Any] = {}
    found: list[Damage] = []
    for name, content in root.read_many(wanted).items():
        place = placed[name]
        value, findings = parsed_json(root, name, content, dict)
        if place and not findings:
            findings = _check_fact(place, value)
        if findings:
            found += damages(name, findings)
        else:
            facts[name] = value
    return facts, found


def _check_fact(place: Place, value: dict[str, Any]) -> list[Finding]:
    number = value.get("num_buckets")
    if place.kind in ("dataset", "index") and (not isinstance(number, int) or number < 1):
        return [("a num_buckets of at least 1", str(number))]
    if place.kind == "model" and value.get("key") != place.owner:
        return [(f"the model with the key {place.owner}", str(value.get("key")))]
    return []


def _units(placed: dict[str, Place | None]) -> list[list[tuple[str, Place]]]:
    """What is read together: a part first, then what is derived from it."""
    by_part: dict[str, list[tuple[str, Place]]] = {}
    units: list[list[tuple[str, Place]]] = []
    derived: list[tuple[str, Place]] = []
    for name, place in placed.items():
        if place is None or place.kind in (*_SMALL, "session", "lease"):
            continue
        if place.kind in DERIVED_OF_PARTS:
            derived.append((name, place))
            continue
        units.append([(name, place)])
        if place.kind == "part":
            by_part.setdefault(place.part, units[-1])
    for name, place in derived:
        unit = by_part.get(place.part)
        if unit is None:
            units.append([(name, place)])
        else:
            unit.append((name, place))
    return units
