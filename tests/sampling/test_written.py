import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.sampling.loading import sampler_identity
from rdpt_ray.sampling.written import Writer, end_ids
from rdpt_ray.scoring.encoding import TraceEncoder
from tests.sampling.conftest import MINIATURE

HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}"
    "{% if m.role == 'assistant' %}<|return|>{% else %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)


def encoder_with(special, template=None):
    tokenizer = AutoTokenizer.from_pretrained(MINIATURE / "teacher")
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    tokenizer.chat_template = template or tokenizer.chat_template
    return TraceEncoder(tokenizer, {})


def ids_of(encoder, text):
    return encoder.tokenizer.encode(text, add_special_tokens=False)


def test_think_markup_stays_and_other_control_tokens_go():
    encoder = encoder_with([])
    writer = Writer(encoder)
    ids = ids_of(encoder, "So 4.\n</think>\n\n<|user|>Yes<|end|>")
    assert writer.text(ids, is_ended=True) == "So 4.\n</think>\n\nYes"
    assert writer.text(ids[:-2], is_ended=False).startswith("So 4.\n</think>\n\n")
    prompt = encoder.prompt_ids([{"role": "user", "content": "1 + 1?"}])
    assert writer.opened(prompt) == "<think>\n"
    assert writer.opened(ids_of(encoder, "<think>\n\n</think>\n\n")) == ""


def test_channels_stay_where_the_tokenizer_has_them():
    special = ["<|start|>", "<|channel|>", "<|message|>", "<|return|>"]
    encoder = encoder_with(special, HARMONY)
    text = (
        "<|channel|>analysis<|message|>So 4.<|end|><|start|>assistant<|channel|>final<|message|>4"
    )
    ids = ids_of(encoder, text + "<|return|>")
    writer = Writer(encoder)
    assert writer.text(ids, is_ended=True) == text
    assert writer.opened(encoder.prompt_ids([{"role": "user", "content": "?"}])) == ""


def test_half_a_character_at_the_cut_is_left_out():
    encoder = encoder_with([])
    ids = ids_of(encoder, "4 \u20ac")
    writer = Writer(encoder)
    assert writer.text(ids, is_ended=False) == "4 \u20ac"
    assert writer.text(ids[:-1], is_ended=False) == "4 "


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_turn_ends_with_what_the_model_says(role):
    identity = sampler_identity(ModelConfig(model=str(MINIATURE / role)), "transformers")
    tokenizer = AutoTokenizer.from_pretrained(MINIATURE / role)
    assert end_ids(identity, TraceEncoder(tokenizer, {})) == [tokenizer.eos_token_id]


def test_the_end_of_a_turn_in_the_template_counts_too():
    """A base model that was trained on another's template keeps its own end-of-text token in its config."""
    identity = sampler_identity(ModelConfig(model=str(MINIATURE / "teacher")), "transformers")
    encoder = encoder_with(["<|start|>", "<|channel|>", "<|message|>", "<|return|>"], HARMONY)
    found = end_ids(identity, encoder)
    assert encoder.tokenizer.convert_tokens_to_ids(["<|end|>", "<|return|>"]) == found
