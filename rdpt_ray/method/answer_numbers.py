r"""Whether an answer is the reference number: fractions, percentages, separators, powers of ten, rounding."""

import re
from dataclasses import dataclass
from fractions import Fraction

from rdpt_ray.method.answer_text import plain
from rdpt_ray.method.answers import final_answer, reference_readings

MIN_DIGITS = 3
"""A decimal with this many significant digits or more stands for whatever rounds to it; 0.3 is no 1/3."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as written."""

    value: Fraction
    decimals: int | None
    """Digits after the point (negative before it); None where the number is exact: 5, 1/3."""
    digits: int
    """Significant digits."""
    percent: bool
    unit: str
    """A known symbol such as cm; else empty."""


_SYMBOLS = frozenset(
    "m cm mm km nm um in ft yd mi g kg mg lb oz s ms min h hr l ml v a w kw j kj n pa k c f hz mol"
    " mph kmh ev".split()
)
_DECIMAL = r"(?:\d{1,3}(?:,\d{2,3})*,\d{3}(?![\d,])|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+"
_TIMES_TEN = (
    r"\s*(?:\*|x|X)\s*10\s?\^\s?\{?\s?(?P<power>[-+]?\d{1,3})\s?\}?|[eE](?P<exponent>[-+]?\d{1,3})"
)
_WORD = r"[A-Za-z\u00b0\u00b5\u03bc\u03a9]+(?:\^?\{?-?\d\}?)?"
_NUMBER = re.compile(
    r"(?P<sign>[-+]?)\s?(?:(?P<money>[$\u20ac\u00a3\u00a5\u20b9]|USD|Rs\.?)\s?)?(?P<inner>[-+]?)\s?(?:"
    r"(?P<whole>\d+)\s(?P<top>\d+)\s?/\s?(?P<bottom>\d+)"
    rf"|(?P<over>{_DECIMAL})\s?/\s?(?P<under>[-+]?(?:{_DECIMAL}))"
    r"|(?P<base>\d{1,4})\s?\^\s?(?:\{\s?(?P<raised>-?\d{1,3})\s?\}|(?P<bare>\d{1,3}))"
    rf"|(?P<decimal>{_DECIMAL})(?:{_TIMES_TEN})?)"
    r"(?:\s?(?P<percent>%|per ?cent(?:age points)?\b|pct\b))?"
    r"(?:[\s-]?(?P<scale>thousand|million|billion|trillion)\b)?"
    rf"(?P<unit>\s?{_WORD}(?:(?:\s|\s?/\s?|\*|-){_WORD}){{0,4}})?"
)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
# What these words do to a number is more than naming a unit.
_NO_UNIT = frozenset(
    "or and to plus minus times over more less than if when for pi i e x y z mod".split()
)
_SAID_FIRST = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|exactly|only|is)\s", re.I
)
_AFTER = re.compile(r".*(?:(?<![<>!])=|\\approx)", re.DOTALL)
_LONE = re.compile(rf"(?<!\S)[-+]?[$\u20ac\u00a3]?(?:{_DECIMAL})\s?%?(?=[\s.,;?]|$)")
_PROSE = re.compile(r"[A-Za-z\s.,;!?'\"-]*")
_BOUND = re.compile(r"\b(?:than|least|most|not|or|between|and|plus|minus|up to)\b", re.I)


def numeric_match(reference: str, text: str) -> bool | None:
    """Compare by value. A decimal also matches what rounds to it, if it has `MIN_DIGITS` digits.

    A percentage matches both its value and its number ("50%", "0.5" and "50" are one answer); units are not
    converted: two different symbols cannot be told apart or together.

    Args:
        reference: The reference answer.
        text: What holds the answer.

    Returns:
        None where either is not a number, or only the last line has been another number.
    """
    wanted = next(filter(None, map(quantity, reference_readings(reference))), None)
    answer = final_answer(text)
    if wanted is None or answer is None:
        return None
    given = next(filter(None, map(quantity, answer.readings)), None)
    if given is None or (wanted.unit and given.unit and wanted.unit != given.unit):
        return None
    return same_number(wanted, given) or (False if answer.certain else None)


