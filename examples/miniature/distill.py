"""Fine-tune the student on right traces of the teacher (`python examples/miniature/distill.py`).

The teacher answers training questions several times; for each question one right answer is drawn
at random, its markup is taken off, and the student learns it in its own template.
"""

import argparse
import random
import time
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from card import save
from fit import fit
from folder import HERE, load
from sample import THINK_END, is_whole, sample
from task import given_answer, problems
from vocabulary import prompt_ids, response_ids, student_tokenizer

SEED = 3
NUM_QUESTIONS = 2400
NUM_CANDIDATES = 4
EPOCHS = 6
BATCH_SIZE = 32
LEARNING_RATE = 1.5e-3


def right_traces(
    teacher: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, num_questions: int, seed: int
) -> list[tuple[str, str]]:
    """(question, response without markup), one for each question the teacher got right."""
    asked = list(islice(problems("train", seed), num_questions))
    repeated = [problem for problem in asked for _ in range(NUM_CANDIDATES)]
    written = sample(
        teacher, tokenizer, [problem.question for problem in repeated], temperature=1, seed=seed
    )
    rng = random.Random(seed)
    chosen = []
    for i, problem in enumerate(asked):
        candidates = written[i * NUM_CANDIDATES : (i + 1) * NUM_CANDIDATES]
        right = [
            s.text
            for s in candidates
            if is_whole(s, THINK_END) and given_answer(s.text) == problem.answer
        ]
        if right:
            chosen.append((problem.question, rng.choice(right).replace(THINK_END, "\n\n")))
    return chosen


def main() -> None:
    """Sample, fine-tune, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=HERE, help="folder with the model folders")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.process_time()
    traces = right_traces(*load(options.to / "teacher"), NUM_QUESTIONS, SEED)
    model, _ = load(options.to / "student")
    tokenizer = student_tokenizer()
    effort = fit(
        model,
        [(prompt_ids(tokenizer, q), response_ids(tokenizer, response)) for q, response in traces],
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        seed=SEED,
    )
    save(
        options.to / "distilled",
        model,
        tokenizer,
        title="miniature distilled",
        made=f"`distill.py`: the miniature student, {EPOCHS} epochs over {len(traces):,} right "
        "traces of the miniature teacher",
        seed=SEED,
        effort=effort,
        cpu_seconds=time.process_time() - begun,
    )


if __name__ == "__main__":
    main()
