r"""Whether an answer is the reference in the same words: case, blanks, dress and full stops do not count."""

import re

from rdpt_ray.method.answer_text import plain
from rdpt_ray.method.answers import final_answer, reference_readings

_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})++(?![\d,])")
_BLANKS = re.compile(r" ?([^\w\s]) ?")
_NAMED = re.compile(r"[a-z](?:_?\w|')?(?:\([a-z]\))?=(?=[^=])")
_ENDS = " .,;:"


def exact_match(reference: str, text: str) -> bool | None:
    """Compare by text.

    Args:
        reference: The reference answer.
        text: What holds the answer.

    Returns:
        None where there is no answer, or only a last line that is another text.
    """
    wanted = {normalised(reading) for reading in reference_readings(reference)} - {""}
    answer = final_answer(text)
    if not wanted or answer is None:
        return None
    given = [normalised(reading) for reading in answer.readings]
    if any(_same(one, other) for one in wanted for other in given):
        return True
    if not answer.certain or any(_within(one, given[0]) for one in wanted):
        return None
    return False


def normalised(text: str) -> str:
    """One spelling of an answer; the text itself where nothing else would be left of it."""
    known = plain(text).replace("\u00b0", "").casefold()
    known = _THOUSANDS.sub(lambda found: found.group().replace(",", ""), known)
    known = _BLANKS.sub(r"\1", known).replace("\\{", "{").replace("\\}", "}").strip("\"'")
    return known.rstrip(_ENDS) or known or text.strip()


def _same(one: str, other: str) -> bool:
    """Equal, or equal once the one that says "x=" first does not."""
    if one == other:
        return True
    named, unnamed = bool(_NAMED.match(one)), bool(_NAMED.match(other))
    return named != unnamed and _NAMED.sub("", one, count=1) == _NAMED.sub("", other, count=1)


def _within(wanted: str, given: str) -> bool:
    """Whether a sentence holds the reference as a word of its own: then it may well be meant."""
    if " " not in given:
        return False
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", given) is not None
