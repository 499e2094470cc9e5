from pathlib import Path

import pytest
from transformers import AutoTokenizer

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.turn_end import end_of_turn

STUDENT = Path(__file__).resolve().parents[2] / "examples" / "miniature" / "student"
PLAIN = "{% for message in messages %}{{ message.content + '\\n' }}{% endfor %}"


def encoder(**changed):
    tokenizer = AutoTokenizer.from_pretrained(STUDENT)
    for name, value in changed.items():
        setattr(tokenizer, name, value)
    return TraceEncoder(tokenizer, {})


def test_it_is_what_the_template_writes_behind_the_turn():
    found = encoder(
        eos_token="<|endoftext|>"
    )  # as a base model has it, with its sibling's template
    assert found.tokenizer.convert_ids_to_tokens(end_of_turn(found)) == "<|im_end|>"


def test_a_template_that_writes_none_leaves_it_to_the_tokenizer():
    found = encoder(chat_template=PLAIN)
    assert end_of_turn(found) == found.tokenizer.eos_token_id


def test_without_either_a_model_would_never_stop():
    with pytest.raises(ModelError, match="would never stop"):
        end_of_turn(encoder(chat_template=PLAIN, eos_token=None))
