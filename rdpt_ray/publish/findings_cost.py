"""What scoring cost, role by role: this start's throughput beside the sums over all starts."""

from dataclasses import dataclass

from rdpt_ray.publish.facts import RunFacts


@dataclass(frozen=True, slots=True)
class CostRow:
    """One role. What was not counted is None."""

    role: str
    read: int
    """Traces read, over all starts; where they were not counted, in the last one."""
    reused: int
    """Traces whose scores were in the store when the last start began."""
    pruned: int
    tokens: int
    actor_seconds: float | None
    per_actor_second: float | None
    """Tokens."""
    tokens_per_s: float | None
    """In the last start, over all actors of the role."""
    read_again: int | None


def cost_rows(facts: RunFacts) -> list[CostRow]:
    """One row per role, in the order of the models."""
    costs = {cost.role: cost for cost in facts.sessions.costs} if facts.sessions else {}
    rows: list[CostRow] = []
    for model in facts.models:
        cost = costs.get(model.role)
        seconds = cost.actor_seconds if cost else None
        tokens = cost.tokens if cost else model.tokens
        rows.append(
            CostRow(
                role=model.role,
                read=cost.traces if cost else model.scored,
                reused=model.reused,
                pruned=model.pruned,
                tokens=tokens,
                actor_seconds=seconds,
                per_actor_second=tokens / seconds if seconds else None,
                tokens_per_s=model.tokens_per_s,
                read_again=cost.read_again if cost else None,
            )
        )
    return rows


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 12.3 s, 4 min 5 s, 3 h 20 min; an en dash for None."""
    if seconds is None:
        return "\u2013"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"
