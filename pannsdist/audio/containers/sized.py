"""Containers whose data has a size in the header: WAV, RF64, Wave64, AIFF, 8SVX, CAF, AU, NIST and VOC."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pannsdist.audio.containers.layout import ENDS_EARLY, Layout, at, patched, shortened
from pannsdist.audio.containers.remainder import CAF, RIFF, RIFX, WAVE64, Chunks, ended

STREAMED_FROM = 0x7F000000
"""Sizes of 32 bits from here on are those of programs that write to a pipe: `the size is not known`."""
MAX_CHUNKS = 100_000
BLOCK_CODES = (0x02, 0x11, 0x31)
"""MS and IMA ADPCM, and GSM 6.10: their `fmt ` says how many samples a block has."""
AU_HEADER = 24
PLAIN_AIFC = (b"", b"NONE", b"sowt", b"twos")


@dataclass(frozen=True)
class _Coding:
    """The bytes of a frame, or of a block of a coding such as ADPCM, and how many come in a second; 0 if not known."""

    align: int = 1
    bytes_per_s: float = 0.0


@dataclass(frozen=True)
class _Size:
    """The size field of the data: where it stands, its struct format, what it says, and where the data begins.

    `header` is what it counts beside the data, which is coded as `coding` says. Behind the data may stand `chunks`.
    """

    position: int
    form: str
    declared: int
    data: int
    header: int = 0
    streamed_from: int = STREAMED_FROM
    coding: _Coding = _Coding()
    chunks: Chunks | None = RIFF


def riff(file: BinaryIO, size: int) -> Layout:
    """RIFF (WAV), RIFX and RF64."""
    order, chunks = (">", RIFX) if at(file, 0, 4) == b"RIFX" else ("<", RIFF)
    long_size, coding = None, _Coding()
    for name, length, start in _chunks(file, 12, size, order):
        if name == b"fmt ":
            coding = _coding(at(file, start, min(length, 20)), order)
        elif name == b"ds64" and length >= 16:
            (long_size,) = struct.unpack("<Q", at(file, start + 8, 8).ljust(8, b"\0"))
            long_position = start + 8
        elif name == b"data" and length == 0xFFFFFFFF and long_size is not None:
            return _compared(file, size, _Size(long_position, "<Q", long_size, start, 0, 1 << 62, coding))
        elif name == b"data":
            return _compared(file, size, _Size(start - 4, f"{order}I", length, start, coding=coding, chunks=chunks))
    return Layout()


def iff(file: BinaryIO, size: int) -> Layout:
    """AIFF, AIFF-C and 8SVX. The number of frames in `COMM` counts, where it says more than the size of the data."""
    frames, coding = 0, _Coding()
    for name, length, start in _chunks(file, 12, size, ">"):
        if name == b"COMM":
            frames, coding = _common(at(file, start, min(length, 22)))
        elif name == b"SSND":
            promised = 8 + frames * coding.align
            if 8 < length < promised <= size - start:  # libsndfile would read no more than `length`
                return Layout(pieces=patched(size, start - 4, struct.pack(">I", promised)))
            if 8 < length < STREAMED_FROM:
                length = max(length, promised)  # noqa: PLW2901 as the header says elsewhere
            return _compared(file, size, _Size(start - 4, ">I", length, start + 8, 8, coding=coding, chunks=RIFX))
        elif name == b"BODY":
            return _compared(file, size, _Size(start - 4, ">I", length, start, chunks=RIFX))
    return Layout()


def _common(comm: bytes) -> tuple[int, _Coding]:
    """(frames, coding) by the chunk `COMM`; (0, unknown) for coded samples. The rate is a float of 80 bits."""
    if len(comm) < 18 or comm[18:22] not in PLAIN_AIFC:
        return 0, _Coding()
    channels, frames, bits, exponent, mantissa = struct.unpack(">HIHHQ", comm[:18])
    align = channels * -(-bits // 8)
    rate_hz = mantissa * 2.0 ** (max(-64, min(64, (exponent & 0x7FFF) - 16383)) - 63)
    return (frames, _Coding(align, align * rate_hz)) if align else (0, _Coding())


def wave64(file: BinaryIO, size: int) -> Layout:
    """Sony Wave64: names of 16 bytes, sizes that count their header of 24."""
    position, coding = 40, _Coding()
    for _ in range(MAX_CHUNKS):
        header = at(file, position, 24)
        if len(header) < 24:
            break
        (length,) = struct.unpack("<Q", header[16:])
        if header[:4] == b"fmt ":
            coding = _coding(at(file, position + 24, 20), "<")
        if header[:4] == b"data":
            field = _Size(position + 16, "<Q", length, position + 24, 24, 1 << 62, coding, WAVE64)
            return _compared(file, size, field)
        position += max(24, (length + 7) // 8 * 8)
    return Layout()


def caf(file: BinaryIO, size: int) -> Layout:
    """Core Audio Format: sizes of 64 bits, -1 for data up to the end of the file, which libsndfile refuses."""
    position, rate_hz, valid = 8, 0.0, 0
    for _ in range(MAX_CHUNKS):
        header = at(file, position, 12)
        if len(header) < 12:
            break
        (length,) = struct.unpack(">q", header[4:])
        start = position + 12
        if header[:4] == b"desc":
            (rate_hz,) = struct.unpack(">d", at(file, start, 8).ljust(8, b"\0"))
        elif header[:4] == b"pakt":
            (valid,) = struct.unpack(">q", at(file, start + 8, 8).ljust(8, b"\0"))
        elif header[:4] == b"data":
            present = size - start
            if length != -1 and length <= present:
                return ended(file, size, start + length, CAF)
            pieces = patched(size, position + 4, struct.pack(">q", present))
            if length == -1:
                return Layout(pieces=pieces)
            if valid > 0 and rate_hz >= 1:
                return Layout(ENDS_EARLY, valid / rate_hz, pieces=pieces)
            return Layout(ENDS_EARLY, promised=length / present if present > 0 else None, pieces=pieces)
        if length < 0:
            break
        position = start + length
    return Layout()


def au(file: BinaryIO, size: int) -> Layout:
    """AU of NeXT and Sun, of either byte order; the size 0xFFFFFFFF is legal for an unknown one."""
    form = ">I" if at(file, 0, 4) == b".snd" else "<I"
    start, declared = (struct.unpack(form, at(file, place, 4).ljust(4, b"\0"))[0] for place in (4, 8))
    if start < AU_HEADER:
        return Layout(unknown=True)
    return _compared(file, size, _Size(8, form, declared, start, chunks=None))


def nist(file: BinaryIO, size: int) -> Layout:
    """NIST SPHERE: a header of text."""
    text = at(file, 0, 1024)
    found = re.match(rb"NIST_1A\n\s*(\d{1,9})\n", text)
    fields = [
        re.search(rb"\n%s -(?:i|s\d+) (\d{1,18})\n" % name, text)
        for name in (b"sample_count", b"channel_count", b"sample_n_bytes")
    ]
    if found is None or None in fields:
        return Layout(unknown=True)
    declared = 1
    for field in fields:
        declared *= int(field[1]) if field else 0
    end = int(found[1]) + declared
    if declared > 0 and end < size:
        return ended(file, size, end, None, patch=True)
    return shortened(declared, size - int(found[1]))


def voc(file: BinaryIO, size: int) -> Layout:
    """Creative Voice: blocks with a size each."""
    (position,) = struct.unpack("<H", at(file, 20, 2).ljust(2, b"\0"))
    for _ in range(MAX_CHUNKS):
        header = at(file, position, 4)
        if len(header) < 4 or header[0] == 0:
            return ended(file, size, position + 1, None, patch=True)
        end = position + 4 + int.from_bytes(header[1:], "little")
        if end > size:
            return shortened(end - position, size - position)
        position = end
    return Layout()


def _coding(fmt: bytes, order: str) -> _Coding:
    """The coding by the chunk `fmt `, of samples as they are or of one with blocks of a size that the chunk says."""
    if len(fmt) < 16:
        return _Coding()
    code, _, rate_hz, _, align, _ = struct.unpack(f"{order}HHIIHH", fmt[:16])
    if code in (1, 3, 6, 7, 0xFFFE):
        return _Coding(max(1, align), float(align * rate_hz))
    if code in BLOCK_CODES and len(fmt) == 20 and (per_block := struct.unpack(f"{order}H", fmt[18:])[0]):
        return _Coding(max(1, align), align * rate_hz / per_block)
    return _Coding()


def _chunks(file: BinaryIO, position: int, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, size, position of the content) of the chunks of a RIFF or IFF file."""
    for _ in range(MAX_CHUNKS):
        header = at(file, position, 8)
        if len(header) < 8:
            return
        name, (length,) = header[:4], struct.unpack(f"{order}I", header[4:])
        yield name, length, position + 8
        position += 8 + length + length % 2
        if position >= size:
            return


