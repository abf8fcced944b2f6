"""The layout of a sound file: how much sound it should hold, and whether its bytes are all there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

Piece = bytes | tuple[int, int]
"""Bytes of a corrected file: new ones, or the first and the end position of bytes of the file itself."""

ENDS_EARLY = "the file ends before its sound does"


class Reading(Protocol):
    """Reads the layout of an open file of so many bytes. Raises nothing but OSError, whatever the bytes are."""

    def __call__(self, file: BinaryIO, size: int) -> Layout:
        """The layout; the position of `file` is changed."""
        ...


@dataclass(frozen=True)
class Layout:
    """What a container says of its sound.

    `fault` is why the sound cannot be whole, empty if nothing speaks against it. How long a whole sound would be stands
    in `whole_s`, or follows from `promised`, its data in relation to what the file holds; without either it is unknown.
    `frames` is the number that the file holds, where it was counted. `pieces` make a file with a correct header, for a
    decoder that trusts the header of the file itself. `last_page_s` is how long the last page of Ogg is. Of an
    `unknown` container the length is found by decoding; `form` is FFmpeg's name of it if libsndfile does not read it.
    """

    fault: str = ""
    whole_s: float | None = None
    promised: float | None = None
    frames: int | None = None
    pieces: tuple[Piece, ...] = ()
    last_page_s: float = 0.0
    unknown: bool = False
    form: str = ""


def at(file: BinaryIO, position: int, count: int) -> bytes:
    """The bytes at a position, fewer at the end of the file."""
    file.seek(position)
    return file.read(count)


def patched(size: int, position: int, new: bytes) -> tuple[Piece, ...]:
    """The pieces of a file of `size` bytes with `new` at a position."""
    return ((0, position), new, (position + len(new), size))


def shortened(declared: int, present: int, align: int = 1) -> Layout:
    """The layout of `present` bytes of data where `declared` should be, in frames or blocks of `align` bytes.

    One byte may be missing that is no part of a frame, or may be none, for frames of one byte: some programs count the
    padding byte that they did not write.
    """
    is_padding = align == 1 or declared // align == present // align
    if declared <= present or (declared - present == 1 and is_padding):
        return Layout()
    return Layout(ENDS_EARLY, promised=declared / present if present > 0 else None)
