"""How the driver, the scheduler, the listing and the selection grow with the number of traces.

    python benchmarks/scale.py [--quick] [--only growth,parts,pool] [--most 1000000] [--json FILE]

A scorer of known cost stands in for the models, everything else is the real job on a Ray of two CPUs; each
size has a process of its own. docs/scale.md says what is measured, and carries it on to 10^9 traces. The
last line is one flat JSON object.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "TOKENIZERS_PARALLELISM": "false",
}

from scale_parts import Figures
from scale_parts.fits import exponent
from scale_parts.job import Measured, measure_job, measure_listing, measure_pool

STAGES = ("ingest", "score", "resume")
WHAT = ("cpu_exponent", "driver_cpu_exponent", "driver_mb_per_1000_parts")

REQUIRED = (
    *(f"{stage}_{what}" for stage in STAGES for what in WHAT),
    "part_driver_cpu_ms",
    "part_others_cpu_ms",
    "listing_s",
    "listing_cpu_exponent",
    "listing_mb_per_1000_parts",
    "pool_efficiency",
)
"""Keys that are always there; null where the figure could not be had, with `why`."""


def main() -> None:
    """Prints tables as it goes and, last, the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few traces, few parts")
    parser.add_argument("--only", help="sections, separated by commas")
    parser.add_argument("--most", type=int, default=10**6, help="traces of the largest job")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    sections: dict[str, Callable[[], Figures]] = {
        "growth": partial(growth, 2000 if arguments.quick else arguments.most),
        "parts": partial(parts, 400 if arguments.quick else arguments.most // 10),
        "pool": partial(pool, arguments.quick),
    }
    wanted = arguments.only.split(",") if arguments.only else list(sections)
    unknown = sorted(set(wanted) - set(sections))
    if unknown:
        sys.exit(f"--only: no section {', '.join(unknown)}; there are {', '.join(sections)}")
    figures: Figures = {"quick": arguments.quick, "load": round(os.getloadavg()[0], 2)}
    for name in wanted:
        begun = time.perf_counter()
        print(f"\n{name}", flush=True)
        figures |= sections[name]()
        print(f"  ({time.perf_counter() - begun:.0f} s)", flush=True)
    left = [name for name in sections if name not in wanted]
    why = f"not asked for: {', '.join(left)}" if left else None
    figures = dict.fromkeys(REQUIRED) | figures | {"why": why}
    line = json.dumps({key: _rounded(value) for key, value in figures.items()})
    if arguments.json is not None:
        arguments.json.write_text(line + "\n", encoding="utf-8")
    print(f"\n{line}")


def growth(most: int) -> Figures:
    """The job over 10^3 traces and on, in steps of ten: what every stage takes, and the driver in it."""
    found = [_alone(measure_job, size) for size in _sizes(most)]
    figures: Figures = {}
    for stage in STAGES:
        figures |= _growth(stage, found)
    last = found[-1]
    return figures | {
        "part_driver_cpu_ms": 1000 * last["score_driver_cpu_s"] / last["parts"],
        "part_others_cpu_ms": 1000 * last["score_others_cpu_s"] / last["parts"],
    }


def parts(most: int) -> Figures:
    """Everything is scored, in ever more parts: what a start costs the driver."""
    found = [_alone(measure_listing, size) for size in _sizes(most)]
    sizes = [each["parts"] for each in found]
    return {
        **{f"listing_s_{_short(each['parts'])}": each["listing_s"] for each in found},
        "listing_s": found[-1]["listing_s"],
        "listing_cpu_exponent": exponent(sizes, [each["listing_driver_cpu_s"] for each in found]),
        "listing_mb_per_1000_parts": _mb_per_1000_parts("listing", found),
    }


def pool(quick: bool) -> Figures:
    """More actors than cores, on parts of a known cost: how much of their time goes into parts."""
    told = _alone(measure_pool, 40 if quick else 400, 4 if quick else 8, 0.2 if quick else 2.0)
    return {
        "pool_parts_per_s": told["parts_per_s"],
        "pool_efficiency": told["parts_per_s"] * told["part_s"] / told["actors"],
        "pool_driver_cpu_ms_per_part": 1000 * told["driver_cpu_s"] / told["parts"],
    }


def _growth(stage: str, found: Sequence[Measured]) -> Figures:
    sizes = [each["traces"] for each in found]
    figures: Figures = {}
    for each in found:
        at = _short(each["traces"])
        for what in ("s", "driver_cpu_s", "others_cpu_s", "driver_mb"):
            figures[f"{stage}_{what}_{at}"] = each[f"{stage}_{what}"]
    driver = [each[f"{stage}_driver_cpu_s"] for each in found]
    others = [each[f"{stage}_others_cpu_s"] for each in found]
    return figures | {
        f"{stage}_cpu_exponent": exponent(
            sizes, [sum(each) for each in zip(driver, others, strict=True)]
        ),
        f"{stage}_driver_cpu_exponent": exponent(sizes, driver),
        f"{stage}_driver_mb_per_1000_parts": _mb_per_1000_parts(stage, found),
    }


def _mb_per_1000_parts(stage: str, found: Sequence[Measured]) -> float | None:
    """By how much the driver's memory grows, between the smallest and the largest size."""
    first, last = found[0], found[-1]
    more = last["parts"] - first["parts"]
    grown = last[f"{stage}_driver_mb"] - first[f"{stage}_driver_mb"]
    return 1000 * grown / more if more else None


def _alone(measure: Callable[..., Measured], *arguments: float) -> Measured:
    """What a measurement gives in a process of its own, printed."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        found = process.submit(measure, *arguments).result()
    told = ", ".join(f"{name} {_rounded(value)}" for name, value in found.items())
    print(f"  {told}", flush=True)
    return found


def _sizes(most: int) -> list[int]:
    """10^3, 10^4 and so on below the largest, and the largest."""
    return [10**power for power in range(3, math.ceil(math.log10(most)))] + [most]


def _short(count: float) -> str:
    """1000000 as 1e6."""
    return f"{count:.0e}".replace("e+0", "e")


def _rounded(value: object) -> object:
    """Four digits are more than repeats agree on."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
