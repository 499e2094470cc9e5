"""Sections of a benchmark: chosen by name, run one after the other, told as they go."""

import sys
import time
from collections.abc import Callable, Collection, Mapping

from scoring_parts import Figures

Sections = Mapping[str, Callable[[], Figures]]


def chosen(sections: Sections, only: str | None) -> list[str]:
    """The sections that `--only` names, or all; ends the program if it names another."""
    wanted = only.split(",") if only else list(sections)
    unknown = sorted(set(wanted) - set(sections))
    if unknown:
        sys.exit(f"--only: no section {', '.join(unknown)}; there are {', '.join(sections)}")
    return wanted


def run(
    sections: Sections, wanted: list[str], with_tables: Collection[str]
) -> tuple[Figures, list[str]]:
    """What the sections found, and what is missing and why.

    Args:
        sections: All there are.
        wanted: Which to run.
        with_tables: Those that print tables of their own.
    """
    figures: Figures = {}
    why: list[str] = []
    for name in wanted:
        begun = time.perf_counter()
        print(f"\n{name}", flush=True)
        found = sections[name]()
        reason = found.pop("why", None)
        why += [str(reason)] if reason else []
        figures |= found
        if name not in with_tables:
            for key, value in found.items():
                print(f"  {key:40} {rounded(value)}")
        print(f"  ({time.perf_counter() - begun:.0f} s)", flush=True)
    return figures, why


def rounded(value: object) -> object:
    """Four digits are more than repeats agree on."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
