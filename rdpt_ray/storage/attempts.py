"""Who works on which part: records made before the work, by put-if-absent, and deleted after its commit.

    STORE/attempts/<model-key>/<part-key>-0001.json

The highest number holds the part. While its session lives, another session leaves the part alone; once
that is over the next number is free to take, and of two that take it at once one makes the file. So a part
is not read twice at a time, and until it is committed what is there tells how often it was begun and not
finished. A maker that was wrongly given up does no harm: it commits the same scores.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import canonical_json, write_json


@dataclass(frozen=True, slots=True)
class Attempt:
    """One process's work on one part."""

    session: str
    """The file of the driver that it works for."""
    node: str
    """Where, as Ray names it."""
    process: str
    """`sessions.this_process`."""
    in_flight: str | None = None
    """The trace_id that the process is scoring, with nothing else beside it."""

    @property
    def run(self) -> str:
        """Id of the run it works for."""
        return self.session.split("/")[1]


@dataclass(frozen=True, slots=True)
class Held:
    """A part that is ours to work on."""

    name: str
    """The file that says so."""
    attempt: Attempt
    earlier: dict[str, Attempt]
    """Those that were begun and not finished: their files, the first one first."""


def attempts_folder(model_key: str) -> str:
    """Where the records of a model's parts lie: of those in hand, and of those that were lost."""
    return f"attempts/{model_key}"


def read_attempts(root: Root, model_key: str, part_key: str) -> list[tuple[str, Attempt]]:
    """The names and records of a part's attempts, the first one first.

    Raises:
        StoreError: if they cannot be read.
    """
    names = root.names(attempts_folder(model_key), [f"{part_key}-"])
    found = root.read_many(names)  # one that is released meanwhile is left out
    return [(name, _attempt(found[name])) for name in names if name in found]


def holders(root: Root, model_key: str) -> Counter[str]:
    """Session file -> how many parts its actors have in hand under a model.

    Raises:
        StoreError: if they cannot be read.
    """
    names = root.names(attempts_folder(model_key))
    newest = {name.rpartition("-")[0]: name for name in names}  # the highest number holds the part
    found = root.read_many(newest.values())
    return Counter(_attempt(content).session for content in found.values())


def _attempt(content: bytes) -> Attempt:
    """A record; one that is damaged says only that somebody tried, and nobody waits for it."""
    try:
        return Attempt(**json.loads(content))
    except (ValueError, TypeError):
        return Attempt("runs//sessions/", "", "")


def hold(
    root: Root,
    model_key: str,
    part_key: str,
    attempt: Attempt,
    found: Sequence[tuple[str, Attempt]],
) -> Held | None:
    """Take a part, if nobody was faster.

    Args:
        root: The store.
        model_key: Which model is to read it.
        part_key: The part.
        attempt: Who asks.
        found: What `read_attempts` said, all of them over.

    Returns:
        The part, or None if another attempt holds it now.
    """
    number = 1 + max((_number(name) for name, _ in found), default=0)
    name = f"{attempts_folder(model_key)}/{part_key}-{number:04d}.json"
    made = root.create(name, canonical_json(asdict(attempt)).encode())
    return Held(name, attempt, dict(found)) if made else None


def note(root: Root, held: Held, attempt: Attempt) -> None:
    """Say more of an attempt that is ours."""
    write_json(root, held.name, asdict(attempt))


def release(root: Root, held: Held) -> None:
    """The part is committed: nothing is left of the attempts on it, and last of all not of this one."""
    for name in (*held.earlier, held.name):
        root.delete(name)


def _number(name: str) -> int:
    return int(name.removesuffix(".json").rpartition("-")[2])
