"""A part of a file that is read forward, in which every size is compared with what is left before it is read."""

from __future__ import annotations

import zlib
from typing import IO

from pannsdist.weights.formats.errors import Damaged, Refused

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1000


class Section:
    """The bytes of `file` from `start` to before `end`. Only one section of a file is read at a time."""

    def __init__(self, file: IO[bytes], start: int, end: int) -> None:
        self.file, self.end, self.left = file, end, end - start
        file.seek(start)

    @property
    def position(self) -> int:
        """Where the next byte is in the file."""
        return self.end - self.left

    def take(self, size: int) -> bytes:
        """The next `size` bytes. Raises Damaged where there are fewer."""
        if not 0 <= size <= self.left:
            raise Damaged(f"it is truncated: {size} bytes needed, {self.left} left")
        self.left -= size
        found = self.file.read(size)
        if len(found) != size:
            raise Damaged("it became shorter while it was read")
        return found

    def skip(self, size: int) -> None:
        """Pass over the next `size` bytes. Raises Damaged where there are fewer."""
        if not 0 <= size <= self.left:
            raise Damaged(f"it is truncated: {size} bytes needed, {self.left} left")
        self.left -= size
        self.file.seek(size, 1)

    def line(self) -> str:
        """The text up to the next line feed."""
        raw = self.file.readline(min(self.left, MAX_LINE_BYTES))
        if not raw.endswith(b"\n"):
            raise Refused("a name without an end")
        self.left -= len(raw)
        return str(raw[:-1], "utf-8")

    def check_sum(self) -> int:
        """CRC-32 of what is left, read in blocks; nothing is left afterwards."""
        found = 0
        while self.left:
            found = zlib.crc32(self.take(min(self.left, BLOCK_BYTES)), found)
        return found
