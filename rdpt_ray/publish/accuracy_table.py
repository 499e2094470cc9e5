"""How often models are right, as a table for a terminal."""

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from rdpt_ray.method.accuracy import Accuracy
from rdpt_ray.publish.untrusted import shorten


def accuracy_table(rows: Iterable[tuple[str, Accuracy, Mapping[str, int], int]]) -> Table:
    """One line per model, in 80 columns.

    Args:
        rows: Role, accuracy, why answers could not be judged -> how many, and responses cut at the longest
            length.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("model", "right", "interval", "prompts", "answers", "cut"):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    table.add_column("not judged", style="dim", overflow="fold")
    for role, found, unknown, cut in rows:
        table.add_row(
            shorten(role, 24),
            f"{found.accuracy:.1%}",
            f"{found.low:.1%} to {found.high:.1%}",
            f"{found.prompts:,}",
            f"{found.samples:,}",
            f"{cut:,}",
            Text(", ".join(f"{count:,} {shorten(why, 30)}" for why, count in unknown.items())),
        )
    return table
