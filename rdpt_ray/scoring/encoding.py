"""Messages and response to token ids, the way each model itself would read them.

The prompt is rendered by the model's own chat template with the generation prompt on; the canonical
response follows, tokenised on its own, and the ids are concatenated. So the boundary is the same for
every model, and no template ever rewrites the scored text (docs/method.md, "What a model reads").
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import jinja2
import numpy as np
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.engine import TokenSequence

Message = dict[str, str]

TEMPLATE_FAULTS = (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError)
"""What rendering can raise: a template is a program from the model's repository, run on untrusted text."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One trace as token ids."""

    sequence: TokenSequence
    spans: NDArray[np.int64]
    """[R, 2] character offsets of the response's tokens in the response."""


class TraceEncoder:
    """A tokenizer with its chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template_kwargs: dict[str, Any]) -> None:
        """Wrap a loaded tokenizer.

        Args:
            tokenizer: A fast tokenizer with a chat template.
            template_kwargs: Passed to the template at every rendering.

        Raises:
            ModelError: if the tokenizer has no character offsets or no chat template.
        """
        if not tokenizer.is_fast:
            raise ModelError(
                f"tokenizer of {tokenizer.name_or_path}: {type(tokenizer).__name__} gives no character"
                " offsets, so its tokens cannot be placed in sentences; provide a tokenizer.json"
            )
        if not tokenizer.chat_template:
            raise ModelError(
                f"tokenizer of {tokenizer.name_or_path} has no chat template; set `chat_template` of"
                " this model to a Jinja file (a base model can borrow its chat sibling's)"
            )
        self._tokenizer = tokenizer
        self._template_kwargs = template_kwargs

    def encode(self, messages: list[Message], response: str) -> Encoded:
        """Token ids of one trace. Control tokens inside the texts are encoded as plain text.

        Args:
            messages: The prompt, each with `role` and `content`.
            response: The canonical response.

        Raises:
            Exception: one of TEMPLATE_FAULTS, if the template refuses the messages (an unknown role, say).
        """
        prompt_ids: Any = self._tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
            sanitize_control_tokens=True,
            **self._template_kwargs,
        )
        encoding = self._tokenizer(
            response,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        spans = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        return Encoded(TokenSequence(list(prompt_ids), list(encoding["input_ids"])), spans)


def load_encoder(
    model: str, revision: str | None, chat_template: str | None, template_kwargs: dict[str, Any]
) -> TraceEncoder:
    """The encoder of a local folder or Hub model.

    Args:
        model: Local folder or Hub id.
        revision: Commit of a Hub model.
        chat_template: Path or URI of a Jinja file that replaces the tokenizer's own, or None.
        template_kwargs: Passed to the template.

    Raises:
        ModelError: if there is no usable tokenizer, naming the model.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"model {model}: its tokenizer cannot be loaded: {error}") from error
    if chat_template is not None:
        tokenizer.chat_template = read_template(chat_template)
    return TraceEncoder(tokenizer, template_kwargs)


def read_template(uri: str | Path) -> str:
    """The text of a Jinja chat template.

    Raises:
        ModelError: if the file cannot be read or is not valid Jinja.
    """
    try:
        with fsspec.open(str(uri), "rt", encoding="utf-8") as file:
            source = file.read()  # pyright: ignore[reportAttributeAccessIssue]
        jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(source)
    except (OSError, UnicodeDecodeError, jinja2.TemplateSyntaxError) as error:
        raise ModelError(f"chat_template {uri}: {error}") from error
    return source
