"""What a run cost over all of its sessions, killed ones included, and how much of it was done twice."""

from collections.abc import Sequence

from rdpt_ray.publish.facts import RoleCost, SessionFacts
from rdpt_ray.storage.run_contents import COSTS
from rdpt_ray.storage.sessions import Session


def account(sessions: Sequence[Session], damaged: int = 0) -> SessionFacts:
    """Add the sessions of a run up.

    A killed driver's record is at most one beat old, so of a part that was committed in its last seconds
    the cost is not counted.

    Args:
        sessions: All of the run, this one too.
        damaged: Files of the store that were set aside in this session.
    """
    costs: dict[str, dict[str, float]] = {}
    for session in sessions:
        for role, counts in session.counts.items():
            total = costs.setdefault(role, dict.fromkeys(COSTS, 0))
            for name in COSTS:
                total[name] += counts.get(name, 0)  # an older version counted less
    return SessionFacts(
        started=len(sessions),
        costs=tuple(
            RoleCost(
                role=role,
                parts=int(each["parts"]),
                traces=int(each["traces"]),
                tokens=int(each["tokens"]),
                actor_seconds=round(each["seconds"], 1),
                read_again=int(each["read_again"]),
            )
            for role, each in sorted(costs.items())
        ),
        damaged=damaged,
    )


def numerics_of(sessions: Sequence[Session]) -> dict[str, list[str]]:
    """Role -> every kind of process that scored for it; more than one: see `scoring.numerics`."""
    found: dict[str, set[str]] = {}
    for session in sessions:
        for role, counts in session.counts.items():
            found.setdefault(role, set()).update(counts.get("numerics", []))
    return {role: sorted(kinds) for role, kinds in sorted(found.items())}
