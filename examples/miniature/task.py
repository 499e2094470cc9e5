"""The task: chains of two to four digit operations modulo ten, and two ways to write them down."""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "test", "curate", "trace"]
Style = Literal["teacher", "student"]

WORDS = {"+": "plus", "-": "minus", "x": "times"}
COUNTS = {2: "two", 3: "three", 4: "four"}
HELD_OUT: dict[int, Split] = {0: "test", 1: "curate", 2: "trace"}


@dataclass(frozen=True)
class Problem:
    """A start digit and the operations to apply to it, from left to right."""

    start: int
    operations: tuple[tuple[str, int], ...]

    @property
    def question(self) -> str:
        """The prompt."""
        return f"Modulo ten, what is left of {self.start} {_chain(self.operations)}?"

    @property
    def values(self) -> list[int]:
        """The start digit and the digit after each operation."""
        values = [self.start]
        for operator, operand in self.operations:
            values.append(apply(values[-1], operator, operand))
        return values

    @property
    def answer(self) -> str:
        """The last digit."""
        return str(self.values[-1])

    @property
    def split(self) -> Split:
        """Seven problems in ten are for training; the rest are kept apart by their text alone."""
        return HELD_OUT.get(zlib.crc32(self.question.encode()) % 10, "train")


def apply(value: int, operator: str, operand: int) -> int:
    """One operation modulo ten."""
    return {"+": value + operand, "-": value - operand, "x": value * operand}[operator] % 10


def problems(split: Split, seed: int) -> Iterator[Problem]:
    """An endless stream of the split's problems; they may repeat."""
    rng = random.Random(f"{split} {seed}")
    while True:
        problem = Problem(
            rng.randrange(10), tuple(_operation(rng) for _ in range(rng.randint(2, 4)))
        )
        if problem.split == split:
            yield problem


def distinct_problems(split: Split, seed: int, count: int) -> list[Problem]:
    """The first `count` different problems of a split."""
    found: dict[Problem, None] = {}
    for problem in problems(split, seed):
        found[problem] = None
        if len(found) == count:
            break
    return list(found)


def write(problem: Problem, style: Style, rng: random.Random) -> tuple[str, str]:
    """A true solution as (reasoning, answer), one sentence a line."""
    lines = _teacher_lines(problem, rng) if style == "teacher" else _student_lines(problem, rng)
    return "\n".join(lines), f"The answer is \\boxed{{{problem.answer}}}."


def given_answer(text: str) -> str | None:
    """The digit in the last box of a response, or None."""
    _, box, rest = text.rpartition("\\boxed{")
    digit, closing, _ = rest.partition("}")
    return digit if box and closing else None


def _operation(rng: random.Random) -> tuple[str, int]:
    operator = rng.choice("+-x")
    # Times 0 or 1 would hide what came before it or do nothing.
    return operator, rng.randint(2 if operator == "x" else 1, 9)


def _chain(operations: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{WORDS[operator]} {operand}" for operator, operand in operations)


def _leaves(opener: str, problem: Problem, first: int, last: int) -> str:
    """One sentence that takes the operations `first` to `last` (excluded)."""
    chain, values = _chain(problem.operations[first:last]), problem.values
    return f"{opener} {values[first]} {chain} leaves {values[last]}."


def _teacher_lines(problem: Problem, rng: random.Random) -> list[str]:
    """Plan sentences, explicit steps, some checks, now and then a jump over two operations."""
    count = len(problem.operations)
    plan = [
        "Let me plan this first.",
        f"There are {COUNTS[count]} operations.",
        "Only the last digit matters.",
        "I go from left to right.",
    ]
    lines = [line for line in plan if rng.random() < 0.5]
    done = 0
    while done < count:
        if count - done >= 2 and rng.random() < 0.15:
            lines.append(_leaves("So", problem, done, done + 2))
            done += 2
            continue
        lines.append(
            _leaves(rng.choice(("First" if done == 0 else "Then", "Now")), problem, done, done + 1)
        )
        if rng.random() < 0.35:
            lines.append(_check(problem, done))
        done += 1
    return lines


def _check(problem: Problem, step: int) -> str:
    """The step undone, or its factors exchanged."""
    (operator, operand), before, after = problem.operations[step], *problem.values[step : step + 2]
    if operator == "x":
        return f"Check that {operand} times {before} leaves {after}."
    undo = "minus" if operator == "+" else "plus"
    return f"Check that {after} {undo} {operand} leaves {before}."


def _student_lines(problem: Problem, rng: random.Random) -> list[str]:
    """One to three operations a sentence, no plan, no check."""
    lines, done, count = [], 0, len(problem.operations)
    while done < count:
        size = rng.randint(1, min(3, count - done))
        lines.append(_leaves("So", problem, done, done + size))
        done += size
    return lines
