"""Make the teacher and the student from nothing (`python examples/miniature/train.py`)."""

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from card import save
from fit import Example, fit, new_model
from task import Style, problems, write
from vocabulary import prompt_ids, response_ids, student_tokenizer, teacher_tokenizer

HERE = Path(__file__).parent
OWN_STYLE = 0.92


@dataclass(frozen=True)
class Recipe:
    """How a model is made from nothing."""

    style: Style
    num_steps: int
    seed: int
    batch_size: int = 64
    learning_rate: float = 4e-3


RECIPES = {
    "teacher": Recipe(style="teacher", num_steps=2000, seed=1),
    "student": Recipe(style="student", num_steps=900, seed=2),
}


def examples(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> Iterator[Example]:
    """Training problems with solutions, 92 % in the model's own style.

    Half of the teacher's solutions close a think block, half are the bare text that it will later
    be scored on. Prompt and response are tokenised apart, as the scorer does.
    """
    rng = random.Random(recipe.seed)
    other: Style = "student" if recipe.style == "teacher" else "teacher"
    for problem in problems("train", recipe.seed):
        reasoning, answer = write(problem, recipe.style if rng.random() < OWN_STYLE else other, rng)
        native = recipe.style == "teacher" and rng.random() < 0.5
        response = f"{reasoning}\n</think>\n\n{answer}" if native else f"{reasoning}\n\n{answer}"
        yield prompt_ids(tokenizer, problem.question), response_ids(tokenizer, response)


def train(recipe: Recipe) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, dict[str, int]]:
    """A trained model, its tokenizer, and the steps and tokens it took."""
    tokenizer = teacher_tokenizer() if recipe.style == "teacher" else student_tokenizer()
    model = new_model(tokenizer, recipe.seed)
    read = list(islice(examples(recipe, tokenizer), recipe.num_steps * recipe.batch_size))
    effort = fit(
        model,
        read,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        seed=recipe.seed,
    )
    return model, tokenizer, effort


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(RECIPES), help="make this model alone")
    parser.add_argument("--to", type=Path, default=HERE, help="folder for the model folders")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in [options.only] if options.only else RECIPES:
        recipe = RECIPES[name]
        begun = time.process_time()
        model, tokenizer, effort = train(recipe)
        made = f"`train.py`, from nothing, {recipe.style} style"
        save(
            options.to / name,
            model,
            tokenizer,
            title=f"miniature {name}",
            made=made,
            seed=recipe.seed,
            effort=effort,
            cpu_seconds=time.process_time() - begun,
        )


if __name__ == "__main__":
    main()
