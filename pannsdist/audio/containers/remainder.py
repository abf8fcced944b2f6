"""What stands behind the sound of a file: chunks, tags and padding, or sound that the header does not count."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from pannsdist.audio.containers.layout import Layout, at
from pannsdist.audio.containers.tags import tag_size

TRAILING_JUNK = 4096
"""More bytes than this behind the sound, which are no tag, no chunk and not all zero, count as damage."""
STARTS = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"riff",
    b"FORM",
    b"caff",
    b".snd",
    b"dns.",
    b"NIST_1A",
    b"Creative",
    b"fLaC",
    b"OggS",
)
PART = 1 << 16
MAX_STEPS = 100_000


@dataclass(frozen=True)
class Chunks:
    """The header of a chunk: the bytes of its name, and the struct format of its size, which may count the header."""

    name: int
    form: str
    align: int
    counts_header: bool = False

    def end(self, header: bytes, position: int) -> int:
        """Where a chunk with this header ends, its padding included."""
        length: int = struct.unpack(self.form, header[self.name :])[0]
        whole = length if self.counts_header else self.size + length
        return position + max(self.size, whole + -length % self.align)

    @property
    def size(self) -> int:
        """The bytes of the header."""
        return self.name + struct.calcsize(self.form)


RIFF, RIFX, CAF, WAVE64 = Chunks(4, "<I", 2), Chunks(4, ">I", 2), Chunks(4, ">q", 1), Chunks(16, "<Q", 8, True)


def ended(file: BinaryIO, size: int, end: int, chunks: Chunks | None, patch: bool = False) -> Layout:
    """The layout of a file whose sound ends at `end` by its header, with chunks of a kind behind it, if any.

    Of sound behind that a decoder would not read, or would read as noise, the file is not whole. With `patch` the
    decoder reads on over `end`, so it gets the file up to there.
    """
    fault = _fault(file, end, size, chunks) if end < size else ""
    return Layout(fault, pieces=((0, end),) if fault or (patch and end < size) else ())


def _fault(file: BinaryIO, end: int, size: int, chunks: Chunks | None) -> str:
    padded = end + (-end % chunks.align if chunks else 0)
    rests = [_skipped(file, start, size, chunks) for start in dict.fromkeys((padded, end))]
    if any(at(file, rest, 8).startswith(STARTS) for rest in rests):
        return f"another sound file stands behind it, of {size - max(rests)} bytes"
    rest = max(rests)
    if size - rest <= TRAILING_JUNK or _is_zero(file, rest, size):
        return ""
    return f"the {size - rest} bytes behind it are no part of the sound by its header"


def _skipped(file: BinaryIO, position: int, size: int, chunks: Chunks | None) -> int:
    """The position behind all chunks and tags that follow each other."""
    for _ in range(MAX_STEPS):
        part = at(file, position, 32)
        if part.startswith(STARTS):
            break
        if tag := tag_size(file, position, size, part):
            position += tag
        elif chunks and len(part) >= chunks.size and all(32 <= letter < 127 for letter in part[:4]):
            position = chunks.end(part[: chunks.size], position)
        else:
            break
    return min(position, size)


def _is_zero(file: BinaryIO, position: int, size: int) -> bool:
    while position < size:
        if any(at(file, position, PART)):
            return False
        position += PART
    return True
