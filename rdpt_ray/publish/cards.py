"""Traces as cards: every sentence with its class and what it says about itself, cut to a budget.

The budget is shared by all cards of a page, so that the page stays below its size limit whatever
the dataset holds; what is left out is counted and said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from rdpt_ray.method.summary import UNSCORED, Example
from rdpt_ray.publish.untrusted import clip, shorten


@dataclass(frozen=True, slots=True)
class Budget:
    """What one card may show."""

    sentences: int
    response_chars: int
    sentence_chars: int
    prompt_chars: int
    answer_chars: int


def budget_for(num_cards: int, share: float = 1.0) -> Budget:
    """The budget of each of `num_cards` cards.

    A shown character takes at most 5 bytes of the page and a sentence 300 more, so all cards
    together stay below 5 * 440,000 + 300 * 8,000 bytes = 4.6 MB.

    Args:
        num_cards: How many share it.
        share: How much of those 4.6 MB they may take.
    """

    def each(total: int) -> int:
        return int(share * total) // max(num_cards, 1)

    return Budget(
        sentences=min(400, each(8_000)),
        response_chars=min(15_000, each(300_000)),
        sentence_chars=2_000,
        prompt_chars=min(4_000, each(100_000)),
        answer_chars=min(1_000, each(40_000)),
    )


@dataclass(frozen=True, slots=True)
class Clipped:
    """The beginning of a text, ready to be shown, and how many characters are missing."""

    text: str
    left_out: int

    @property
    def is_long(self) -> bool:
        """Whether it is to scroll in its own box."""
        return len(self.text) > 600


@dataclass(frozen=True, slots=True)
class ShownSentence:
    """One sentence of a card."""

    name: str
    """Its class, or UNSCORED."""
    before: str
    text: str
    after: str
    """`before` and `after` are its white space, which is not coloured."""
    left_out: int
    """Characters that are not shown."""
    title: str
    """Class and probabilities in words."""


@dataclass(frozen=True, slots=True)
class Card:
    """One trace, ready to be shown."""

    trace_id: str
    prompt: Clipped
    answer: Clipped | None
    sentences: tuple[ShownSentence, ...]
    num_sentences: int
    """Of the whole trace, shown or not."""
    num_teacher: int
    share: float
    selected: bool
    sentences_left_out: int
    chars_left_out: int
    """In the sentences left out."""

    @property
    def is_long(self) -> bool:
        """Whether the response is to scroll in its own box."""
        return sum(len(sentence.text) for sentence in self.sentences) > 1_800


def make_card(example: Example, budget: Budget) -> Card:
    """An example cut to its budget, with all its text made visible (not yet escaped)."""
    shown: list[ShownSentence] = []
    left = budget.response_chars
    for index, (start, end) in enumerate(example.sentences[: budget.sentences]):
        if left <= 0:
            break
        text, left_out = clip(example.response[start:end], min(budget.sentence_chars, left))
        left -= len(text)
        inked = text.lstrip() or text
        ink = inked.rstrip() or inked
        shown.append(
            ShownSentence(
                name=example.classes[index] or UNSCORED,
                before=text[: len(text) - len(inked)],
                text=ink,
                after=inked[len(ink) :],
                left_out=left_out,
                title=_title(example, index),
            )
        )
    rest = example.sentences[len(shown) :]
    answer = example.reference_answer
    return Card(
        trace_id=shorten(example.trace_id, 80),
        prompt=Clipped(*clip(example.prompt, budget.prompt_chars)),
        answer=None if answer is None else Clipped(*clip(answer, budget.answer_chars)),
        sentences=tuple(shown),
        num_sentences=len(example.sentences),
        num_teacher=example.num_teacher,
        share=example.teacher_share,
        selected=example.selected,
        sentences_left_out=len(rest),
        chars_left_out=sum(end - start for start, end in rest),
    )


def _title(example: Example, index: int) -> str:
    name = (example.classes[index] or UNSCORED).capitalize()
    roles = [("teacher", example.teacher_prob), ("student", example.student_prob)]
    if example.distilled_prob is not None:
        roles.append(("distilled", example.distilled_prob))
    probs = ", ".join(f"{role} {_prob(values, index)}" for role, values in roles)
    return f"{name}. Probability: {probs}"


def _prob(values: Sequence[float | None], index: int) -> str:
    value = values[index]
    return "none" if value is None or isnan(value) else f"{value:.2f}"
