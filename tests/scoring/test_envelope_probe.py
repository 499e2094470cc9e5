import pytest

from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.envelope_probe import probe_envelope
from rdpt_ray.scoring.envelopes import NONE, THINK, Envelope

PROMPT = (
    "{% if add_generation_prompt %}<|im_start|>assistant\n{{ opener | default('') }}{% endif %}"
)
TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'user' %}{{ m.content }}"
FIELD = (
    TURNS + "{% else %}{% if m.reasoning_content %}[T]{{ m.reasoning_content }}[/T] {% endif %}"
    "{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}" + PROMPT
)
BLOCKS = FIELD.replace("[T]", "<think>\n").replace("[/T] ", "\n</think>\n\n")
DROPPED = (
    TURNS
    + "{% else %}{{ m.content.split('</think>')[-1] }}{% endif %}<|im_end|>\n{% endfor %}"
    + PROMPT
)
VERBATIM = TURNS + "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}" + PROMPT


def probed(kinds, template, **kwargs):
    return probe_envelope(TraceEncoder(kinds["gpt-2"].tokenizer(template), kwargs).render)


def test_markup_is_read_where_the_template_writes_it(kinds):
    assert probed(kinds, FIELD) == Envelope("template", "[T]", "[/T] ", "")
    assert probed(kinds, BLOCKS).texts == (*THINK.texts[:2], "")


def test_what_the_generation_prompt_opens_belongs_to_the_opener(kinds):
    assert probed(kinds, BLOCKS, opener="<think>\n") == THINK
    assert probed(kinds, BLOCKS, opener="<think>\n\n</think>\n\n") == NONE


def test_a_template_that_drops_reasoning_knows_it(kinds):
    assert probed(kinds, DROPPED) == THINK
    assert probed(kinds, VERBATIM, opener="<think>") == THINK


def test_a_template_that_knows_no_reasoning_gets_none(kinds):
    assert probed(kinds, VERBATIM) == NONE
    assert probed(kinds, VERBATIM.replace("m.content", "m | tojson")) == NONE


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no') }}",
        "{% for m in messages %}{{ m.content.nothing.there }}{% endfor %}",
        "",
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('no') }}{% endif %}"
        "{{ m.content }}{% endfor %}",
    ],
)
def test_a_template_that_fails_says_nothing(kinds, template):
    if template:
        assert probed(kinds, template) == NONE
    assert probe_envelope(lambda messages, *, generation_prompt: template) == NONE


def test_the_dropped_answer_is_no_sign(kinds):
    users_only = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}" + PROMPT
    assert probed(kinds, users_only) == NONE
