"""The markup a model expects around the two halves of a response: what it would itself have written.

A canonical response is reasoning and answer without markup. Each model reads them inside its own family's
markup, and only the halves' own characters are scored. Which family writes what is data, below; where a
chat template shows it, it is read there (`envelope_probe`).
"""

from dataclasses import dataclass

from rdpt_ray.method.alignment import Span
from rdpt_ray.model_config import EnvelopeConfig, EnvelopeName


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around the halves. Its text is ours, so control tokens in it are control tokens."""

    name: str
    """Of the row below that holds the same text; "template" or "config" if none does."""
    think_open: str = ""
    """Between the generation prompt and the reasoning."""
    think_close: str = ""
    """Between the reasoning and the answer."""
    answer_open: str | None = None
    """Between the generation prompt and an answer without reasoning; None: an empty block, opened and
    closed."""

    @property
    def is_empty(self) -> bool:
        """Nothing is put anywhere."""
        return not (self.think_open or self.think_close or self.answer_open)

    @property
    def texts(self) -> tuple[str, str, str | None]:
        """All that changes a score: what `name` stands for."""
        return self.think_open, self.think_close, self.answer_open


NONE = Envelope("none")
THINK = Envelope("think", "<think>\n", "\n</think>\n\n")

_ROWS = [
    NONE,
    THINK,
    Envelope("glm4", "\n<think>", "</think>\n"),
    Envelope("nemotron3_nano", "<think>\n", "\n</think>\n"),
    Envelope("nemotron3_ultra", "<think>\n", "</think>"),
    Envelope("lfm2_5", "<think>", "</think>", ""),
    Envelope("gemma4", "<|channel>thought\n", "\n<channel|>", ""),
    Envelope(
        "gpt_oss",
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|channel|>final<|message|>",
    ),
    Envelope(
        "muse_glimmer",
        " to=self<|message|>",
        "<|eom|><|start|>assistant to=user<|message|>",
        " to=user<|message|>",
    ),
]
ENVELOPES = {row.name: row for row in _ROWS}
"""Every family known, by the name that a config gives it (docs/templates.md says which models)."""


def envelope_of(texts: tuple[str, str, str | None], otherwise: str) -> Envelope:
    """The envelope of these texts, named as the table has it.

    Args:
        texts: As `Envelope.texts`.
        otherwise: Its name if no row holds the same.
    """
    think_open, think_close, answer_open = texts
    if answer_open == think_open + think_close:
        answer_open = None
    found = Envelope(otherwise, think_open, think_close, answer_open)
    if found.is_empty:
        return NONE
    return next((row for row in _ROWS if row.texts == found.texts), found)


def configured_envelope(envelope: EnvelopeName | EnvelopeConfig) -> Envelope | None:
    """The envelope that a config names or writes out; None for auto."""
    if isinstance(envelope, EnvelopeConfig):
        return envelope_of(
            (envelope.think_open, envelope.think_close, envelope.answer_open), "config"
        )
    return ENVELOPES.get(envelope)


def halves(response: str, answer_start: int) -> tuple[Span, Span]:
    """The characters of reasoning and answer; the white space between them is markup's place.

    Args:
        response: The canonical response.
        answer_start: Where its answer begins; 0 without reasoning, its length without an answer.

    Returns:
        Two half-open spans of `response`, either of them empty where there is no such half.
    """
    if not response[answer_start:].strip():
        return (0, len(response)), (len(response), len(response))
    reasoning_end = len(response[:answer_start].rstrip())
    return (0, reasoning_end), (answer_start if reasoning_end else 0, len(response))


def is_closed(prompt: str, envelope: Envelope) -> bool:
    """Whether a rendered prompt ends with reasoning that is over, as templates have it that switch it off."""
    return _ends_with(prompt, envelope.think_close)


def before_reasoning(prompt: str, envelope: Envelope) -> str:
    """What to put between a rendered prompt and the reasoning: the opener, or what the prompt lacks of it."""
    opener = envelope.think_open
    if not _ends_with(prompt, opener):
        return opener
    wanted, there = _blank_end(opener), _blank_end(prompt)
    return wanted.removeprefix(there) if wanted.startswith(there) else ""


def before_answer(prompt: str, envelope: Envelope) -> str:
    """What to put between a rendered prompt and an answer that no reasoning precedes."""
    if envelope.answer_open is None or _ends_with(prompt, envelope.think_open):
        return before_reasoning(prompt, envelope) + envelope.think_close
    return envelope.answer_open


def _ends_with(text: str, markup: str) -> bool:
    """Whether the last that is no blank in a text is this markup."""
    return bool(markup.strip()) and text.rstrip().endswith(markup.strip())


def _blank_end(text: str) -> str:
    return text[len(text.rstrip()) :]
