"""The token that ends a model's turn, as its chat template writes it."""

from typing import Any

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS, TraceEncoder
from rdpt_ray.scoring.envelope_probe import ANSWERED, ASKED


def end_of_turn(encoder: TraceEncoder) -> int:
    """The first control token behind what the assistant says, or the tokenizer's end token.

    A base model's end token is often another one than its chat sibling's template writes.

    Raises:
        ModelError: if neither is there.
    """
    tokenizer = encoder.tokenizer
    turns = [ASKED, {"role": "assistant", "content": ANSWERED}]
    try:
        said = encoder.render(turns, generation_prompt=False)
    except TEMPLATE_FAULTS:
        said = ""
    _, _, behind = said.rpartition(ANSWERED)
    if said and behind:
        for each in tokenizer.encode(behind, add_special_tokens=False, verbose=False):
            if each in encoder.control_ids:
                return each
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"tokenizer of {tokenizer.name_or_path} has no end token, and its chat template writes none"
            " behind the assistant's turn: a model trained with it would never stop; set eos_token"
        )
    eos: Any = tokenizer.eos_token_id
    return eos
