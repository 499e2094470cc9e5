"""Seconds that a sweep over beta takes on stored scores: 100,000 traces of about 40 sentences, one core.

    python benchmarks/sweep.py [--traces 100000] [--candidates 4]

The scores are made up (seeded); the sweep reads the columns as the pipeline fills them, reading files is not
part of it. The last line is one flat JSON object.
"""

import argparse
import json
import os
import time

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np
from numpy.typing import NDArray

from rdpt_ray.method.candidate import RoleScores
from rdpt_ray.method.score_columns import ScoreColumns
from rdpt_ray.method.sensitivity import sweep


def main() -> None:
    """Prints the table of the sweep, then the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=4, help="per prompt")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for name, roles in (("", 2), ("four_way_", 3)):
        columns = made_up(arguments.traces, arguments.candidates, roles)
        start = time.perf_counter()
        found = sweep(columns)
        figures[f"{name}seconds"] = round(time.perf_counter() - start, 3)
        print(f"{'four' if roles == 3 else 'three'}-way: beta, sentences by class, picks that stay")
        for row in found.rows:
            print(f"  {row.beta:<5g} {row.classes} {found.same_pick_share(row):.3f}")
        figures |= {
            "traces": len(columns),
            "sentences": len(columns.sentence_chars),
            "betas": len(found.rows),
        }
    figures["traces_per_s"] = round(figures["traces"] / figures["seconds"])
    print(json.dumps(figures))


def made_up(traces: int, candidates: int, roles: int) -> ScoreColumns:
    """Random scores of as many traces, `candidates` to a prompt, under two or three roles."""
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(10, 71, traces))])
    sentences = int(offsets[-1])
    names = ("teacher", "student", "distilled")[:roles]
    return ScoreColumns(
        trace_ids=_ids("t", rng.permutation(traces)),
        prompt_ids=_ids("p", np.arange(traces) // candidates),
        num_chars=np.diff(offsets) * 80,
        correct=rng.integers(-1, 2, traces).astype(np.int8),
        eligible=np.ones(traces, dtype=bool),
        teacher_known=np.ones(traces, dtype=bool),
        offsets=offsets,
        sentence_chars=rng.integers(5, 200, sentences),
        roles={name: _scores(rng, sentences) for name in names},
    )


def _scores(rng: np.random.Generator, sentences: int) -> RoleScores:
    tokens = rng.integers(1, 50, sentences)
    return RoleScores(sums=-rng.exponential(0.5, sentences) * tokens, tokens=tokens)


def _ids(kind: str, numbers: NDArray[np.int64]) -> NDArray[np.str_]:
    """As long as the real ones, which are hexadecimal digests."""
    return np.array([f"{kind}{number:031x}" for number in numbers])


if __name__ == "__main__":
    main()
