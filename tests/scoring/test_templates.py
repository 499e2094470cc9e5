from datetime import date

import fsspec
import pytest

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.templates import TODAY, read_template, with_fixed_date

LLAMA3 = (
    "{%- if not date_string is defined %}\n"
    "    {%- if strftime_now is defined %}\n"
    '        {%- set date_string = strftime_now("%d %b %Y") %}\n'
    "    {%- else %}\n"
    '        {%- set date_string = "26 Jul 2024" %}\n'
    "    {%- endif %}\n"
    "{%- endif %}\n"
    "{{- 'Today Date: ' + date_string }}"
)
IN_A_MACRO = (
    "{%- macro system() -%}Current date: {{ strftime_now('%Y-%m-%d') }}{%- endmacro -%}"
    "{{ system() }}"
)


def rendered(kinds, template, **kwargs):
    tokenizer = kinds["gpt-2"].tokenizer(template)
    ids = (
        TraceEncoder(tokenizer, kwargs)
        .encode([{"role": "user", "content": "x"}], "x")
        .sequence.prompt_ids
    )
    return tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (LLAMA3, "Today Date: 26 Jul 2024"),
        (IN_A_MACRO, "Current date: 2024-07-26"),
        ("\n  {{ strftime_now('%A, %B %d, %Y') }} x", "\n  Friday, July 26, 2024 x"),
        ("{% for m in messages %}{{ strftime_now('%H:%M') }}{% endfor %}", "00:00"),
    ],
)
def test_every_template_is_told_the_same_day(kinds, template, expected):
    assert rendered(kinds, template) == expected


def test_a_date_given_as_an_argument_wins(kinds):
    assert rendered(kinds, LLAMA3, date_string="1 Jan 2030") == "Today Date: 1 Jan 2030"


def test_a_template_that_asks_for_no_date_is_left_alone():
    assert with_fixed_date("{{ messages }}\n") == "{{ messages }}\n"
    assert date(2024, 7, 26) == TODAY


def test_reading_a_file_and_any_address(tmp_path):
    source = "{% for m in messages %}{{ m.content }} caf\u00e9{% break %}{% endfor %}\n"
    path = tmp_path / "chat.jinja"
    path.write_text(source, encoding="utf-8")
    with fsspec.open("memory://templates/chat.jinja", "w", encoding="utf-8") as file:
        file.write(source)
    for uri in (path, str(path), "memory://templates/chat.jinja"):
        assert read_template(uri) == source


def test_the_marks_that_trainers_need_are_no_fault(tmp_path, kinds):
    source = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}!{% endif %}{% endfor %}"
    )
    path = tmp_path / "chat.jinja"
    path.write_text(source)
    assert rendered(kinds, read_template(path)) == "x!"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{% for m in messages %}", "endfor"),
        (b"{{ messages[0] ", "print statement"),
        (b"{% nosuch %}", "nosuch"),
        (b"{% generation %}x", "endgeneration"),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_what_is_no_template_is_named(tmp_path, content, said):
    path = tmp_path / "chat.jinja"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said) as caught:
        read_template(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("uri", ["/no/such/chat.jinja", "nosuch://x/chat.jinja", "/tmp"])
def test_a_template_that_cannot_be_read_is_named(uri):
    with pytest.raises(ModelError, match=f"chat_template {uri}"):
        read_template(uri)
