r"""An answer without its dress: LaTeX wrappers, Markdown, Unicode variants of the same sign."""

import re
import unicodedata

_RAISED = str.maketrans(
    {
        sign: f"^{value}"
        for value, sign in enumerate("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    }
)
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63", "-"),
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
        "\u2044": "/",
        "\u00f7": "/",
        "\u00d7": "*",
        "\u00b7": "*",
        "\u22c5": "*",
        "\u2264": "<=",
        "\u2265": ">=",
        "\u2260": "!=",
        "\u2248": "\\approx ",
        "\u221e": "\\infty ",
        "\u03c0": "\\pi ",
    }
)
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|normal)?|math(?:rm|bf|it|sf|bb|cal|normal)|mbox|operatorname\*?|"
    r"boldsymbol|bm|underline|boxed|fbox)\s*\{([^{}]*)\}"
)
_STYLE = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|limits|big[lrg]?|Big[lrg]?|bf|rm|it)(?![A-Za-z])\.?"
)
_BLANK = re.compile(r"\\(?:[,;:! ]|quad(?![A-Za-z])|qquad(?![A-Za-z]))|~")
_DEGREE = re.compile(r"\^?\s?\{?\s?\\(?:circ|degree)(?![A-Za-z])\s?\}?")
_COMMANDS = [
    (re.compile(rf"\\(?:{names})(?![A-Za-z])"), plain)
    for names, plain in [
        ("[dtc]frac", r"\\frac"),
        ("cdot|times|ast", "*"),
        ("div", "/"),
        ("leq?s?l?a?n?t?", "<="),
        ("geq?s?l?a?n?t?", ">="),
        ("neq?", "!="),
        ("lbrace", r"\\{"),
        ("rbrace", r"\\}"),
        ("approx|simeq|sim", r"\\approx "),
    ]
]
_DIGIT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)")
_FRACTION = re.compile(r"\\frac\s*(?:\{\s*(-?[\w.]+)\s*\}|(\d))\s*(?:\{\s*(-?[\w.]+)\s*\}|(\d))")
_MIXED = re.compile(r"(\d)\s*(?=\\frac)")
_EDGE = "*_`\"' \t\n"


def plain(text: str) -> str:
    r"""Rewrite an answer so that the same thing said in two ways is written in one.

    Args:
        text: For example `\text{(B)}`, `$1{,}000$`, `-\dfrac{1}{2}`.

    Returns:
        For example `(B)`, `1,000`, `-1/2`; what is not known stays as it is.
    """
    text = _VULGAR.sub(lambda found: f" {found.group()}", text).translate(_RAISED)
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    text = text.replace("{,}", ",").replace("\\%", "%").replace("\\_", "_").replace("\\#", "#")
    text = _DEGREE.sub("\u00b0", text)
    text = _BLANK.sub(" ", _STYLE.sub("", text))
    for command, sign in _COMMANDS:
        text = command.sub(sign, text)
    for _ in range(3):
        text = _WRAPPER.sub(r"\1", text)
    text = _undelimited(text)
    text = _MIXED.sub(r"\1 ", _DIGIT_FRACTION.sub(r"\\frac{\1}{\2}", text))
    text = _FRACTION.sub(lambda found: "/".join(part for part in found.groups() if part), text)
    return " ".join(text.split()).strip(_EDGE)


def _undelimited(text: str) -> str:
    r"""Without the delimiters of formulas; a dollar is one where there are two, or none before a digit."""
    text = text.replace("\\(", " ").replace("\\)", " ")
    if "\\[" in text and "\\]" in text:
        text = text.replace("\\[", " ").replace("\\]", " ")
    money = text.replace("\\$", "\0")
    if money.count("$") > 1:
        money = money.replace("$", "")
    return money.replace("\0", "$")
