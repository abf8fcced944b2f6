"""Tags around the frames of MPEG audio: ID3, APE, Lyrics3."""

from __future__ import annotations

import struct
from typing import BinaryIO

from pannsdist.audio.containers.layout import at

LYRICS_AT_MOST = 1 << 20


def tag_size(file: BinaryIO, position: int, size: int, part: bytes) -> int:
    """The bytes of the tag that begins at `position` with the bytes of `part`; 0 if none does."""
    if part.startswith(b"ID3") and len(part) >= 10 and not any(byte & 0x80 for byte in part[6:10]):
        length = 10 + sum(byte << shift for byte, shift in zip(part[6:10], (21, 14, 7, 0), strict=True))
        return length + (10 if part[5] & 0x10 else 0)
    if part.startswith(b"TAG+") and size - position >= 227 + 128:
        return 227
    if part.startswith(b"TAG") and size - position <= 128:
        return size - position
    if part.startswith(b"APETAGEX") and len(part) >= 24:
        length, _, flags = struct.unpack("<III", part[12:24])
        is_header = flags >> 29 & 1
        return int(length + 32 if is_header else 32)
    if part.startswith(b"LYRICSBEGIN"):
        text = at(file, position, LYRICS_AT_MOST)
        ends = [found + 9 for end in (b"LYRICSEND", b"LYRICS200") if (found := text.find(end)) >= 0]
        return min(ends, default=0)
    return 0
