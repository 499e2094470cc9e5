"""What makes two traces, or two prompts, the same: their exact text."""

import hashlib
from typing import Any

from rdpt_ray.storage.faults import Fault

Messages = list[tuple[str, str]]
"""The (role, content) of each message."""


def identify(
    messages: Messages, response: str, prompt_column: str, response_column: str
) -> tuple[str, str, int]:
    """The identity of a trace and of its prompt, and their size.

    sha256 over: the number of messages; for each message its role, then its content; for a trace
    also the response. A number is 8 bytes, big-endian; a text is its length in bytes (a number),
    then its UTF-8 bytes. The id is the first 32 hexadecimal digits. No Unicode normalisation.

    Returns:
        trace_id, prompt_id, num_bytes (prompt and response, UTF-8).

    Raises:
        Fault: `invalid_unicode`, blaming one of the two columns.
    """
    digest = hashlib.sha256(len(messages).to_bytes(8, "big"))
    num_bytes = 0
    for text in (text for message in messages for text in message):
        num_bytes += _absorb(digest, encode_text(text, prompt_column))
    prompt_id = digest.hexdigest()[:32]
    num_bytes += _absorb(digest, encode_text(response, response_column))
    return digest.hexdigest()[:32], prompt_id, num_bytes


def _absorb(digest: Any, data: bytes) -> int:
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)
    return len(data)


def encode_text(text: str, column: str) -> bytes:
    """UTF-8 of a text.

    Raises:
        Fault: `invalid_unicode` if it holds a lone surrogate, as JSON escapes can write.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        detail = f"lone surrogate U+{code:04X} at character {error.start}"
        raise Fault("invalid_unicode", column, detail) from None
