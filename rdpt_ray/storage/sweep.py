"""What nobody needs any more in a store: `rdpt store gc`. Here it is found; `sweep_apply` deletes it.

No clock decides whether a file is in use. The store is listed first, then it is seen which sessions live,
and then it is read what runs refer to: so whoever was writing when a file was listed is known to live, and
what was referred to when it was listed still is. While a session lives, whatever jobs share is held back.
An age only ever keeps a file longer: one from the future, where clocks disagree, counts as new.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.beats import Beats, beats_of
from rdpt_ray.storage.damage import parsed_json, read_checked
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.inventory import StoredFile, inventory
from rdpt_ray.storage.places import DAMAGED, Place, place_of
from rdpt_ray.storage.references import missing, references
from rdpt_ray.storage.run_records import RunRecord, read_runs, refuse_damaged
from rdpt_ray.storage.runs import INGESTED
from rdpt_ray.storage.schemas import SCORES
from rdpt_ray.storage.scores import deciding_files, score_name
from rdpt_ray.storage.sessions import live_sessions

TEMPORARY_S = 3600.0
"""How old what a writer left must be: somebody may write without a session (`rdpt report`)."""

DAMAGED_S = 7 * 24 * 3600.0
"""How long files that were set aside are kept to be looked at."""

TEMPORARY = "temporary files of writers that died"
SUPERFLUOUS = "partial scores that other files hold too"
ATTEMPTS = "attempts of runs that are finished or gone"
SESSIONS = "sessions that a finished run's manifest holds"
SET_ASIDE = "damaged files set aside over 7 days ago"
UNFINISHED = "runs that were never finished"
UNUSED = "what no run refers to"

_UNUSED_KINDS = ("scores", "partial", "tokens", "verified", "part")
"""What may be unused, in the order of deletion: parts last."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One file that may go."""

    name: str
    why: str
    bytes: int
    is_shared: bool
    """Whether jobs of any run may use it, so that none may be at work."""


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """What else to sweep."""

    unused: bool = False
    """Parts and what is derived from them, if no run refers to them."""
    unfinished_s: float | None = None
    """Runs that are not finished, do not live, and have not changed for so many seconds."""


@dataclass(slots=True)
class Sweep:
    """What may go, in the order in which it is safe to delete it."""

    removals: list[Removal] = field(default_factory=list)
    held_back: list[Removal] = field(default_factory=list)
    """What else may go once no session lives."""
    live: frozenset[str] = frozenset()
    """Session files of jobs at work."""
    beats: Beats = field(default_factory=dict)
    """What all sessions said before it was looked who lives."""


def plan_sweep(root: Root, options: SweepOptions, now: float) -> Sweep:
    """Find what may go; nothing is deleted.

    Waits up to `sessions.LEASE_S` to see whether sessions live that have not ended.

    Args:
        root: The store.
        options: What to look for beside what is always swept.
        now: The time, in seconds since 1970.

    Raises:
        StoreError: if the store cannot be listed, or, with options, a run's record is damaged, so that
            nobody knows what it refers to.
    """
    names = [*root.names(""), *root.temporaries()]  # before anything else: see above
    beats = beats_of(root)
    live = frozenset(live_sessions(root))
    runs = read_runs(root, root.names("runs"))
    if options.unused or options.unfinished_s is not None:
        refuse_damaged(runs)
    view = View(root, runs, live, inventory(root, names), now)
    old = view.old_runs(options.unfinished_s)
    found = [*view.of_runs(old), *view.sessions(), *view.set_aside()]
    found += [*view.temporaries(), *view.superfluous(), *view.attempts(old)]
    if options.unused:
        found += view.unused(old)
    chosen = {
        removal.name: removal for removal in reversed(found)
    }  # each file for its first reason
    ordered = [removal for removal in found if chosen[removal.name] is removal]
    return Sweep(
        removals=[each for each in ordered if not (live and each.is_shared)],
        held_back=[each for each in ordered if live and each.is_shared],
        live=live,
        beats=beats,
    )


