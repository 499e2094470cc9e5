"""Recorded token ids against the canonical response: which token is which part of it.

A recording holds what the model sampled, markup included: `<think>`, the channels of a harmony
conversation, the token that ends the turn. The canonical response holds the text between them, stripped.
So the ids are decoded with their offsets, markup is taken out, and what is left must be the response,
character by character; only the white space where markup was may differ.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers.decoders import DecodeStream

from rdpt_ray.errors import ModelError
from rdpt_ray.method.alignment import Span, first_inked

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MARKUP_TAG = re.compile("<(?:/?think>|\\|(?:begin|end)_of_(?:thought|solution)\\|>)")
"""What canonicalisation takes out of texts (`storage.markup`), where it is no control token."""

HEADER_OPENS = frozenset({"<|start|>", "<|channel|>"})
HEADER_ENDS = "<|message|>"
"""Between these, harmony's names of roles and channels are markup as well."""

SHOWN_CHARS = 30


class RecordedTokenizer:
    """The tokenizer that a recording was made with."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        """Wrap a loaded tokenizer; it needs no chat template.

        Control tokens are the special ones and those that the template writes, as for prompts.
        """
        template = tokenizer.chat_template
        written = template if isinstance(template, str) else ""
        self._backend = tokenizer.backend_tokenizer
        self._known = frozenset(tokenizer.get_vocab().values())
        self._control = {
            index: token.content
            for index, token in tokenizer.added_tokens_decoder.items()
            if token.special or (token.content in written and not token.content.isspace())
        }

    def place(
        self, response: str, token_ids: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the tokens of a response.

        Args:
            response: The canonical response.
            token_ids: As recorded, markup included.

        Returns:
            Where in `token_ids` the R tokens of the response are, [R], and their half-open character
            spans in the response, [R, 2]. A token is one of the response if its first non-blank
            character is; white space beside markup is markup. Tokens that share a character, or of which
            only several together decode, share their span.

        Raises:
            ValueError: saying where the two differ, or which id the tokenizer does not know.
        """
        unknown = next((index for index in token_ids if index not in self._known), None)
        if unknown is not None:
            raise ValueError(f"the tokenizer has no token {unknown}")
        text, spans, markup = self._decode(token_ids)
        kept = list(_between(text, markup))
        starts = _align(response, text, kept)
        return _project(text, spans, kept, starts)

    def _decode(self, token_ids: Sequence[int]) -> tuple[str, NDArray[np.int64], list[Span]]:
        """The text, each token's span [tokens, 2] in it, and the spans of markup, in order."""
        stream = DecodeStream(skip_special_tokens=False)
        pieces: list[str] = []
        spans = np.zeros((len(token_ids), 2), np.int64)
        markup: list[Span] = []
        end = first_waiting = 0
        in_header = False
        for place, index in enumerate(token_ids):
            control = self._control.get(index)
            piece = stream.step(self._backend, index)
            if piece is None:  # nothing to show before the next token: half a character, say
                continue
            start, end = end, end + len(piece)
            pieces.append(piece)
            spans[first_waiting : place + 1] = start, end
            first_waiting = place + 1
            in_header = in_header or control in HEADER_OPENS
            if control is not None or in_header:
                markup.append((start, end))
            in_header = in_header and control != HEADER_ENDS
        spans[first_waiting:] = end, end
        text = "".join(pieces)
        tags = [tag.span() for tag in MARKUP_TAG.finditer(text)]
        return text, spans, sorted([*markup, *tags])


def load_recorded_tokenizer(model: str, revision: str | None) -> RecordedTokenizer:
    """The tokenizer of a local folder or Hub model.

    Raises:
        ModelError: if there is none, or none that decodes as it goes.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"model {model}: its tokenizer cannot be loaded: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(
            f"tokenizer of {model}: {type(tokenizer).__name__} gives no character offsets; provide a"
            " tokenizer.json"
        )
    return RecordedTokenizer(tokenizer)


def _between(text: str, markup: list[Span]) -> Iterator[Span]:
    """What is left of a text without markup, stripped of white space."""
    begin = 0
    for start, end in [*markup, (len(text), len(text))]:
        piece = text[begin:start]
        if piece.strip():
            inner = begin + len(piece) - len(piece.lstrip())
            yield inner, inner + len(piece.strip())
        begin = max(begin, end)


def _align(response: str, text: str, kept: list[Span]) -> list[int]:
    """Where in the response each kept span of the text starts; they must be all of it, in order."""
    starts: list[int] = []
    at = 0
    for start, end in kept:
        piece = text[start:end]
        while at < len(response) and response[at].isspace() and starts:
            at += 1
        if not response.startswith(piece, at):
            same = next(
                (
                    i
                    for i, pair in enumerate(zip(piece, response[at:], strict=False))
                    if pair[0] != pair[1]
                ),
                min(len(piece), len(response) - at),
            )
            raise ValueError(_difference(response, at + same, piece[same:]))
        starts.append(at)
        at += len(piece)
    if response[at:].strip():
        raise ValueError(_difference(response, at, ""))
    return starts


def _difference(response: str, at: int, recorded: str) -> str:
    def shown(text: str) -> str:
        return ascii(text[:SHOWN_CHARS]) if text else "nothing more"

    return (
        f"at character {at} of {len(response)} the response has {shown(response[at:])}, the recorded"
        f" tokens have {shown(recorded)}"
    )


def _project(
    text: str, spans: NDArray[np.int64], kept: list[Span], starts: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tokens whose first non-blank character is kept, and their spans in the response."""
    if not kept:
        return np.empty(0, np.int64), np.empty((0, 2), np.int64)
    begins, ends = np.array(kept, np.int64).T
    shift = np.array(starts, np.int64) - begins
    first = first_inked(text, spans)
    piece = np.searchsorted(begins, first, side="right") - 1
    inside = (piece >= 0) & (first < ends[piece]) & (spans[:, 0] < spans[:, 1])
    places = np.flatnonzero(inside)
    piece = piece[places]
    edges = np.clip(spans[places], begins[piece][:, None], ends[piece][:, None])
    return places, edges + shift[piece][:, None]
