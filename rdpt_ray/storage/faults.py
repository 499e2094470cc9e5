"""Why an input row or file is quarantined: one exception, and the list of its reason codes."""

REASONS = {
    "empty_file": "the file has zero bytes",
    "corrupt_file": "the file is cut off, damaged or not what its ending says; the rest is not read",
    "corrupt_row_group": "the Parquet footer is readable, but the row group that holds this row is not",
    "compression_bomb": "the file or row group unpacks to an absurd size; the rest of it is not read",
    "malformed_json": "the line is not valid JSON, or the file ends inside it",
    "not_an_object": "the line is valid JSON but not an object",
    "duplicate_key": "an object, or the file's schema, names the same key twice",
    "non_finite_number": "NaN or Infinity, which JSON does not have, or a number too large for a float",
    "number_too_long": "an integer with more digits than Python converts (4300)",
    "too_deep": "arrays or objects are nested more than 100 deep",
    "too_long": "the row is larger than the limit of 32 MiB",
    "invalid_utf8": "the bytes are not valid UTF-8",
    "invalid_unicode": "the text holds half of a surrogate pair, which no encoding can store",
    "missing_column": "the row or file has no column for the prompt or the response",
    "wrong_type": "the value has another type than the column needs",
    "unreadable_value": "the value cannot be represented, for example a date beyond the year 9999",
    "null_value": "a value that the trace needs is null",
    "empty_text": "the prompt or the response is empty or only white space",
    "empty_messages": "the list of messages is empty",
    "unknown_role": "a message has a role that is none of system, developer, user, assistant, tool",
    "no_user_message": "no message of the prompt is from the user",
    "bad_turns": "the prompt ends with an assistant message, so there is nothing to respond to",
    "no_response": "no response column, no assistant message at the end, or an empty list of candidates",
    "conflicting_system": "the system column and the messages hold different system messages",
    "unclosed_reasoning": "the reasoning is opened, never closed, and nothing says that the trace was cut",
    "ambiguous_markup": "the reasoning markup occurs twice, out of order or amid other text",
    "splitter_failed": "the splitter, an installed extension, raised an error over this response",
    "sentences_do_not_tile": "the splitter's spans leave a gap, overlap, or do not end with the response",
    "duplicate": "an earlier row holds the same prompt and response",
}
"""Reason code -> what it means, as docs/data.md lists them."""

MAX_DETAIL_CHARS = 300

MAX_ROW_BYTES = 32 << 20
"""Larger rows are not traces: at 4 bytes per token this is 8 million tokens."""

_BOMB_FLOOR_BYTES = 64 << 20
_BOMB_RATIO = 500
"""Text packs 3 to 10 times, the worst log files 100 times; gzip ends at 1032, zstd beyond 10^4, and
Parquet nowhere."""


def is_bomb(unpacked: int, packed: int) -> bool:
    """Whether so many bytes of a file have come to an absurd number of unpacked ones."""
    return unpacked > _BOMB_FLOOR_BYTES and unpacked > _BOMB_RATIO * packed


class Fault(ValueError):
    """One reason why a row, or a whole file, cannot become traces.

    Raised by whatever finds it; the readers turn it into a quarantined row.

    Attributes:
        reason: A key of `REASONS`.
        column: The column at fault; None if the whole row or file is.
        detail: One sentence, at most `MAX_DETAIL_CHARS`, always encodable as UTF-8.
    """

    def __init__(self, reason: str, column: str | None = None, detail: str = "") -> None:
        if reason not in REASONS:
            raise KeyError(reason)
        super().__init__(reason, column, detail)
        self.reason = reason
        self.column = column and _printable(column)
        self.detail = _printable(detail or REASONS[reason])


def _printable(text: str) -> str:
    """Escape lone surrogates, which Arrow cannot store, and shorten."""
    text = text[: 2 * MAX_DETAIL_CHARS].encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= MAX_DETAIL_CHARS else text[: MAX_DETAIL_CHARS - 3] + "..."
