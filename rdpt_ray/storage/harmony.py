"""A response in the harmony format of gpt-oss, channels and all -> its reasoning and its answer.

`<|channel|>analysis<|message|>reasoning<|end|><|start|>assistant<|channel|>final<|message|>answer<|return|>`
"""

import re

from rdpt_ray.storage.faults import Fault

_BEGIN = re.compile(r"\s*(?:<\|start\|>assistant)?<\|channel\|>")
_MESSAGE = re.compile(
    r"\s*(?:<\|start\|>assistant)?<\|channel\|>(analysis|final)<\|message\|>"
    r"(.*?)(<\|end\|>|<\|return\|>|\Z)",
    re.DOTALL,
)
_REST = re.compile(r"\s*\Z")
_STRAY = re.compile(r"</?think>|<\|(?:start|channel|message|call|constrain)\|>")


def is_harmony(text: str) -> bool:
    """Whether a text begins with a channel; one that only quotes a channel is plain text."""
    return "<|channel|>" in text[:80] and _BEGIN.match(text) is not None


def split_harmony(text: str, column: str, *, cut: bool = False) -> tuple[str, str, bool]:
    """Split a response into what its channels `analysis` and `final` hold.

    Several messages in `analysis` are joined by a blank line. A `final` message without an end is
    whole: engines stop at `<|return|>` without writing it.

    Args:
        text: The response.
        column: Its column, for the fault.
        cut: The input says that the response was cut, so an `analysis` without an end may be.

    Returns:
        reasoning, answer, and whether the answer is whole.

    Raises:
        Fault: `unclosed_reasoning`, or `ambiguous_markup` for any other channel or order.
    """
    found: dict[str, list[str]] = {"analysis": [], "final": []}
    at = 0
    while not _REST.match(text, at):
        message = _MESSAGE.match(text, at)
        if message is None or found["final"] or _STRAY.search(message[2]):
            raise Fault(
                "ambiguous_markup", column, f"cannot split the channels at {text[at : at + 60]!a}"
            )
        channel, body, end = message.groups()
        found[channel].append(body)
        at = message.end()
        if channel == "analysis" and not end and not cut:
            raise Fault("unclosed_reasoning", column, "the analysis channel is never closed")
    reasoning = "\n\n".join(body.strip() for body in found["analysis"])
    return reasoning, "".join(found["final"]), not cut
