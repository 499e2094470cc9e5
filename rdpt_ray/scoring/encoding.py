"""Messages and response to token ids, the way each model itself would read them.

The prompt is rendered by the model's own chat template with the generation prompt on; the canonical
response follows, tokenised on its own, and the ids are concatenated. So the boundary is the same for
every model, and no template ever rewrites the scored text (docs/method.md, "What a model reads"). Where
the model expects markup around reasoning and answer, it reads it, unscored (docs/templates.md).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
import numpy as np
from numpy.typing import NDArray

from rdpt_ray.errors import ModelError
from rdpt_ray.method.alignment import Span
from rdpt_ray.scoring.engine import TokenSequence
from rdpt_ray.scoring.envelopes import (
    NONE,
    Envelope,
    before_answer,
    before_reasoning,
    halves,
    is_closed,
)
from rdpt_ray.scoring.offsets import repair
from rdpt_ray.scoring.templates import with_fixed_date
from rdpt_ray.scoring.traces import Message

if TYPE_CHECKING:
    from transformers import AddedToken, PreTrainedTokenizerBase

TEMPLATE_FAULTS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What `encode` can raise: a template is a program from the model's repository, run on untrusted text."""

UNPROMPTED: list[Message] = [{"role": "user", "content": ""}]
"""What a model reads in the place of a prompt, where the response is to be read without it (IFD)."""

BLANKS = 16
"""Tokens of white space that may follow a generation prompt's markup; templates write one or two."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One trace as token ids."""

    sequence: TokenSequence
    """Markup before the first of the response's own tokens is counted to the prompt."""
    own: NDArray[np.int64]
    """[R] which of the sequence's response tokens are the response's own; the others are markup."""
    spans: NDArray[np.int64]
    """[R, 2] their character offsets in the response."""


class _Part(NamedTuple):
    """What of a response is tokenised in one go."""

    before: str
    """Markup that is read first."""
    span: Span
    """Characters of the response."""
    blanks: str = ""
    """White space that the markup behind it begins with. Most tokenizers have a token for a full stop with
    a line break, and a model that ends a line writes that one: it gives the stop alone next to nothing."""