def quantity(text: str) -> Quantity | None:
    """Read a number, with a unit, behind "x =" or as the only one of a sentence; None if it is none."""
    text = plain(text).rstrip(" .,;:")
    text = _SAID_FIRST.sub("", _AFTER.sub("", text).strip(), count=1)
    while len(text) > 2 and text[0] + text[-1] in ("()", "{}", "[]"):
        text = text[1:-1].strip()
    found = _NUMBER.fullmatch(text)
    if found is not None:
        return _quantity(found)
    lone = _LONE.findall(text)
    if len(lone) != 1 or _BOUND.search(text) or not _PROSE.fullmatch(text.replace(lone[0], "", 1)):
        return None
    found = _NUMBER.fullmatch(lone[0].strip())
    return None if found is None else _quantity(found)


def same_number(one: Quantity, other: Quantity) -> bool:
    """Whether two numbers are equal as written: exactly, as percentages, or by rounding."""
    if _equal(one.value, one.decimals, one.digits, other.value, other.decimals, other.digits):
        return True
    if one.percent == other.percent:
        return False
    part, share = (one, other) if one.percent else (other, one)
    decimals = None if share.decimals is None else share.decimals - 2
    return _equal(part.value, part.decimals, part.digits, share.value * 100, decimals, share.digits)


def _equal(
    one: Fraction,
    one_decimals: int | None,
    one_digits: int,
    other: Fraction,
    other_decimals: int | None,
    other_digits: int,
) -> bool:
    if one == other:
        return True
    rounded = [
        (decimals, digits)
        for decimals, digits in ((one_decimals, one_digits), (other_decimals, other_digits))
        if decimals is not None
    ]
    if not rounded:
        return False
    decimals, digits = min(rounded)
    return digits >= MIN_DIGITS and abs(one - other) * 2 <= Fraction(10) ** -decimals


def _quantity(found: re.Match[str]) -> Quantity | None:
    unit = _unit(found)
    value, decimals, digits = _value(found)
    if unit is None or value is None:
        return None
    if scale := found["scale"]:
        value *= _SCALES[scale]
        decimals = None if decimals is None else decimals - len(str(_SCALES[scale])) + 1
    if (found["sign"] == "-") != (found["inner"] == "-"):
        value = -value
    return Quantity(value, decimals, digits, bool(found["percent"]), unit)


def _value(found: re.Match[str]) -> tuple[Fraction | None, int | None, int]:
    """The number without its sign, its decimals and its significant digits."""
    if found["top"]:
        if int(found["bottom"]) == 0:
            return None, None, 0
        return int(found["whole"]) + Fraction(int(found["top"]), int(found["bottom"])), None, 0
    if found["over"]:
        under = _fraction(found["under"])
        return (_fraction(found["over"]) / under if under else None), None, 0
    if found["base"]:
        base, raised = int(found["base"]), int(found["raised"] or found["bare"])
        return (Fraction(base) ** raised if base or raised > 0 else None), None, 0
    written = found["decimal"]
    power = int(found["power"] or found["exponent"] or 0)
    _, point, after = written.partition(".")
    exact = not point and not found["power"] and not found["exponent"]
    digits = len(re.sub(r"\D", "", written).lstrip("0"))
    return _fraction(written) * Fraction(10) ** power, None if exact else len(after) - power, digits


def _fraction(written: str) -> Fraction:
    bare = written.replace(",", "").replace(" ", "")
    return Fraction(f"0{bare}" if bare.startswith(".") else bare.rstrip("."))


def _unit(found: re.Match[str]) -> str | None:
    """The unit's symbol, "" for one that is not known; None if these letters are no unit."""
    written = found["unit"] or ""
    words = re.findall(r"[A-Za-z]+", written.casefold())
    if not written.strip() or not words:
        return ""
    attached = written[0] not in " "
    if _NO_UNIT.intersection(words):
        return None
    if (attached or any(len(word) == 1 for word in words)) and not _SYMBOLS.issuperset(words):
        return None
    return written.strip().casefold() if _SYMBOLS.issuperset(words) else ""
