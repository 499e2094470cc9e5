"""Which of a selection's sentences make the loop's students better or worse?

    make loop && python examples/miniature/loop_ablation.py      # some ten minutes on one core

Trains students on what policies of the loop selected for the same prompts, as it is and with some kinds of
sentences left out, by the miniature's own training; tests each on the loop's test prompts. What it found is
in docs/evidence.md.
"""

import argparse
import json
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch

from fit import fit
from folder import HERE, load
from sample import sample
from task import given_answer
from vocabulary import prompt_ids, response_ids, student_tokenizer

Traces = dict[str, tuple[str, str]]
"""prompt_id -> question and response."""

CHECK = re.compile("Check that")
PREAMBLE = re.compile("Let me plan|Only the last digit|I go from|There are")
"""How sentences begin that no later one needs."""

POLICIES = ("teacher_count", "random", "length_matched")
BATCH_SIZE, LEARNING_RATE = 16, 3e-3
"""Those of loop.yaml."""


def main() -> None:
    """Prints a line per student and, last, the mean accuracies as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loop", type=Path, default=Path("out/loop"), help="folder of a loop")
    parser.add_argument("--seeds", type=int, default=3, help="students of each kind")
    parser.add_argument("--epochs", type=int, default=5, help="5 as in loop.yaml")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    selected = dict(selections(arguments.loop / "store" / "runs"))
    if missing := set(POLICIES) - selected.keys():
        parser.error(
            f"no selection by {', '.join(sorted(missing))} in {arguments.loop}: `make loop`"
        )
    shared = set.intersection(*(set(selected[policy]) for policy in POLICIES))
    kinds = {
        policy: {prompt: selected[policy][prompt] for prompt in sorted(shared)}
        for policy in POLICIES
    }
    ours = kinds["teacher_count"]
    kinds["teacher_count without checks"] = without(ours, CHECK)
    kinds["teacher_count without preamble"] = without(ours, PREAMBLE)
    for policy in ("teacher_count", "random"):
        kinds[f"{policy} without either"] = without(without(kinds[policy], CHECK), PREAMBLE)
    means = {}
    for kind, traces in kinds.items():
        found = [accuracy_of(traces, arguments.epochs, seed) for seed in range(arguments.seeds)]
        means[kind] = round(statistics.mean(found), 3)
        told = ", ".join(f"{accuracy:.1%}" for accuracy in found)
        print(f"{kind}: {len(traces)} traces, {about(traces)}: {told}", flush=True)
    print(f"\n{json.dumps(means)}")


def selections(runs: Path) -> Iterator[tuple[str, Traces]]:
    """Policy -> what it selected, of the loop's runs with a budget: those that students were trained on."""
    for path in sorted(runs.glob("*/manifest.json")):
        selection = json.loads(path.read_text())["config"].get("selection") or {}
        if selection.get("budget", {}).get("tokens") is not None:
            rows = ds.dataset(path.parent / "selected").to_table(
                columns=["prompt_id", "messages", "response"]
            )
            yield (
                selection["policy"],
                {
                    row["prompt_id"]: (row["messages"][-1]["content"], row["response"])
                    for row in rows.to_pylist()
                },
            )


def without(traces: Traces, sentence: re.Pattern[str]) -> Traces:
    """The same traces without the lines that begin like that."""

    def cut(response: str) -> str:
        return "\n".join(line for line in response.split("\n") if not sentence.match(line))

    return {prompt: (question, cut(response)) for prompt, (question, response) in traces.items()}


def about(traces: Traces) -> str:
    """Mean numbers of each kind of sentence."""

    def mean(counts: Callable[[str], bool]) -> float:
        lines = [line for _, response in traces.values() for line in response.split("\n")]
        return sum(map(counts, lines)) / len(traces)

    checks = mean(lambda line: CHECK.match(line) is not None)
    preamble = mean(lambda line: PREAMBLE.match(line) is not None)
    jumps = mean(lambda line: line.startswith("So "))
    return f"{checks:.2f} checks, {preamble:.2f} of preamble, {jumps:.2f} jumps a trace"


def accuracy_of(traces: Traces, epochs: int, seed: int) -> float:
    """Train a student, and test it on the loop's test prompts."""
    tokenizer = student_tokenizer()
    model, _ = load(HERE / "student")
    examples = [
        (prompt_ids(tokenizer, question), response_ids(tokenizer, response))
        for question, response in traces.values()
    ]
    fit(
        model,
        examples,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        seed=seed,
        report_every=10**9,
    )
    asked = pq.read_table(HERE / "test_prompts.parquet").to_pylist()
    answers = sample(model, tokenizer, [row["prompt"] for row in asked], temperature=0)
    return statistics.mean(
        given_answer(answer.text) == row["reference_answer"]
        for answer, row in zip(answers, asked, strict=True)
    )


if __name__ == "__main__":
    main()
