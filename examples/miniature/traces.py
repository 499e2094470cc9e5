"""Sample the embedded trace files (`python examples/miniature/traces.py`).

`traces.parquet` holds what the teacher wrote, think markup and all, with a few rows broken on
purpose (README.md lists them); `distilled_traces.parquet` what the distilled model wrote.
"""

import argparse
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from folder import HERE, load
from sample import THINK_END, is_whole, sample
from task import Problem, Split, distinct_problems

NUM_TEACHER_PROMPTS = 320
NUM_DISTILLED_PROMPTS = 300
NUM_CANDIDATES = 4
SPARE_CANDIDATES = 4  # sampled beside, because repeats and traces that lost their form are left out
SEED = 4
NOT_UTF8 = b"<think>\nNow 7 plus \xff\xfe leaves 2.\n</think>\n\nThe answer is \\boxed{2}."

Row = dict[str, Any]
SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("reference_answer", pa.string()),
        ("teacher_name", pa.string()),
        ("source", pa.string()),
        ("license", pa.string()),
    ]
)


def traces(
    folder: Path,
    split: Split,
    num_prompts: int,
    num_candidates: int,
    *,
    opening: str,
    answer_mark: str,
) -> list[Row]:
    """`num_candidates` different whole traces for each of `num_prompts` new prompts.

    Raises:
        ValueError: A prompt has too few different whole traces among those sampled.
    """
    model, tokenizer = load(folder)
    asked = distinct_problems(split, SEED, num_prompts)
    tries = num_candidates + SPARE_CANDIDATES
    repeated = [problem for problem in asked for _ in range(tries)]
    written = sample(
        model, tokenizer, [problem.question for problem in repeated], temperature=1, seed=SEED
    )
    rows: list[Row] = []
    for i, problem in enumerate(asked):
        own = written[i * tries : (i + 1) * tries]
        whole = [s.text for s in own if is_whole(s, answer_mark)]
        different = list(dict.fromkeys(whole))[:num_candidates]
        if len(different) < num_candidates:
            raise ValueError(f"only {len(different)} different traces of {problem.question!r}")
        rows += [row(problem, opening + text, folder.name) for text in different]
    return rows


def row(problem: Problem, response: str, model_name: str) -> Row:
    """One row of a trace file."""
    return {
        "prompt": problem.question,
        "response": response,
        "reference_answer": problem.answer,
        "teacher_name": f"miniature-{model_name}",
        "source": "rdpt_ray/miniature",
        "license": "apache-2.0",
    }


def cut_traces(folder: Path, count: int, max_tokens: int) -> list[Row]:
    """Traces of new prompts that the token limit cut inside the think block."""
    model, tokenizer = load(folder)
    asked = distinct_problems("curate", SEED, NUM_TEACHER_PROMPTS + count)[-count:]
    written = sample(
        model,
        tokenizer,
        [problem.question for problem in asked],
        temperature=1,
        seed=SEED,
        max_tokens=max_tokens,
    )
    return [row(p, "<think>\n" + s.text, folder.name) for p, s in zip(asked, written, strict=True)]


def with_broken_rows(good: list[Row], cut: list[Row]) -> tuple[list[Row], dict[int, str]]:
    """The good rows with broken ones spread among them, and what is wrong at which row.

    Each broken row is the row before it with a change, and stands after the last candidate of a
    prompt, so that the rows of one prompt stay together.
    """
    never_closed = "cut by the token limit: the think block is never closed"
    changes: list[tuple[Row, str]] = [
        ({"response": None}, "response is null"),
        ({"response": ""}, "response is empty"),
        ({"response": " \n\t "}, "response is all blanks"),
        (cut[0], never_closed),
        ({"prompt": None}, "prompt is null"),
        ({}, "exact duplicate of the row before"),
        ({"response": NOT_UTF8}, "response is not valid UTF-8"),
        (cut[1], never_closed),
    ]
    rows, wrong = list(good), {}
    for i, (change, why) in enumerate(changes):
        place = (11 + 40 * i) * NUM_CANDIDATES + i
        rows.insert(place, rows[place - 1] | change)
        wrong[place] = why
    return rows, wrong


def table(rows: list[Row]) -> pa.Table:
    """Rows as an Arrow table; bytes go into the string column as they are, unchecked."""
    columns = []
    for field in SCHEMA:
        values = [row[field.name] for row in rows]
        raw = [value.encode() if isinstance(value, str) else value for value in values]
        columns.append(pa.array(raw, pa.binary()).view(pa.string()))
    return pa.table(columns, schema=SCHEMA)


def main() -> None:
    """Sample and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=HERE, help="folder with the model folders")
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = options.to / "teacher"
    good = traces(
        teacher,
        "curate",
        NUM_TEACHER_PROMPTS,
        NUM_CANDIDATES,
        opening="<think>\n",
        answer_mark=THINK_END,
    )
    rows, wrong = with_broken_rows(good, cut_traces(teacher, count=2, max_tokens=20))
    pq.write_table(table(rows), options.to / "traces.parquet", compression="zstd")
    for place, why in wrong.items():
        print(f"| {place} | {why} |")
    own = traces(
        options.to / "distilled",
        "trace",
        NUM_DISTILLED_PROMPTS,
        1,
        opening="",
        answer_mark="\n\n",
    )
    pq.write_table(table(own), options.to / "distilled_traces.parquet", compression="zstd")
    print(f"{len(rows)} rows of the teacher, {len(own)} rows of the distilled model")


if __name__ == "__main__":
    main()
