"""Speed, memory and precision of scoring on one GPU beside its peers'; some ten minutes on an H100.

    python benchmarks/gpu.py [--quick] [--only card,races,budgets,attention,kernels,precision]
                             [--peers hf_naive,lm_eval,rsr,vllm] [--vllm-python /path/to/python] [--json FILE]

vLLM is a contestant if the interpreter of an environment that has it is named. docs/performance.md says how
everything is measured.
"""

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
import transformers
from gpu_parts.card import card
from gpu_parts.kernels import attention, kernels
from gpu_parts.precision import precision
from gpu_parts.races import budgets, races
from scoring_parts import Figures
from scoring_parts.races import EVERYONE
from scoring_parts.sections import chosen, rounded, run


def main() -> None:
    """Prints tables as it goes and, last, the figures as one JSON object."""
    arguments = _arguments()
    if not torch.cuda.is_available():
        print(json.dumps({"why": "no CUDA device on this machine"}))
        return
    transformers.logging.disable_progress_bar()
    quick = arguments.quick
    sections: dict[str, Callable[[], Figures]] = {
        "card": card,
        "races": partial(races, quick, arguments.peers.split(","), arguments.vllm_python),
        "budgets": partial(budgets, quick),
        "attention": attention,
        "kernels": partial(kernels, quick),
        "precision": partial(precision, quick),
    }
    wanted = chosen(sections, arguments.only)
    figures, why = run(sections, wanted, with_tables=("races", "attention"))
    line = json.dumps({key: rounded(value) for key, value in figures.items()} | {"why": why})
    if arguments.json is not None:
        arguments.json.write_text(line + "\n", encoding="utf-8")
    print(f"\n{line}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small models and few traces")
    parser.add_argument("--only", help="sections, separated by commas")
    parser.add_argument("--peers", default=",".join(EVERYONE), help="who takes part beside ours")
    parser.add_argument("--vllm-python", type=Path)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
