"""A plan for people, in the width of a terminal, and for machines."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rdpt_ray.method.sample_totals import Total
from rdpt_ray.pipeline.plan import Plan, RolePlan
from rdpt_ray.pipeline.plan_pools import CLUSTER, CONFIG, GROWN, MACHINE, USUAL, PoolPlan
from rdpt_ray.publish.untrusted import shorten, visible
from rdpt_ray.scoring.actor_memory import RESERVED_BYTES

WIDTH = 98
SHOWN_FIT = ("L4", "A100-80G", "H100", "H200", "B200")
"""Accelerators whose fit is shown beside the pool's own; the JSON has all."""

SAYS = {
    CONFIG: "the config says; the pool does not fit here",
    GROWN: "the cluster may grow to, by the config",
    CLUSTER: "fit the cluster as it stands",
    MACHINE: "fit this machine",
}

SOURCES = {
    "store": "the store holds this run: counted, not estimated",
    "all": "the whole input was read",
    "sample": "a sample of the input was read",
    "assumed": "nothing was read: plan.assume",
}


def console_for(as_json: bool) -> Console:
    """Where a plan is printed: as wide as the terminal, and 100 columns in a file or pipe."""
    console = Console(stderr=as_json)
    return console if console.is_terminal else Console(stderr=as_json, width=WIDTH + 2)


def print_plan(console: Console, plan: Plan) -> None:
    """Print a plan; text from the data or the config is never read as markup or control codes."""
    console.print(
        Text(shorten(f"plan {plan.name}: {visible(plan.input.shown)}", WIDTH), style="bold")
    )
    console.print(_input_table(plan))
    console.print(_reading_table(plan))
    console.print(_pool_table(plan))
    for note in _notes(plan):
        console.print(Text(f"- {visible(note)}"), soft_wrap=False)


def _table(*columns: str) -> Table:
    """A table whose first column names its rows and whose others are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    return table


def _input_table(plan: Plan) -> Table:
    reads = plan.input
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    seen = f"; traces looked at: {reads.num_seen:,}" if reads.num_seen else ""
    table.add_row("rows", amount(reads.rows), f"{SOURCES[reads.source]}{seen}")
    table.add_row("  quarantined", amount(reads.quarantined))
    table.add_row("  traces", amount(reads.traces), f"in {about(reads.num_parts)} parts")
    table.add_row("prompts", amount(reads.prompts), f"{reads.candidates:.3g} candidates each")
    table.add_row()
    return table


def _reading_table(plan: Plan) -> Table:
    table = _table(
        "reads",
        "tokens",
        "in prompts",
        "longest",
        "FLOP",
        "body",
        "attention",
        "head",
        "in store",
        "pruned",
    )
    for each in plan.roles:
        tokens = each.tokens
        if tokens is None:
            table.add_row(Text(shorten(each.role, 20)), "recorded")
            continue
        flops = tokens.flops
        parts = (tokens.body.value, tokens.attention.value, tokens.head.value)
        shares = [share(part / flops) for part in parts] if flops else ["?", "?", "?"]
        held = "?" if each.remaining is None else share(1 - each.remaining.share)
        total = Total(tokens.num_tokens, *_sum_of_intervals(tokens.prompt, tokens.response))
        table.add_row(
            Text(shorten(each.role, 20)),
            amount(total),
            share(tokens.prompt.value / max(1.0, tokens.num_tokens)),
            f"{tokens.longest:,}",
            f"{flops:.2e}" if flops else "?",
            *shares,
            held,
            share(each.saving.share),
        )
    table.add_row()
    return table


def _sum_of_intervals(first: Total, second: Total) -> tuple[float | None, float | None]:
    """Of two figures of the same blocks, whose errors go together."""
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None, None
    return first.low + second.low, first.high + second.high


def _pool_table(plan: Plan) -> Table:
    table = _table("runs", "on", "actors", "each needs", "hours", "wall", "price")
    for each in plan.roles:
        name, pool = Text(shorten(each.role, 20)), each.pool
        if pool is None:
            table.add_row(name, "a server" if each.model.endpoint is not None else "-")
            continue
        hours, wall, price = "?", "?", "?"
        if each.cost is not None:
            hours, wall = small(each.cost.hours), duration(each.cost.wall_s)
            price = "?" if each.cost.price is None else small(each.cost.price)
        elif not each.share:
            hours, wall, price = "0", "0", "0"
        table.add_row(name, _on(pool), f"{pool.actors}", _needs(pool), hours, wall, price)
    if plan.hours is not None and len(plan.roles) > 1:
        price = "?" if plan.price is None else f"{small(plan.price)} {plan.currency}"
        table.add_row("all", "", "", "", small(plan.hours), "", price)
    table.add_row()
    return table


def _on(pool: PoolPlan) -> str:
    count = f"{pool.per_actor:g}"
    if pool.accelerator is None:
        return f"{count} CPU"
    return f"{count} {pool.accelerator}{'?' if pool.is_guess else ''}"


def _needs(pool: PoolPlan) -> str:
    """Memory of an actor, on each of its accelerators."""
    if pool.memory is None:
        return "?"
    total = pool.memory.total - (RESERVED_BYTES if pool.accelerator is None else 0)
    verdict = {True: ", fits", False: ", TOO MUCH", None: ""}[pool.fits]
    return f"{total / 1e9:,.3g} GB{verdict}"


def _notes(plan: Plan) -> Iterator[str]:
    """What the tables do not say."""
    yield from plan.notes
    for each in plan.roles:
        yield from (f"{each.role}: {note}" for note in each.unknown)
        yield from _memory(each)
        if each.outlook is not None and each.outlook.parts_to_read:
            yield each.outlook.text
        if each.tokens is not None and each.tokens.refused:
            refused = share(each.tokens.refused)
            yield f"{each.role}: {refused} of the traces are longer than it reads, or refused"
        if each.saving.share:
            yield f"{each.role}: pruning spares {share(each.saving.share)}, {each.saving.why}"
    guesses = {each.pool.accelerator for each in plan.roles if each.pool and each.pool.is_guess}
    if guesses:
        taken = ", ".join(sorted(filter(None, guesses)))
        yield f"no pool.accelerator_type says which GPU it is: reckoned with {taken} (with a ? above)"
    said_by: dict[str, list[str]] = {}
    for each in plan.roles:
        if each.pool is not None:
            said_by.setdefault(each.pool.from_where, []).append(each.role)
    for source, roles in said_by.items():
        yield f"actors of {', '.join(roles)}: as many as {SAYS[source]}"
    if plan.hours is not None:
        yield "hours are those of one accelerator, at plan.mfu of its peak; wall: all actors at work"
        if plan.price is None:
            yield f"no price: plan.price_per_hour, for example {{{_priced(plan)}: 2.5}}"
    if any(each.pool is not None and each.pool.accelerator is None for each in plan.roles):
        yield "how long CPUs take, only a measurement tells: --calibrate"


def _memory(each: RolePlan) -> Iterator[str]:
    """What an actor's memory is made of, where there is an accelerator to fill."""
    pool = each.pool
    if pool is None or pool.memory is None or pool.accelerator is None:
        return
    memory = pool.memory
    parts = {
        "weights": memory.weights,
        "cache": memory.cache,
        "activations": memory.activations,
        "head": memory.head,
        "reserve": memory.reserved,
    }
    told = ", ".join(f"{name} {size / 1e9:.2g}" for name, size in parts.items() if size)
    yield f"{each.role}, GB on each {pool.accelerator}: {told}"
    fewest = {fit.accelerator: fit.fewest for fit in pool.fewest}
    fits = ", ".join(
        f"{fewest[name]} {name}" for name in (*SHOWN_FIT, *_own(pool)) if fewest.get(name)
    )
    yield f"{each.role}, GPUs that an actor needs at least: {fits or 'more than 8 of any'}"


