"""Reasoning markup: a response as a model wrote it -> its reasoning and its answer, tags removed."""

import re

from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.harmony import is_harmony, split_harmony

_SYMBOLS = {
    "<think>": "T",
    "</think>": "t",
    "<|begin_of_thought|>": "B",
    "<|end_of_thought|>": "b",
    "<|begin_of_solution|>": "S",
    "<|end_of_solution|>": "s",
}

TAGS = tuple(_SYMBOLS)
"""The reasoning markup that is read, beside harmony's channels."""

_LAYOUTS = {
    "": "a",
    "Tt": ".ra",
    "t": "ra",  # the opener was in the generation prompt
    "Bb": ".ra",
    "b": "ra",
    "BbSs": ".r.a.",
    "bSs": "r.a.",
    "BbS": ".r.a",
    "bS": "r.a",
    "Ss": ".a.",
    "S": ".a",
}
"""Tags in order -> what stands around them: r reasoning, a answer, `.` only white space."""

_TAG = re.compile("(<(?:/?think>|\\|(?:begin|end)_of_(?:thought|solution)\\|>))")


def split_markup(text: str, column: str, *, cut: bool = False) -> tuple[str, str, bool]:
    """Split a response into reasoning and answer.

    Every tag may occur once and only in an order of `_LAYOUTS`. A response that also quotes a tag
    (a trace about chat formats) cannot be told from a broken one, and tags left in the text would
    be special tokens to some models and plain text to others: it is refused. A response that begins
    with a channel is split by `harmony.split_harmony`.

    Args:
        text: The response with its markup, if any.
        column: Its column, for the fault.
        cut: The input says that the response was cut: reasoning that is opened and never closed is
            then reasoning without an answer, and no fault.

    Returns:
        reasoning, answer (both unstripped; reasoning is empty without markup), and whether the
        answer is whole: False if `<|begin_of_solution|>`, `<answer>` or the reasoning is never
        closed.

    Raises:
        Fault: `unclosed_reasoning` if reasoning is opened and never closed, `ambiguous_markup` if
            the tags or the text around them are in no known order.
    """
    if is_harmony(text):
        return split_harmony(text, column, cut=cut)
    parts = _TAG.split(text)
    pieces, tags = parts[::2], parts[1::2]
    sequence = "".join(_SYMBOLS[tag] for tag in tags)
    if cut and sequence in ("T", "B") and not pieces[0].strip():
        return pieces[1], "", False
    if ("T" in sequence and "t" not in sequence) or ("B" in sequence and "b" not in sequence):
        opener = next(tag for tag in tags if _SYMBOLS[tag] in "TB")
        raise Fault("unclosed_reasoning", column, f"{opener} is never closed")
    layout = _LAYOUTS.get(sequence)
    if layout is None:
        shown = " ".join(tags[:6]) + (" ..." if len(tags) > 6 else "")
        raise Fault("ambiguous_markup", column, f"cannot split at the tags {shown}")
    found = {"r": "", "a": ""}
    for role, piece in zip(layout, pieces, strict=True):
        if role != ".":
            found[role] = piece
        elif piece.strip():
            raise Fault(
                "ambiguous_markup", column, f"text outside the tags: {piece.strip()[:80]!a}"
            )
    if "t" in sequence:
        answer, whole = _unwrap_answer(found["a"])
        return found["r"], answer, whole
    return found["r"], found["a"], not sequence.endswith("S")


def _unwrap_answer(answer: str) -> tuple[str, bool]:
    """What stands in `<answer>...</answer>` if that is all there is, and whether it is closed.

    Only behind `</think>`, where R1-like formats write it; anywhere else it is the model's own text.
    """
    text = answer.strip()
    if not text.startswith("<answer>"):
        return answer, True
    inner = text.removeprefix("<answer>").removesuffix("</answer>")
    if "<answer>" in inner or "</answer>" in inner:
        return answer, True
    return inner, text.endswith("</answer>")


def name_markup(text: str) -> str:
    """Which markup a response carries, for people; `none` without any."""
    if is_harmony(text):
        return "harmony channels"
    tags = _TAG.findall(text)
    if tags == ["</think>"]:
        return "only </think>"
    return tags[0] if tags else "none"


def join_canonical(reasoning: str, answer: str) -> tuple[str, int]:
    """The canonical response, and where its answer starts.

    Both are stripped of outer white space and joined by a blank line. Without reasoning the answer
    starts at 0; without an answer it starts at the end.

    Returns:
        text, answer_start (characters, 0 <= answer_start <= len(text)).
    """
    reasoning, answer = reasoning.strip(), answer.strip()
    if not reasoning:
        return answer, 0
    if not answer:
        return reasoning, len(reasoning)
    return f"{reasoning}\n\n{answer}", len(reasoning) + 2
