"""Plain tasks over many small things, such as parts that are looked at: what they ask of Ray.

Ray's driver holds a record of every task and of every block, for as long as a stage runs. So there are a
bounded number of tasks, whatever there is to do, and what a task is about travels in its own rows: a list
of all parts, given to every task, would be sent and unpacked as often as there are tasks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import ray

from rdpt_ray.pipeline.score import Part

FEW, MANY = 16, 4096
"""Tasks that even little work is spread over, and the most that there ever are."""

ROWS = 8
"""Things that one task looks at while that makes no more than `MANY` tasks: a part takes milliseconds."""


def num_tasks(num_items: int) -> int:
    """Over how many tasks to spread so many parts, buckets or files."""
    return min(num_items, max(FEW, min(num_items // ROWS, MANY)))


def over_tasks(
    rows: Sequence[Mapping[str, Any]], body: Callable[[pa.Table], pa.Table]
) -> Iterator[dict[str, Any]]:
    """What a function makes of every row, in tasks of one CPU, in any order.

    Args:
        rows: What to look at, at least one.
        body: Called with a table of one row; what it returns has any number of them.
    """
    items = ray.data.from_items(list(rows), override_num_blocks=num_tasks(len(rows)))
    yield from items.map_batches(body, batch_size=1, batch_format="pyarrow", num_cpus=1).iter_rows()


def keys_by_bucket(parts: Iterable[Part]) -> dict[int, list[str]]:
    """Bucket -> the keys of its parts, in their order; the buckets in theirs."""
    found: dict[int, list[str]] = {}
    for part in parts:
        found.setdefault(part.bucket, []).append(part.key)
    return dict(sorted(found.items()))
