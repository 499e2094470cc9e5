"""A checksum over all bytes of a Parquet file, kept in its own footer.

Parquet's checksums are of the bodies of pages only: one flipped bit in the header of a page, or in the
footer, can give other values and no error.
"""

import io
import zlib

import pyarrow.parquet as pq

KEY = "rdpt_ray.crc32"
"""Of the footer's key-value metadata; its value is a CRC-32 of the file in hexadecimal, with zeros for it."""

_BLANK = b"00000000"
# Key and value lie in the footer as Thrift's compact strings: a field's header, a length, the bytes.
_MARK = KEY.encode() + b"\x18\x08"


def sealed(buffer: io.BytesIO, file: pq.ParquetWriter) -> bytes:
    """Close a file that is being written and put its checksum in.

    Args:
        buffer: What the writer writes to.
        file: The writer, when all rows are written.

    Returns:
        The whole file.
    """
    file.add_key_value_metadata({KEY: _BLANK.decode()})
    file.close()
    content = buffer.getvalue()
    at = content.rindex(_MARK) + len(_MARK)
    buffer.seek(at)
    buffer.write(_digest(content, at))
    return buffer.getvalue()


def is_whole(content: bytes) -> bool:
    """Whether a file has a seal and still is what it was when it was sealed; a cut one has none."""
    at = content.rfind(_MARK) + len(_MARK)
    return at >= len(_MARK) and content[at : at + len(_BLANK)] == _digest(content, at)


def check_seal(content: bytes) -> None:
    """See that a file still is what it was when it was sealed; one without a seal is let through.

    Raises:
        ValueError: if it is not.
    """
    at = content.rfind(_MARK) + len(_MARK)
    if at < len(_MARK):
        return
    told = content[at : at + len(_BLANK)]
    is_now = _digest(content, at)
    if told != is_now:
        raise ValueError(
            f"its checksum was {told.decode(errors='replace')} and is {is_now.decode()}"
        )


def _digest(content: bytes, at: int) -> bytes:
    """The checksum of a file, with zeros at the place of its own."""
    view = memoryview(content)  # a file may be large, and is read often
    before = zlib.crc32(_BLANK, zlib.crc32(view[:at]))
    return f"{zlib.crc32(view[at + len(_BLANK) :], before):08x}".encode()
