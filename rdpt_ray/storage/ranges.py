"""A file far away, read in pieces."""

import io
from collections.abc import Callable


class RangedFile(io.RawIOBase):
    """Reads what it is asked for and nothing else: a Parquet reader knows which bytes it wants."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        """Begin at the first byte.

        Args:
            size: Of the whole file, in bytes.
            fetch: Gets the bytes of a half-open range.
        """
        self._size, self._fetch, self._place = size, fetch, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes from here on; all that are left if it is negative."""
        end = self._size if size is None or size < 0 else min(self._size, self._place + size)
        if end <= self._place:
            return b""
        data = self._fetch(self._place, end)
        if len(data) != end - self._place:
            raise OSError(f"bytes {self._place} to {end} were asked for, {len(data)} bytes came")
        self._place = end
        return data

    def readall(self) -> bytes:
        """All bytes from here on."""
        return self.read()