def _compared(file: BinaryIO, size: int, field: _Size) -> Layout:
    """The layout of a file whose data has this size field. A size of 0 with sound behind it is that of a pipe."""
    declared, present = field.declared - field.header, size - field.data
    if declared <= 0 and present > 0:
        return _of_size_0(file, size, field)
    if field.declared >= field.streamed_from:
        if field.form == "<Q" and field.header == 0:  # libsndfile refuses such a size of RF64
            return Layout(pieces=patched(size, field.position, struct.pack(field.form, max(0, present))))
        return Layout()
    if 0 < declared < present:
        return ended(file, size, field.data + declared, field.chunks, field.chunks is WAVE64)
    layout, bytes_per_s = shortened(declared, present, field.coding.align), field.coding.bytes_per_s
    return Layout(layout.fault, declared / bytes_per_s) if layout.fault and bytes_per_s else layout


def _of_size_0(file: BinaryIO, size: int, field: _Size) -> Layout:
    """The layout of a file that says that it has no data, and has some: unless that is made of chunks, it is sound."""
    if field.declared < field.header and field.form.endswith("Q"):
        return Layout()
    if field.form.endswith("I") and field.data >= 12 and _is_chain(file, field.data, size, field.form[0]):
        return Layout()
    new = struct.pack(field.form, size - field.data + field.header)
    return Layout(pieces=patched(size, field.position, new))


def _is_chain(file: BinaryIO, position: int, size: int, order: str) -> bool:
    """Whether chunks with readable names follow, up to the end of the file."""
    while position + 8 <= size:
        header = at(file, position, 8)
        if not all(32 <= letter < 127 for letter in header[:4]):
            return False
        (length,) = struct.unpack(f"{order}I", header[4:])
        position += 8 + length + length % 2
    return position in (size, size + 1)
