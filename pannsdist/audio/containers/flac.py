"""FLAC: the headers of its frames count the samples (RFC 9639)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pannsdist.audio.containers.layout import ENDS_EARLY, Layout, at, patched

SYNC = re.compile(rb"\xff[\xf8\xf9]")
PART, LONGEST_HEADER, LONGEST_FRAME = 1 << 20, 16, 1 << 18
BLOCK_SIZES = {1: 192} | {code: 576 << (code - 2) for code in range(2, 6)} | {code: 1 << code for code in range(8, 16)}
MAX_METADATA_BLOCKS = 100_000
ID3_SIZE = 128


@dataclass(frozen=True)
class _Frame:
    """The header of a frame: `first` is its number, or of a stream with varying block sizes its first sample."""

    position: int
    first: int
    samples: int
    varies: bool

    @property
    def next(self) -> int:
        return self.first + (self.samples if self.varies else 1)


def flac(file: BinaryIO, size: int) -> Layout:
    """Count the samples of the frames that follow each other; the number in the header may be 0, for an unknown one."""
    info = at(file, 8, 34)
    audio = _audio_position(file)
    if len(info) < 34 or audio is None:
        return Layout(unknown=True)
    packed = int.from_bytes(info[10:18], "big")
    rate_hz, promised = packed >> 44, packed & ((1 << 36) - 1)
    end = size - ID3_SIZE if at(file, max(0, size - ID3_SIZE), 3) == b"TAG" else size
    counted, last, has_gap = _counted(file, audio, end)
    if last is None or (promised == counted and end == size):
        return Layout()
    if not has_gap and _crc16(at(file, last.position, end - last.position)[:LONGEST_FRAME]):
        counted, end = counted - last.samples, last.position
    fault = "a part of it is damaged" if has_gap else ENDS_EARLY if promised > counted or end == last.position else ""
    whole_s = promised / rate_hz if rate_hz and promised >= counted else None
    corrected = (packed - promised + counted).to_bytes(8, "big")
    return Layout(fault, whole_s=whole_s, pieces=patched(end, 18, corrected) if counted else ())


def _audio_position(file: BinaryIO) -> int | None:
    position = 4
    for _ in range(MAX_METADATA_BLOCKS):
        header = at(file, position, 4)
        if len(header) < 4:
            return None
        position += 4 + int.from_bytes(header[1:], "big")
        if header[0] & 0x80:
            return position
    return None


def _counted(file: BinaryIO, position: int, size: int) -> tuple[int, _Frame | None, bool]:
    """(samples of the frames from the first one on without a gap, the last of these, whether others follow a gap)."""
    samples, expected, last = 0, 0, None
    behind_gap: int | None = None
    for frame in _frames(file, position, size):
        if frame.first == expected:
            samples, expected, last, behind_gap = samples + frame.samples, frame.next, frame, None
        elif frame.first == behind_gap:
            return samples, last, True
        elif frame.first > expected:
            behind_gap = frame.next
    return samples, last, False


def _frames(file: BinaryIO, position: int, size: int) -> Iterator[_Frame]:
    """Everything that looks like the header of a frame, its checksum included."""
    while position < size:
        part = at(file, position, PART + LONGEST_HEADER)
        for found in SYNC.finditer(part, 0, min(len(part), PART + 1)):
            frame = _frame(part[found.start() : found.start() + LONGEST_HEADER], position + found.start())
            if frame is not None:
                yield frame
        position += PART


def _frame(header: bytes, position: int) -> _Frame | None:
    if len(header) < 6 or header[3] & 1 or header[2] >> 4 == 0 or header[2] & 15 == 15 or header[3] >> 4 > 10:
        return None
    code, rate_code = header[2] >> 4, header[2] & 15
    number, end = _number(header, 4)
    extra = 1 if code == 6 else 2 if code == 7 else 0
    checked = end + extra + (1 if rate_code == 12 else 2 if rate_code in (13, 14) else 0)
    if number is None or checked >= len(header) or _crc8(header[:checked]) != header[checked]:
        return None
    samples = BLOCK_SIZES.get(code) or 1 + int.from_bytes(header[end : end + extra], "big")
    return _Frame(position, number, samples, bool(header[1] & 1))


def _number(header: bytes, at_byte: int) -> tuple[int | None, int]:
    """(a number coded as in UTF-8, the position behind it), up to 36 bits; None if it is none."""
    lead = header[at_byte]
    if lead < 0x80:
        return lead, at_byte + 1
    ones = 8 - (lead ^ 0xFF).bit_length()
    rest = header[at_byte + 1 : at_byte + ones]
    if not 2 <= ones <= 7 or len(rest) < ones - 1 or any(byte >> 6 != 2 for byte in rest):
        return None, at_byte
    number = lead & (0x7F >> ones)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, at_byte + ones


def _crc8(data: bytes) -> int:
    remainder = 0
    for byte in data:
        remainder = CRC8[remainder ^ byte]
    return remainder


def _crc16(data: bytes) -> int:
    """The checksum of a whole frame; 0 if the two bytes of its own stand at its end."""
    remainder = 0
    for byte in data:
        remainder = (remainder << 8 & 0xFFFF) ^ CRC16[remainder >> 8 ^ byte]
    return remainder


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    """The remainder of each byte."""
    table = []
    for byte in range(256):
        remainder = byte << (bits - 8)
        for _ in range(8):
            remainder = remainder << 1 ^ (polynomial if remainder >> (bits - 1) else 0)
        table.append(remainder)
    return tuple(table)


CRC8, CRC16 = _table(0x107, 8), _table(0x18005, 16)
