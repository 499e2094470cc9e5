"""Share of the teacher's tokens that exact pruning saves; under 4 minutes on two cores.

    python benchmarks/pruning.py [--quick] [--only simulated,demo]

Simulated candidates, 2 to 16 to a prompt, and the demo's real traces. The selection is compared with that of
reading everything, prompt by prompt. docs/pruning.md has the figures. The last line is one flat JSON object.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

from pruning_parts import Figures
from pruning_parts.demo import demo
from pruning_parts.simulated import simulated

REQUIRED = ("saved_k4", "saved_k8", "saved_k16", "saved_demo", "identical")
"""Keys that are always there; null where the figure could not be had, with `why`."""

SECTIONS: dict[str, Callable[[bool], Figures]] = {"simulated": simulated, "demo": demo}


def main() -> None:
    """Prints tables as it goes and, last, the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer prompts, fewer traces")
    parser.add_argument("--only", help="sections, separated by commas")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(SECTIONS)
    unknown = sorted(set(wanted) - set(SECTIONS))
    if unknown:
        sys.exit(f"--only: no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    figures: Figures = dict.fromkeys(REQUIRED)
    why: list[str] = []
    same: list[bool] = []
    for name in wanted:
        print(f"\n{name}", flush=True)
        found = SECTIONS[name](arguments.quick)
        reason = found.pop("why", None)
        why += [str(reason)] if reason else []
        same += [bool(found[key]) for key in ("identical", "identical_demo") if key in found]
        figures |= found
    left = [name for name in SECTIONS if name not in wanted]
    why += [f"not asked for: {', '.join(left)}"] if left else []
    figures |= {"identical": all(same) if same else None, "quick": arguments.quick}
    figures["why"] = "; ".join(why) or None
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    print(f"\n{json.dumps(rounded)}")


if __name__ == "__main__":
    main()
