r"""Which of the letters A to J a multiple-choice answer picks, in all the ways people write that."""

import re

from rdpt_ray.method.answer_text import plain
from rdpt_ray.method.answers import final_answer, reference_readings

Letters = frozenset[str]

_L = "[A-Ja-j]"
_NAME = (
    r"(?:the )?(?:correct |right |best |final )?(?:option|choice|answer|letter)s?(?: is| are)?:? "
)
_SEVERAL = re.compile(
    rf"(?:{_NAME})?\(?{_L}\)?(?:(?:,? ?(?:and|or|&) ?| ?[,;/&+] ?| )\(?{_L}\)?)+[.)\]]?",
    re.IGNORECASE,
)
_RUN = re.compile(r"[A-J]{2,10}")
_ONE = re.compile(
    rf"(?:{_NAME}|\u9009\s?)?[(\[{{\"'*]{{0,2}}({_L})[)\]}}\"'*.:;,!]{{0,3}}", re.IGNORECASE
)
_LEADING = re.compile(
    rf"(?:{_NAME}|\u9009\s?)?"
    rf"(?:[(\[]({_L})[)\]]|({_L})(?:[.):\uff1a\u3001] | ?- |,? (?:because|since|as)\b))",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"\b(?:option|choice|answer)s?(?: is| are)?:? [(\[*]{{0,2}}({_L})\b(?!')", re.I
)
_BRACKETED = re.compile(rf"(?<!\w)[(\[]({_L})[)\]]")
_VERDICT = re.compile(
    r"(?:^|[\s(*])([A-J])[)*]{0,3} (?:is|are) (?:the )?(?:correct|right|best|answer)"
)
_LETTER = re.compile(rf"(?<![A-Za-z]){_L}(?![A-Za-z])")


def choice_match(reference: str, text: str) -> bool | None:
    """Compare the letters picked; several ("A and C") are a set.

    Args:
        reference: The reference answer, for example "B" or "(B) 42".
        text: What holds the answer.

    Returns:
        None where the reference is no letter, or the answer names none, or not which.
    """
    wanted = next(filter(None, map(letters, reference_readings(reference))), None)
    answer = final_answer(text)
    if wanted is None or answer is None:
        return None
    for reading in answer.readings:
        picked = letters(reading)
        if picked is not None:
            return picked == wanted
    return None


def letters(text: str) -> Letters | None:
    """The letters that an answer picks, in capitals; None if that cannot be told."""
    text = plain(text)
    known = text.rstrip(" .").replace("\\{", "{").replace("\\}", "}")
    if found := _ONE.fullmatch(known):
        return _set(found.groups())
    if _RUN.fullmatch(known) and len(set(known)) == len(known):
        return _set(tuple(known))
    if _SEVERAL.fullmatch(known):
        bare = re.sub(_NAME, "", known, flags=re.IGNORECASE)
        return _set(tuple(_LETTER.findall(bare)))
    if found := _LEADING.match(text):
        return _set(found.groups())
    for pattern in (_NAMED, _VERDICT, _BRACKETED):
        picked = _set(tuple(pattern.findall(text)))
        if picked:
            return picked if len(picked) == 1 else None
    return None


def _set(found: tuple[str | None, ...]) -> Letters:
    return frozenset(letter.upper() for letter in found if letter)
