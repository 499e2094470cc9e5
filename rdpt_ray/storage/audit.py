"""Every file of a store against what it should be: `rdpt store verify`.

A part is read once, and with it everything that is derived from it. Nothing is believed that can be computed
anew: ids from texts, part-keys from spans, a run's counts from its tables' rows.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.audit_plan import DERIVED_OF_PARTS, AuditPlan, plan_audit
from rdpt_ray.storage.damage import ABSENT, Damage, damages, read_checked, set_aside, unreadable
from rdpt_ray.storage.derived_checks import check_record_rows
from rdpt_ray.storage.part_checks import check_derived, check_part, check_scores, open_part
from rdpt_ray.storage.places import DAMAGED, Place, place_of
from rdpt_ray.storage.references import missing
from rdpt_ray.storage.run_checks import check_run, check_run_file
from rdpt_ray.storage.runs import INGESTED
from rdpt_ray.storage.schemas import RECORDS
from rdpt_ray.storage.score_checks import PartShape, shape_of

__all__ = ["Audit", "audit", "check_part", "check_scores", "plan_audit", "set_damage_aside"]

NUM_THREADS = 16
"""Files looked at together; most of the time of a remote store is waiting."""

ROOMS = {"traces", "scores", "partial", "tokens", "verified", "recorded"}
"""Folders in which nothing lies that the store did not name."""


@dataclass(slots=True)
class Audit:
    """What came of it."""

    num_files: int
    damage: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no damage, but worth knowing."""


def audit(plan: AuditPlan, advance: Callable[[int, str], None] = lambda *_: None) -> Audit:
    """Look at every file.

    Args:
        plan: What there is.
        advance: Called with how many more files are done, and a remark.

    Returns:
        What is damaged, and what else is worth knowing.
    """
    found = Audit(plan.num_files, [*plan.damage, *_strays(plan)])
    rows: dict[str, int] = {}
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for unit, (counts, damage) in zip(
            plan.units, pool.map(lambda unit: _look(plan, unit), plan.units), strict=True
        ):
            rows |= counts
            found.damage += damage
            advance(len(unit), f"{len(found.damage)} damaged")
    for run in plan.runs.values():
        found.damage += check_run(run, plan.names, rows)
    found.notes += _orphans(plan)
    _missing(plan, found)
    # A job at work may have written it since the store was listed.
    found.damage = [
        each for each in found.damage if each.found != ABSENT or not plan.root.exists(each.file)
    ]
    found.damage.sort(key=lambda each: each.file)
    return found


def _look(plan: AuditPlan, unit: list[tuple[str, Place]]) -> tuple[dict[str, int], list[Damage]]:
    """A part and what is derived from it, or one file: rows of a run's tables, and what is damaged."""
    rows: dict[str, int] = {}
    found: list[Damage] = []
    shape: PartShape | None = None
    for name, place in unit:
        try:
            if place.kind == "part":
                buckets = plan.num_buckets(place.dataset)
                table, damage = open_part(
                    plan.root, place.dataset, place.bucket, place.part, buckets
                )
                shape = None if table is None else shape_of(table)
            elif place.kind in DERIVED_OF_PARTS:
                signals = plan.signals(place.owner)
                damage = check_derived(plan.root, name, place, shape, signals)
            elif place.kind == "records":
                damage = _check_records(plan, name, place)
            else:
                count, damage = _check_run_file(plan, name, place)
                rows |= {} if count is None else {name: count}
        except StoreError as error:
            damage = [unreadable(name, error)] if plan.root.exists(name) else []
        found += damage
    return rows, found


def _check_records(plan: AuditPlan, name: str, place: Place) -> list[Damage]:
    table, findings = read_checked(plan.root, name, RECORDS)
    if table is not None:
        index = plan.facts.get(f"recorded/{place.owner}/index.json", {})
        findings = check_record_rows(table, place.bucket, index.get("num_buckets"))
    return damages(name, findings)


def _check_run_file(plan: AuditPlan, name: str, place: Place) -> tuple[int | None, list[Damage]]:
    run = plan.runs[place.owner]
    files = (run.manifest or {}).get("files")
    told = files if isinstance(files, dict) else {}
    return check_run_file(plan.root, name, told, plan.num_buckets(run.dataset))


def _strays(plan: AuditPlan) -> Iterable[Damage]:
    for name in plan.strays:
        if name.split("/")[0] in ROOMS:
            yield from damages(name, [("a name that the store gives", "another")])


def _orphans(plan: AuditPlan) -> list[str]:
    """What is derived from parts that are not there, room by room."""
    alone = Counter(unit[0][1].kind for unit in plan.units if unit[0][1].kind in DERIVED_OF_PARTS)
    notes = [
        f"{kind}: {count:,} files are about parts that no dataset has; `rdpt store gc --unused`"
        " deletes those that no run refers to"
        for kind, count in sorted(alone.items())
    ]
    others = [name for name in plan.strays if name.split("/")[0] not in ROOMS]
    return notes + [f"{name}: not a file of the store" for name in others]


def _missing(plan: AuditPlan, found: Audit) -> None:
    """What finished runs refer to and is not there: set aside and not made again yet, or lost."""
    for name, run in sorted(missing(plan.runs.values(), plan.names).items()):
        if f"{DAMAGED}/{name}" in plan.names:
            found.notes.append(
                f"{name}: was set aside, and {run} refers to it; a run over the same input makes it"
                " again"
            )
        else:
            remedy = "run a job over the same input: it makes the file again"
            found.damage.append(
                Damage(name, f"a file that the run {run} refers to", ABSENT, remedy, False)
            )


def set_damage_aside(plan: AuditPlan, found: Audit) -> list[str]:
    """Move what a job makes again out of the way; what is left in `found.damage` stays.

    No job may be at work. A run that is not finished and refers to a part that is moved ingests again.

    Returns:
        Where the files are now.

    Raises:
        StoreError: if a file cannot be moved.
    """
    names = {each.file for each in found.damage if each.is_derived and each.file in plan.names}
    parts = {(place.dataset, place.bucket, place.part) for place in map(_place, names)}
    first = [
        f"{run.folder}/{INGESTED}"
        for run in plan.runs.values()
        if not run.is_finished and any((run.dataset, *each) in parts for each in run.parts)
    ]
    # Where the index is, all records are taken to be there.
    first += [
        index
        for index in {f"recorded/{_place(name).owner}/index.json" for name in names}
        if index in plan.names and index not in names
    ]
    moved = [set_aside(plan.root, name) for name in (*first, *sorted(names))]
    found.damage = [each for each in found.damage if each.file not in names]
    return moved


def _place(name: str) -> Place:
    return place_of(name) or Place("")
