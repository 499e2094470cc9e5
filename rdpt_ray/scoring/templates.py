"""Chat templates: programs from a model's repository, run on untrusted text."""

from datetime import date
from pathlib import Path

import fsspec
import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser

from rdpt_ray.errors import ModelError

TODAY = date(2024, 7, 26)
"""The date that every template is told. Many ask for the current one (Llama 3, gpt-oss, SmolLM3), and
scores would change overnight under the same key. This day is Llama 3's own where it is told none. The key
holds it by the engine's number: whoever changes it raises every number in `loading.SEMANTICS`."""

DATE_FORMATS = ("%Y", "%m", "%d", "%B", "%b", "%A", "%a", "%y", "%j", "%H", "%I", "%M", "%S", "%p")


def with_fixed_date(template: str) -> str:
    """The template with `strftime_now` answering for TODAY; unchanged if it never asks.

    A macro of that name stands before the one transformers would provide.
    """
    if "strftime_now" not in template:
        return template
    replacements = "".join(f"|replace('{code}','{TODAY.strftime(code)}')" for code in DATE_FORMATS)
    macro = f"{{%- macro strftime_now(format) -%}}{{{{ format{replacements} }}}}{{%- endmacro +%}}"
    return macro + template


def read_template(uri: str | Path) -> str:
    """The text of a Jinja chat template.

    Raises:
        ModelError: if the file cannot be read or is not valid Jinja.
    """
    try:
        with fsspec.open(str(uri), "rt", encoding="utf-8") as file:
            source = file.read()  # pyright: ignore[reportAttributeAccessIssue]
        jinja2.Environment(extensions=["jinja2.ext.loopcontrols", _GenerationTag]).parse(source)
    except (OSError, ValueError, ImportError, jinja2.TemplateSyntaxError) as error:
        raise ModelError(f"chat_template {uri}: {error}") from error
    return source


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}`, which marks what trainers learn from; transformers knows it, Jinja does not."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's interface)

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
