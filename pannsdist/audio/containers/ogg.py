"""Ogg: Vorbis, Opus and FLAC in pages with sequence numbers and checksums (RFC 3533)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from pannsdist.audio.containers.layout import ENDS_EARLY, Layout

PAGE = struct.Struct("<4sBBqIIIB")
FIRST, LAST = 2, 4
SEARCHED = 1 << 16
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class _Stream:
    """One logical stream while its pages are read. `rate_hz` is that of its positions, 0 if it is no known audio."""

    rate_hz: int
    skipped: int = 0
    position: int = 0
    last_page: int = 0
    pages: int = 0
    ended: bool = False

    @property
    def length_s(self) -> float:
        return max(0, self.position - self.skipped) / self.rate_hz if self.rate_hz else 0.0


@dataclass(frozen=True)
class _Page:
    flags: int
    position: int
    serial: int
    number: int
    body: bytes
    is_intact: bool


def ogg(file: BinaryIO, size: int) -> Layout:
    """Read every page, without decoding: their numbers, their checksums, and whether the last one ends the stream.

    Of streams one behind the other (chained) libsndfile decodes the first.
    """
    file.seek(0)
    streams: dict[int, _Stream] = {}
    audio: list[_Stream] = []
    fault = ""
    while (page := _next_page(file, size)) is not None:
        if isinstance(page, str):
            fault = fault or page if not _all_ended(audio) else fault
            continue
        if page.flags & FIRST and page.is_intact:
            streams[page.serial] = _opened(page)
            if streams[page.serial].rate_hz:
                audio.append(streams[page.serial])
        stream = streams.get(page.serial)
        if stream is None or not stream.rate_hz:
            continue
        fault = fault or _fault(stream, page)
        stream.pages = page.number + 1
        if page.position > stream.position:
            stream.last_page, stream.position = page.position - stream.position, page.position
        stream.ended = stream.ended or bool(page.flags & LAST)
    return _summed(audio, fault)


def _summed(audio: list[_Stream], fault: str) -> Layout:
    if not audio:
        return Layout(unknown=True)
    if not _all_ended(audio):
        return Layout(fault or ENDS_EARLY)
    if len(audio) > 1:
        fault = fault or f"it is a chain of {len(audio)} streams, of which only the first can be read"
    last_page_s = audio[0].last_page / audio[0].rate_hz
    return Layout(fault, whole_s=sum(stream.length_s for stream in audio), last_page_s=last_page_s)


def _all_ended(audio: list[_Stream]) -> bool:
    return bool(audio) and all(stream.ended for stream in audio)


def _fault(stream: _Stream, page: _Page) -> str:
    if not page.is_intact:
        return f"it is damaged after {stream.length_s:.2f} s"
    if page.number != stream.pages:
        return f"a part is missing after {stream.length_s:.2f} s"
    return ""


def _next_page(file: BinaryIO, size: int) -> _Page | str | None:
    """The next page; why there is none here, with the position behind the gap; None at the end of the file."""
    start = file.tell()
    header = file.read(PAGE.size)
    if not header:
        return None
    if len(header) < PAGE.size and b"OggS".startswith(header[:4]):
        return ENDS_EARLY
    if header[:4] != b"OggS":
        _search(file, start + 1, size)
        return "bytes within it are no part of the sound"
    _, version, flags, position, serial, number, checksum, count = PAGE.unpack(header)
    lacing = file.read(count)
    body = file.read(sum(lacing))
    if len(lacing) < count or len(body) < sum(lacing):
        return ENDS_EARLY
    whole = header[:22] + bytes(4) + header[26:] + lacing + body
    is_intact = version == 0 and _checksum(whole) == checksum
    if not is_intact:  # its length may be wrong as well
        _search(file, start + 4, size)
    return _Page(flags, position, serial, number, body, is_intact)


def _search(file: BinaryIO, position: int, size: int) -> None:
    """Move to the next page from a position on, or to the end of the file."""
    while position < size:
        file.seek(position)
        part = file.read(SEARCHED)
        found = part.find(b"OggS")
        if found >= 0:
            file.seek(position + found)
            return
        position += max(1, len(part) - 3)
    file.seek(size)


def _opened(page: _Page) -> _Stream:
    """A stream by its first page."""
    body = page.body
    if body.startswith(b"\x01vorbis") and len(body) >= 16:
        return _Stream(int.from_bytes(body[12:16], "little"))
    if body.startswith(b"OpusHead") and len(body) >= 12:
        return _Stream(48000, int.from_bytes(body[10:12], "little"))
    if body.startswith(b"\x7fFLAC") and len(body) >= 34:
        return _Stream(int.from_bytes(body[27:30], "big") >> 4)
    return _Stream(0)


def _checksum(page: bytes) -> int:
    """CRC of Ogg: that of zlib with the bits of every byte, and of the result, in the opposite order."""
    reflected = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