class TraceEncoder:
    """A tokenizer with its chat template and envelope."""

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        template_kwargs: dict[str, Any],
        envelope: Envelope = NONE,
        *,
        reads_prompt: bool = True,
    ) -> None:
        """Wrap a loaded tokenizer; it is the encoder's from here on.

        Args:
            tokenizer: A fast tokenizer with a chat template.
            template_kwargs: Passed to the template at every rendering.
            envelope: What to put around the halves of every response.
            reads_prompt: False puts an empty user message in the place of every prompt.

        Raises:
            ModelError: if the tokenizer has no character offsets or no chat template.
        """
        name = tokenizer.name_or_path
        if not tokenizer.is_fast:
            raise ModelError(
                f"tokenizer of {name}: {type(tokenizer).__name__} gives no character"
                " offsets, so its tokens cannot be placed in sentences; provide a tokenizer.json"
            )
        if not tokenizer.chat_template:
            raise ModelError(
                f"tokenizer of {name} has no chat template; set `chat_template` of this model to a Jinja"
                " file (a base model can borrow its chat sibling's)"
            )
        try:
            template = tokenizer.get_chat_template()
        except ValueError as error:
            raise ModelError(
                f"tokenizer of {name} has several chat templates and none is named default; set"
                " `chat_template` of this model to a Jinja file"
            ) from error
        self._tokenizer = tokenizer
        self._template = with_fixed_date(template)
        self._template_kwargs = template_kwargs
        self._envelope = envelope
        self._reads_prompt = reads_prompt
        written = "\0".join([template, *filter(None, envelope.texts)])
        self._control_ids = _mark_control_tokens(tokenizer, written)

    def render(self, messages: list[dict[str, Any]], *, generation_prompt: bool) -> str:
        """What the template makes of trusted messages, as text.

        Raises:
            Exception: one of TEMPLATE_FAULTS, if the template refuses them.
        """
        rendered: Any = self._tokenizer.apply_chat_template(
            messages,
            chat_template=self._template,
            add_generation_prompt=generation_prompt,
            tokenize=False,
            **self._template_kwargs,
        )
        return rendered

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer, with every control token known as one."""
        return self._tokenizer

    @property
    def control_ids(self) -> frozenset[int]:
        """Of the special tokens and those that template and envelope write."""
        return self._control_ids

    def prompt_ids(self, messages: list[Message]) -> list[int]:
        """A prompt as the model reads it before it writes. Control tokens inside the texts are plain text.

        Raises:
            Exception: one of TEMPLATE_FAULTS, if the template refuses the messages.
        """
        rendered: Any = self._tokenizer.apply_chat_template(
            messages if self._reads_prompt else UNPROMPTED,
            chat_template=self._template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
            sanitize_control_tokens=True,
            **self._template_kwargs,
        )
        return list(rendered)

    def encode(self, messages: list[Message], response: str, answer_start: int = 0) -> Encoded:
        """Token ids of one trace. Control tokens inside the texts are encoded as plain text.

        Args:
            messages: The prompt, each with `role` and `content`.
            response: The canonical response.
            answer_start: Where in it the answer begins; 0 without reasoning, its length without an answer.

        Raises:
            Exception: one of TEMPLATE_FAULTS, if the template refuses the messages (an unknown role, say)
                or the tokenizer reads text as a control token whatever it is told.
        """
        prompt_ids = self.prompt_ids(messages)
        response_ids: list[int] = []
        own: list[NDArray[np.int64]] = []
        spans: list[NDArray[np.int64]] = []
        for part in self._layout(prompt_ids, response, answer_start):
            (response_ids if own else prompt_ids).extend(self._markup_ids(part.before))
            ids, places = self._encode_part(response, part)
            own.append(np.arange(len(response_ids), len(response_ids) + len(places)))
            spans.append(places)
            response_ids += ids
        sequence = TokenSequence(prompt_ids, response_ids)
        return Encoded(sequence, np.concatenate(own), np.concatenate(spans))

    def _layout(self, prompt_ids: list[int], response: str, answer_start: int) -> list[_Part]:
        """The parts of a response that are tokenised on their own."""
        envelope = self._envelope
        prompt = "" if envelope.is_empty else self._end_of(prompt_ids)
        if envelope.is_empty or is_closed(prompt, envelope):
            return [_Part("", (0, len(response)))]
        reasoning, answer = halves(response, answer_start)
        if reasoning == (0, 0):
            return [_Part(before_answer(prompt, envelope), answer)]
        opener, close = before_reasoning(prompt, envelope), envelope.think_close
        if answer[0] == answer[1]:
            return [_Part(opener, reasoning)]
        tags = close.lstrip()
        blanks = close[: len(close) - len(tags)]
        return [_Part(opener, reasoning, blanks), _Part(tags, answer)]

    def _end_of(self, prompt_ids: list[int]) -> str:
        """Enough of a prompt's text to see whether it ends with markup: no token is less than a byte."""
        num_bytes = len("".join(filter(None, self._envelope.texts)).encode())
        text: Any = self._tokenizer.decode(
            prompt_ids[-num_bytes - BLANKS :],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        return text

    def _markup_ids(self, markup: str) -> list[int]:
        return self._tokenizer.encode(markup, add_special_tokens=False, verbose=False)

    def _encode_part(self, response: str, part: _Part) -> tuple[list[int], NDArray[np.int64]]:
        """Ids of a part, and the offsets in the whole response of its own tokens, which come first."""
        start, end = part.span
        text = response[start:end] + part.blanks
        encoding = self._tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        response_ids: list[int] = encoding["input_ids"]
        forged = self._control_ids.intersection(response_ids)
        if forged:
            tokens = self._tokenizer.convert_ids_to_tokens(sorted(forged))
            raise ValueError(f"the tokenizer reads {tokens} in the response even as plain text")
        spans = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        spans = np.minimum(repair(text, spans) + start, end)
        return response_ids, spans[spans[:, 0] < end] if part.blanks else spans


def _mark_control_tokens(tokenizer: "PreTrainedTokenizerBase", written: str) -> frozenset[int]:
    """Have every control token known as one, so that `split_special_tokens` covers it; returns their ids.

    Control tokens are the special ones and those that template and envelope write, as transformers has it for
    prompts (`sanitize_control_tokens`): many models do not flag their turn markers as special.
    """
    control: dict[int, AddedToken] = {
        index: token
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special or (token.content in written and not token.content.isspace())
    }
    unflagged = [token for token in control.values() if not token.special]
    tokenizer.add_tokens(unflagged, special_tokens=True)
    return frozenset(index for index in control if index != tokenizer.unk_token_id)


def load_encoder(
    model: str,
    revision: str | None,
    chat_template: str | None,
    template_kwargs: dict[str, Any],
    envelope: Envelope = NONE,
    *,
    reads_prompt: bool = True,
) -> TraceEncoder:
    """The encoder of a local folder or Hub model.

    Args:
        model: Local folder or Hub id.
        revision: Commit of a Hub model.
        chat_template: Text of a Jinja template that replaces the tokenizer's own, or None.
        template_kwargs: Passed to the template.
        envelope: What to put around the halves of every response.
        reads_prompt: False puts an empty user message in the place of every prompt.

    Raises:
        ModelError: if there is no usable tokenizer, naming the model.
    """
    from transformers import AutoTokenizer  # two seconds, which a task without a model does not pay

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"model {model}: its tokenizer cannot be loaded: {error}") from error
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return TraceEncoder(tokenizer, template_kwargs, envelope, reads_prompt=reads_prompt)