def _own(pool: PoolPlan) -> Iterator[str]:
    if pool.accelerator is not None and pool.accelerator not in SHOWN_FIT:
        yield pool.accelerator


def _priced(plan: Plan) -> str:
    names = [each.pool.accelerator for each in plan.roles if each.pool is not None]
    return next(filter(None, names), USUAL)


def amount(total: Total) -> str:
    """A figure with how far off it may be: all digits where it is exact."""
    if total.low == total.high == total.value:
        return f"{round(total.value):,}"
    if total.low is None or total.high is None:
        return f"about {about(total.value)}"
    reach = max(total.high - total.value, total.value - total.low) / max(total.value, 1e-9)
    return f"{about(total.value)} ±{reach:.0%}".replace("±", "+-")


def about(value: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 10 * size:
            return (
                f"{value / size:.3g} {unit}"
                if value < 1e3 * size
                else f"{value / size:,.0f} {unit}"
            )
    return f"{value:,.0f}"


def small(value: float) -> str:
    """Hours or money: no more digits than matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else "<0.01"


def share(part: float) -> str:
    """A percentage; 0 and 100 only where they are exact."""
    if 0 < part < 0.005:
        return "<1 %"
    if 0.995 < part < 1:
        return ">99 %"
    return f"{100 * part:.0f} %"


def duration(seconds: float) -> str:
    """In the unit that reads best."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{small(seconds)} s"


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain values; intervals are null where there is none."""
    reads = plan.input
    return {
        "name": plan.name,
        "run": plan.run,
        "counts_from": reads.source,
        "input": reads.shown,
        "rows_read": asdict(reads.rows),
        "quarantined": asdict(reads.quarantined),
        "traces": asdict(reads.traces),
        "prompts": asdict(reads.prompts),
        "candidates": reads.candidates,
        "parts": reads.num_parts,
        "models": {each.role: _role_json(each) for each in plan.roles},
        "cluster": plan.where.name,
        "accelerator_hours": plan.hours,
        "price": plan.price,
        "currency": plan.currency,
        "notes": list(plan.notes),
    }


def _role_json(each: RolePlan) -> dict[str, Any]:
    tokens, pool = each.tokens, each.pool
    found: dict[str, Any] = {
        "model": each.model.model,
        "engine": each.model.engine,
        "dtype": each.model.dtype,
        "share_left": None if each.remaining is None else each.remaining.share,
        "share_left_is_exact": None if each.remaining is None else each.remaining.is_exact,
        "expected_saving": each.saving.share,
        "expected_saving_why": each.saving.why,
        "not_learnt": list(each.unknown),
        "tokens": None,
        "pool": None if pool is None else asdict(pool),
        "cost": None if each.cost is None else asdict(each.cost),
        "store": None if each.outlook is None else asdict(each.outlook),
    }
    if tokens is not None:
        found["tokens"] = {
            "traces": asdict(tokens.traces),
            "prompt": asdict(tokens.prompt),
            "response": asdict(tokens.response),
            "longest": tokens.longest,
            "refused_share": tokens.refused,
        }
        found["flops"] = {
            part: asdict(getattr(tokens, part)) for part in ("body", "attention", "head")
        }
    return found
