r"""What math-verify is given of a reference and of a response: short LaTeX, never a whole text.

Its own search for the answer reads the last number of a text where nothing is marked, and takes "5 apples"
for a product of letters; ours finds the answer, and it parses and compares.
"""

import re
from dataclasses import dataclass

from rdpt_ray.method.answers import final_answer, reference_readings

_DELIMITED = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed")
_INTEGER = re.compile(r"\\boxed\{(-?[0-9]{1,99})\}")
_NUMBER = re.compile(
    r"(?P<money>\\?[$\u20ac\u00a3])?\s?(?P<number>[-+\u2212]?\s?[\d.,]*\d(?:\s?/\s?\d+)?)\s?(?P<percent>\\?%)?"
    r"(?:\s?\\?(?:text|mathrm)\{[^{}]*\}|(?:\s[A-Za-z]{2,}){0,4})\.?"
)


@dataclass(frozen=True, slots=True)
class MathPair:
    """A reference and an answer, both as LaTeX that math-verify reads."""

    reference: str
    answer: str
    certain: bool
    """As of `FinalAnswer`: whether a mismatch means that the answer is wrong."""

    @property
    def obvious(self) -> bool | None:
        """The verdict where it takes no mathematics: the same text, or two integers; else None."""
        if self.reference == self.answer:
            return True
        one, other = _INTEGER.fullmatch(self.reference), _INTEGER.fullmatch(self.answer)
        return int(one[1]) == int(other[1]) if one and other else None


def math_pair(reference: str, text: str) -> MathPair | None:
    """Prepare a comparison.

    Args:
        reference: The reference answer.
        text: What holds the answer.

    Returns:
        None where there is no reference, or no answer that is short enough.
    """
    wanted, answer = reference_readings(reference), final_answer(text)
    if not wanted or answer is None:
        return None
    return MathPair(boxed(wanted[0]), boxed(answer.readings[0]), answer.certain)


def boxed(reading: str) -> str:
    r"""A reading in a box, without a unit in plain words; one that has its own delimiters as it is."""
    bare = reading.strip(" *_\n")
    if found := _NUMBER.fullmatch(bare):
        return rf"\boxed{{{found['number']}{chr(92) + '%' if found['percent'] else ''}}}"
    inner = bare.rstrip(".")
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        core = inner[len(opening) : len(inner) - len(closing)]
        wrapped = inner.startswith(opening) and inner.endswith(closing)
        if wrapped and core and opening not in core and closing not in core:
            return boxed(core) if core != reading else reading
    return reading if _DELIMITED.search(inner) else rf"\boxed{{{inner}}}"
