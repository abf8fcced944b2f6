"""A file that is put together from parts of another one and from new bytes, without a copy of it."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO

from pannsdist.audio.containers.layout import Piece


class Splice(io.RawIOBase):
    """The pieces of a file, one behind the other, to be read as a file of their own."""

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._ends = list(accumulate(map(_length, self._pieces)))
        self._position = 0
        self._file = file

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position, from the start of the first piece."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; one outside of the pieces becomes their start or their end."""
        size = self._ends[-1] if self._ends else 0
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: size}[whence]
        self._position = min(max(0, origin + offset), size)
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` as far as the pieces reach."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        done = 0
        while done < len(view):
            part = self._part(len(view) - done)
            if not part:
                break
            view[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
        return done

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _part(self, count: int) -> bytes:
        """Up to `count` bytes of the piece at the position."""
        index = bisect_right(self._ends, self._position)
        if index == len(self._pieces):
            return b""
        piece = self._pieces[index]
        inside = self._position - (self._ends[index] - _length(piece))
        if isinstance(piece, bytes):
            return piece[inside : inside + count]
        self._file.seek(piece[0] + inside)
        return self._file.read(min(count, piece[1] - piece[0] - inside))


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else max(0, piece[1] - piece[0])
