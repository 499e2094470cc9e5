"""Token ids to the text of a response as its model wrote it; where a model ends its turn.

The text is such that ingestion reads it as it reads any data set: the markup of reasoning stays, also where
the generation prompt had opened it, and every other control token goes.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.scoring.turn_end import end_of_turn
from rdpt_ray.storage.markup import TAGS

OPENERS = ("<think>", "<|begin_of_thought|>")
"""Markup that a generation prompt may end with, for the model to write the reasoning at once."""

HARMONY = ("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|return|>")
"""What a conversation of channels is made of, where a tokenizer has them all."""

END_TOKENS = 16
"""Of a prompt, in which an opener and the blanks behind it lie."""


class Writer:
    """Makes the text of a response of the ids that were drawn."""

    def __init__(self, encoder: TraceEncoder) -> None:
        """Know the tokenizer.

        Args:
            encoder: Its tokenizer and template.
        """
        self._tokenizer = encoder.tokenizer
        vocabulary = self._tokenizer.get_vocab()
        kept = {*TAGS, *(HARMONY if {"<|channel|>", "<|message|>"} <= vocabulary.keys() else ())}
        self._dropped = encoder.control_ids - {vocabulary[tag] for tag in kept & vocabulary.keys()}

    def opened(self, prompt_ids: Sequence[int]) -> str:
        """The markup that a rendered prompt has opened for the model, with the blanks behind it."""
        text = self._decode(prompt_ids[-END_TOKENS:])
        bare = text.rstrip()
        opener = next((tag for tag in OPENERS if bare.endswith(tag)), None)
        return "" if opener is None else text[len(bare) - len(opener) :]

    def text(self, token_ids: Iterable[int], *, is_ended: bool) -> str:
        """What a model wrote.

        Args:
            token_ids: As drawn.
            is_ended: Whether the last of them ends the turn, and is no text.
        """
        ids = list(token_ids)
        text = self._decode([i for i in (ids[:-1] if is_ended else ids) if i not in self._dropped])
        return text if is_ended else text.rstrip("\ufffd")  # a character that was cut in half

    def _decode(self, token_ids: Sequence[int]) -> str:
        text: Any = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


def end_ids(identity: ModelIdentity, encoder: TraceEncoder) -> list[int]:
    """Tokens that end a model's turn: by its generation config, its tokenizer and its chat template.

    Args:
        identity: The model pinned down.
        encoder: Its tokenizer and template.

    Raises:
        ModelError: if nothing says how a turn ends.
    """
    from transformers import AutoConfig, GenerationConfig

    of_tokenizer: Any = encoder.tokenizer.eos_token_id
    found: set[int | None] = {of_tokenizer}
    with suppress(ModelError):  # there is neither; the config may still say it
        found.add(end_of_turn(encoder))
    revision: Any = identity.revision
    try:
        told: Any = GenerationConfig.from_pretrained(
            identity.location, revision=revision
        ).eos_token_id
    except OSError:  # there is no such file
        model: Any = AutoConfig.from_pretrained(
            identity.location, revision=revision, trust_remote_code=False
        )
        told = getattr(model.get_text_config(), "eos_token_id", None)
    found |= set(told) if isinstance(told, list) else {told}
    ends = sorted(index for index in found if index is not None)
    if not ends:
        raise ModelError(
            f"model {identity.model}: neither its generation_config.json nor its tokenizer names an end token"
            " (eos_token), so no response would ever end; name one there"
        )
    return ends
