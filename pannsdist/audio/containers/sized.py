"""Containers whose data has a size in the header: WAV, RF64, Wave64, AIFF, 8SVX, CAF, AU, NIST and VOC."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pannsdist.audio.containers.layout import ENDS_EARLY, Layout, at, patched

STREAMED_FROM = 0x7F000000
"""Sizes of 32 bits from here on are those of programs that write to a pipe: `the size is not known`."""
MAX_CHUNKS = 100_000
AU_HEADER = 24


@dataclass(frozen=True)
class _Size:
    """The size field of the data: where it stands, its struct format, what it says, and where the data begins.

    `header` is what it counts beside the data.
    """

    position: int
    form: str
    declared: int
    data: int
    header: int = 0
    streamed_from: int = STREAMED_FROM


def riff(file: BinaryIO, size: int) -> Layout:
    """RIFF (WAV), RIFX and RF64."""
    order = ">" if at(file, 0, 4) == b"RIFX" else "<"
    long_size: int | None = None
    for name, length, start in _chunks(file, 12, size, order):
        if name == b"ds64" and length >= 16:
            (long_size,) = struct.unpack("<Q", at(file, start + 8, 8).ljust(8, b"\0"))
            long_position = start + 8
        elif name == b"data" and length == 0xFFFFFFFF and long_size is not None:
            return _compared(file, size, _Size(long_position, "<Q", long_size, start, streamed_from=1 << 62))
        elif name == b"data":
            return _compared(file, size, _Size(start - 4, f"{order}I", length, start))
    return Layout()


def iff(file: BinaryIO, size: int) -> Layout:
    """AIFF, AIFF-C and 8SVX."""
    for name, length, start in _chunks(file, 12, size, ">"):
        if name == b"SSND":
            return _compared(file, size, _Size(start - 4, ">I", length, start + 8, 8))
        if name == b"BODY":
            return _compared(file, size, _Size(start - 4, ">I", length, start))
    return Layout()


def wave64(file: BinaryIO, size: int) -> Layout:
    """Sony Wave64: names of 16 bytes, sizes that count their header of 24."""
    position = 40
    for _ in range(MAX_CHUNKS):
        header = at(file, position, 24)
        if len(header) < 24:
            break
        (length,) = struct.unpack("<Q", header[16:])
        if header[:4] == b"data":
            return _compared(file, size, _Size(position + 16, "<Q", length, position + 24, 24, 1 << 62))
        position += max(24, (length + 7) // 8 * 8)
    return Layout()


def caf(file: BinaryIO, size: int) -> Layout:
    """Core Audio Format: sizes of 64 bits, -1 for data up to the end of the file, which libsndfile refuses."""
    position = 8
    for _ in range(MAX_CHUNKS):
        header = at(file, position, 12)
        if len(header) < 12:
            break
        (length,) = struct.unpack(">q", header[4:])
        start = position + 12
        if header[:4] == b"data":
            present = size - start
            if length != -1 and length <= present:
                return Layout()
            pieces = patched(size, position + 4, struct.pack(">q", present))
            if length == -1:
                return Layout(pieces=pieces)
            return Layout(ENDS_EARLY, promised=length / present if present > 0 else None, pieces=pieces)
        if length < 0:
            break
        position = start + length
    return Layout()


def au(file: BinaryIO, size: int) -> Layout:
    """AU of NeXT and Sun, of either byte order; the size 0xFFFFFFFF is legal for an unknown one."""
    form = ">I" if at(file, 0, 4) == b".snd" else "<I"
    start, declared = (struct.unpack(form, at(file, place, 4).ljust(4, b"\0"))[0] for place in (4, 8))
    return Layout(unknown=True) if start < AU_HEADER else _compared(file, size, _Size(8, form, declared, start))


def nist(file: BinaryIO, size: int) -> Layout:
    """NIST SPHERE: a header of text."""
    text = at(file, 0, 1024)
    found = re.match(rb"NIST_1A\n\s*(\d{1,9})\n", text)
    fields = [
        re.search(rb"\n%s -i (\d{1,18})\n" % name, text)
        for name in (b"sample_count", b"channel_count", b"sample_n_bytes")
    ]
    if found is None or None in fields:
        return Layout(unknown=True)
    declared = 1
    for field in fields:
        declared *= int(field[1]) if field else 0
    return _shortened(declared, size - int(found[1]))


def voc(file: BinaryIO, size: int) -> Layout:
    """Creative Voice: blocks with a size each."""
    (position,) = struct.unpack("<H", at(file, 20, 2).ljust(2, b"\0"))
    for _ in range(MAX_CHUNKS):
        header = at(file, position, 4)
        if len(header) < 4 or header[0] == 0:
            break
        end = position + 4 + int.from_bytes(header[1:], "little")
        if end > size:
            return _shortened(end - position, size - position)
        position = end
    return Layout()


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
        order = field.form[0]
        if field.declared < field.header and field.form.endswith("Q"):
            return Layout()
        if field.form.endswith("I") and field.data >= 12 and _is_chain(file, field.data, size, order):
            return Layout()
        return Layout(pieces=patched(size, field.position, struct.pack(field.form, present + field.header)))
    if field.declared >= field.streamed_from:
        if field.form == "<Q" and field.header == 0:  # libsndfile refuses such a size of RF64
            return Layout(pieces=patched(size, field.position, struct.pack(field.form, max(0, present))))
        return Layout()
    return _shortened(declared, present)


def _shortened(declared: int, present: int) -> Layout:
    """One byte may be missing: some programs count the padding byte that they did not write."""
    if declared - present <= 1:
        return Layout()
    return Layout(ENDS_EARLY, promised=declared / present if present > 0 else None)


def _is_chain(file: BinaryIO, position: int, size: int, order: str) -> bool:
    """Whether chunks with readable names follow, up to the end of the file."""
    while position + 8 <= size:
        header = at(file, position, 8)
        if not all(32 <= letter < 127 for letter in header[:4]):
            return False
        (length,) = struct.unpack(f"{order}I", header[4:])
        position += 8 + length + length % 2
    return position in (size, size + 1)
