"""A store on a terminal: what is in it, what is damaged, what was swept. Fits 80 columns.

Names come from data and from whoever filled the store, so they are never read as markup or control codes.
"""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rdpt_ray.publish.words import counted
from rdpt_ray.storage.audit import Audit
from rdpt_ray.storage.contents import Contents, DatasetContents, ModelContents
from rdpt_ray.storage.printable import clip, printable
from rdpt_ray.storage.run_contents import RunContents
from rdpt_ray.storage.sweep import Removal, Sweep

WIDTH = 80
MAX_FILES = 20
"""Files shown one by one; `--json` has all."""

MAX_VALUE = 600
"""Columns of one text; `--json` has all of it."""

_STYLES = {
    "finished": "green",
    "live": "cyan",
    "running": "cyan",
    "held": "cyan",
    "unfinished": "yellow",
    "waiting": "yellow",
    "silent": "yellow",
    "dead": "red",
    "damaged": "red",
}


def print_contents(console: Console, contents: Contents) -> None:
    """Print datasets, models, other rooms and runs."""
    title(console, f"{contents.store}")
    say(console, f"{counted(contents.files, 'file')}, {size(contents.bytes)}")
    title(console, "datasets")
    for dataset in contents.datasets:
        _print_dataset(console, dataset)
    title(console, "models")
    for model in contents.models:
        _print_model(console, model)
    title(console, "other rooms")
    for room, told in contents.rooms.items():
        line(console, room, f"{counted(told['files'], 'file')}, {size(told['bytes'])}")
    title(console, "runs")
    for run in contents.runs:
        _print_run(console, run)
    if contents.unreadable:
        title(console, "tables that cannot be read; rdpt store verify tells more")
        _print_names(console, contents.unreadable)


def _print_dataset(console: Console, dataset: DatasetContents) -> None:
    entry(console, dataset.name)
    known = "?" if dataset.num_buckets is None else f"{dataset.num_buckets:,}"
    line(
        console,
        "holds",
        f"{counted(dataset.traces, 'trace')} in {counted(dataset.parts, 'part')},"
        f" {size(dataset.bytes)};"
        f" {dataset.buckets_used:,} of {known} buckets",
    )
    for splitter, parts in sorted(dataset.splitters.items()):
        line(console, "cut by", f"{splitter}: {counted(parts, 'part')}")


def _print_model(console: Console, model: ModelContents) -> None:
    entry(console, model.key)
    if model.facts:
        facts = {name: value for name, value in model.facts.items() if name != "weights"}
        line(console, "is", ", ".join(f"{name} {value}" for name, value in facts.items()))
    told = f"{counted(model.traces, 'trace')} in {counted(model.parts, 'whole part')}"
    told += f", {size(model.bytes)}"
    if model.parts_begun or model.traces_begun:
        told += (
            f"; {counted(model.traces_begun, 'row')} of {counted(model.parts_begun, 'part')} begun"
        )
    line(console, "scored", told)
    if model.errors:
        codes = [f"{count:,} {code}" for code, count in model.errors.items()]
        line(console, "no scores", ", ".join(codes))
    if model.cost:
        line(console, "cost", cost_words(model.cost))


def _print_run(console: Console, run: RunContents) -> None:
    entry(console, run.run, run.state)
    starts = "" if run.started is None else f", started {run.started:,} x"
    when = run.finished_at or run.started_at
    line(console, "when", f"{when or 'unknown'}{starts}")
    if run.rows_read is not None:
        told = f"{run.rows_read:,} read"
        if run.selected is not None:
            told += f" = {run.selected:,} selected + {run.rejected:,} rejected"
            told += f" + {run.quarantined:,} quarantined"
        line(console, "rows", told)
    for role, cost in run.cost.items():
        line(console, "cost", f"{role}: {cost_words(cost)}")


def cost_words(cost: Mapping[str, float]) -> str:
    """What scoring cost, in words."""
    told = [f"{cost[name]:,.0f} {name}" for name in ("traces", "tokens") if name in cost]
    if "seconds" in cost:
        told.append(f"{cost['seconds']:,.0f} s of actors")
    if cost.get("read_again"):
        told.append(f"{cost['read_again']:,.0f} traces read again")
    return ", ".join(told)


