"""Write the two prompt files of the loop (`python examples/miniature/prompts.py`).

`prompts.parquet` is what the teacher is asked for candidates, `test_prompts.parquet` what students are
tested on; they share no problem.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from folder import HERE
from task import Split, distinct_problems

SEED = 5
FILES: dict[str, tuple[Split, int]] = {
    "prompts.parquet": ("train", 2400),
    "test_prompts.parquet": ("test", 1000),
}


def prompts(split: Split, count: int) -> pa.Table:
    """Different problems of a split, with their answers."""
    asked = distinct_problems(split, SEED, count)
    return pa.table(
        {
            "prompt": [problem.question for problem in asked],
            "reference_answer": [problem.answer for problem in asked],
            "source": ["rdpt_ray/miniature"] * count,
            "license": ["apache-2.0"] * count,
        }
    )


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=HERE, help="folder for the files")
    options = parser.parse_args()
    for name, (split, count) in FILES.items():
        pq.write_table(prompts(split, count), options.to / name, compression="zstd")
        print(f"{name}: {count:,} prompts")


if __name__ == "__main__":
    main()