class View:
    """A store as it was listed, and who was at work then."""

    def __init__(
        self,
        root: Root,
        runs: list[RunRecord],
        live: frozenset[str],
        files: Mapping[str, StoredFile],
        now: float,
    ) -> None:
        """Take what was found, in this order: files, live sessions, runs."""
        self._root, self._files, self._now = root, files, now
        self._runs = {run.run: run for run in runs}
        self._live = live
        self._live_runs = {name.split("/")[1] for name in live}
        self._places = {name: place for name in files if (place := place_of(name)) is not None}

    def old_runs(self, unfinished_s: float | None) -> set[str]:
        """Runs that were never finished, do not live, and have not changed for so long."""
        if unfinished_s is None:
            return set()
        newest: dict[str, float | None] = {}
        for name, place in self._places.items():
            if place.kind in ("run", "session"):
                age = self._age(name)
                seen = newest.get(place.owner, age)
                newest[place.owner] = None if age is None or seen is None else min(age, seen)
        return {
            run
            for run, age in newest.items()
            if age is not None
            and age > unfinished_s
            and run in self._runs
            and not self._runs[run].is_finished
            and run not in self._live_runs
        }

    def _age(self, name: str) -> float | None:
        """Seconds since a file was changed; None if its file system does not say."""
        changed = self._files[name].changed
        return None if changed is None else self._now - changed

    def _removal(self, name: str, why: str, *, shared: bool) -> Removal:
        return Removal(name, why, self._files[name].size, shared)

    def _of(self, *kinds: str) -> Iterator[tuple[str, Place]]:
        for kind in kinds:
            for name, place in self._places.items():
                if place.kind == kind:
                    yield name, place

    def of_runs(self, old: set[str]) -> Iterator[Removal]:
        """All of a run: first what says that a step of it is done, last the records of its starts."""

        def order(name: str) -> tuple[bool, bool, str]:
            return "/sessions/" in name, not name.endswith((INGESTED, "/index.json")), name

        names = [name for name, place in self._of("run", "session") if place.owner in old]
        for name in sorted(names, key=order):
            yield self._removal(name, UNFINISHED, shared=False)

    def sessions(self) -> Iterator[Removal]:
        """Records of starts, where the run is finished and its manifest has them too."""
        for name, place in self._of("session"):
            run = self._runs.get(place.owner)
            if run is None or run.manifest is None or name in self._live:
                continue
            told = run.manifest.get("sessions") or []
            kept = {each.get("session") for each in told if isinstance(each, dict)}
            if name.rsplit("/", 1)[-1].removesuffix(".json") in kept:
                yield self._removal(name, SESSIONS, shared=False)

    def set_aside(self) -> Iterator[Removal]:
        """Damaged files, once they are old, and made again or needed by no finished run."""
        lost = missing(self._runs.values(), self._files.keys())
        for name, _ in self._of("damaged"):
            age = self._age(name)
            if age and age > DAMAGED_S and name.removeprefix(f"{DAMAGED}/") not in lost:
                yield self._removal(name, SET_ASIDE, shared=False)

    def temporaries(self) -> Iterator[Removal]:
        """What writers left behind."""
        for name in self._files:
            age = self._age(name)
            is_temporary = name.rsplit("/", 1)[-1].startswith(".") and name.endswith(".tmp")
            if is_temporary and age is not None and age > TEMPORARY_S:
                yield self._removal(name, TEMPORARY, shared=True)

    def superfluous(self) -> Iterator[Removal]:
        """Partial files without which the same scores are read."""
        by_part: dict[tuple[str, str], list[str]] = {}
        for name, place in self._of("partial"):
            by_part.setdefault((place.owner, place.part), []).append(name)
        for (model, part), names in by_part.items():
            whole = score_name(model, part)
            kept: set[str] = set()
            if whole not in self._files or not self._is_sound(whole):
                kept = set(names) if len(names) == 1 else self._deciding(model, part, names)
            for name in sorted(set(names) - kept):
                yield self._removal(name, SUPERFLUOUS, shared=True)

    def _is_sound(self, name: str) -> bool:
        return self._root.exists(name) and read_checked(self._root, name, SCORES)[0] is not None

    def _deciding(self, model: str, part: str, names: list[str]) -> set[str]:
        try:
            return deciding_files(self._root, model, part)
        except StoreError:  # one of them is damaged: `verify` is to say so first
            return set(names)

    def attempts(self, old: set[str]) -> Iterator[Removal]:
        """What processes left that died on a part, where no run can ask for it any more."""
        names = [name for name, _ in self._of("attempt")]
        for name, content in self._root.read_many(names).items():
            value, findings = parsed_json(self._root, name, content, dict)
            run = None if findings else self._runs.get(_run_of(value))
            if not findings and (run is None or run.is_finished or run.run in old):
                yield self._removal(name, ATTEMPTS, shared=True)

    def unused(self, old: set[str]) -> Iterator[Removal]:
        """What no run refers to that stays."""
        runs = [run for run in self._runs.values() if run.run not in old]
        used = references(runs, self._places.values())
        for name, place in self._of(*_UNUSED_KINDS):
            if not used.uses(place):
                yield self._removal(name, UNUSED, shared=True)


def _run_of(attempt: Mapping[str, Any]) -> str:
    """The id of the run that an attempt was made for; nothing, of a version that did not say."""
    steps = str(attempt.get("session", "")).split("/")
    return steps[1] if len(steps) == 4 else ""