def print_audit(console: Console, found: Audit, moved: Sequence[str] = ()) -> None:
    """Print every file that is damaged, with what to do, and what else is worth knowing."""
    for each in found.damage[:MAX_FILES]:
        entry(console, each.file)
        line(console, "expected", each.expected)
        line(console, "found", each.found)
        line(console, "what to do", each.remedy)
    if len(found.damage) > MAX_FILES:
        say(console, f"and {len(found.damage) - MAX_FILES:,} more; --json has all")
    for note in found.notes[:MAX_FILES]:
        line(console, "note", note)
    if len(found.notes) > MAX_FILES:
        say(console, f"and {len(found.notes) - MAX_FILES:,} more notes; --json has all")
    if moved:
        title(console, f"set aside: {counted(len(moved), 'file')}")
        _print_names(console, moved)
    damaged = len({each.file for each in found.damage})
    title(console, f"{counted(found.num_files, 'file')} checked, {damaged:,} damaged")


def print_sweep(console: Console, sweep: Sweep, gone: Sequence[Removal] | None) -> None:
    """Print what may go, or what went.

    Args:
        console: Where to print.
        sweep: What was found.
        gone: What was deleted; None: nothing was to be.
    """
    shown = sweep.removals if gone is None else gone
    _print_removals(console, "would be deleted" if gone is None else "deleted", shown)
    if gone is None and shown:
        say(console, "nothing is deleted without --apply")
    if gone is not None and len(gone) < len(sweep.removals):
        left = len(sweep.removals) - len(gone)
        say(
            console,
            f"{left:,} files stay: a job has begun to work on this store; run it again later",
        )
    if sweep.live:
        for name in sorted(sweep.live)[:MAX_FILES]:
            line(console, "at work", name)
        _print_removals(console, "held back until no job is at work", sweep.held_back)


def _print_removals(console: Console, words: str, removals: Sequence[Removal]) -> None:
    title(console, f"{words}: {_counted(removals)}")
    by_why: dict[str, list[Removal]] = {}
    for each in removals:
        by_why.setdefault(each.why, []).append(each)
    for why, some in by_why.items():
        entry(console, why)
        line(console, "", _counted(some))
        _print_names(console, [each.name for each in some[:3]])
        if len(some) > 3:
            say(console, f"    and {len(some) - 3:,} more; --json has all")


def _counted(removals: Sequence[Removal]) -> str:
    return f"{counted(len(removals), 'file')}, {size(sum(each.bytes for each in removals))}"


def _print_names(console: Console, names: Iterable[str]) -> None:
    for number, name in enumerate(names):
        if number == MAX_FILES:
            say(console, "    and more; --json has all")
            break
        console.print(Text(f"    {printable(name)}", overflow="fold"), width=_width(console))


def title(console: Console, words: str) -> None:
    """A heading with room above it."""
    console.print()
    console.print(Text(printable(words), style="bold", overflow="fold"), width=_width(console))


def entry(console: Console, name: str, state: str = "") -> None:
    """The name of what the lines below it are about."""
    text = Text(printable(name), overflow="fold")
    if state:
        text.append(f"  {state}", style=_STYLES.get(state, ""))
    console.print(text, width=_width(console))


def line(console: Console, what: str, told: str) -> None:
    """One line about it, as wide as it takes."""
    lines(console, [(what, told)], 14)


def lines(console: Console, rows: Sequence[tuple[str, str]], width: int = 44) -> None:
    """Lines of a name and a text, each as wide as it takes.

    Args:
        console: Where to print.
        rows: Both of each.
        width: Columns of the names, unless they need less; longer ones are folded.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(width=2)
    table.add_column(min_width=14, max_width=width, style="dim", overflow="fold")
    table.add_column(overflow="fold", ratio=1)
    for what, told in rows:
        table.add_row("", Text(printable(what)), Text(clip(printable(told), MAX_VALUE)))
    console.print(table, width=_width(console))


def say(console: Console, words: str) -> None:
    """A remark."""
    console.print(Text(words, style="dim"), width=_width(console))


def size(count: float) -> str:
    """Bytes, for people."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _width(console: Console) -> int:
    return min(console.width, WIDTH)
