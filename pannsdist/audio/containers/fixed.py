"""Containers whose header has one form and says how many samples follow: AVR, WVE, MPC 2000, MAT and SDS.

IRCAM, PAF, PVF and XI are not here: libsndfile finds no length in their headers, so a cut is not noticed.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from pannsdist.audio.containers.layout import ENDS_EARLY, Layout, at, patched, shortened

MAX_MATRICES = 1000
MAT4_SIZES = (8, 4, 4, 2, 2, 1)
MAT5_HEADER = 48
"""Tags and values of a matrix up to its name: its flags, its shape, and how long the name is."""
SDS_HEADER, SDS_PACKET, SDS_PACKET_DATA = 21, 127, 120


def avr(file: BinaryIO, size: int) -> Layout:
    """Audio Visual Research: a header of 128 bytes."""
    header = at(file, 0, 30)
    if len(header) < 30:
        return Layout(unknown=True)
    channels, bits, frames = struct.unpack(">Hh10xI", header[12:])
    return shortened(frames * (2 if channels else 1) * max(1, bits // 8), size - 128)


def wve(file: BinaryIO, size: int) -> Layout:
    """Psion: A-law behind a header of 32 bytes."""
    (declared,) = struct.unpack(">I", at(file, 18, 4).ljust(4, b"\0"))
    return shortened(declared, size - 32)


def mpc2k(file: BinaryIO, size: int) -> Layout:
    """Akai MPC 2000: 16 bits behind a header of 42 bytes."""
    is_stereo, frames = struct.unpack("<?8xI", at(file, 21, 13).ljust(13, b"\0"))
    return shortened(2 * frames * (2 if is_stereo else 1), size - 42)


def mat4(file: BinaryIO, size: int) -> Layout:
    """MATLAB 4: matrices one behind the other, of which one is the sound."""
    order, position = "<" if at(file, 0, 4) == bytes(4) else ">", 0
    for _ in range(MAX_MATRICES):
        header = at(file, position, 20)
        if len(header) < 20:
            break
        form, rows, columns, _, name_size = struct.unpack(f"{order}5I", header)
        start = position + 20 + name_size
        kind = form // 10 % 10
        if kind >= len(MAT4_SIZES):
            return Layout(unknown=True)
        declared = rows * columns * MAT4_SIZES[kind]
        if start + declared > size:
            return shortened(declared, size - start)
        position = start + declared
    return Layout()


def mat5(file: BinaryIO, size: int) -> Layout:
    """MATLAB 5: matrices one behind the other. The size of a matrix may be wrong, that of the data in it counts."""
    order, position = "<" if at(file, 126, 2) == b"IM" else ">", 128
    for _ in range(MAX_MATRICES):
        header = at(file, position, MAT5_HEADER)
        if len(header) < MAT5_HEADER:
            break
        name_size = struct.unpack(f"{order}I", header[-4:])[0]
        start = position + MAT5_HEADER + (name_size + 7) // 8 * 8 + 8
        kind, declared = struct.unpack(f"{order}II", at(file, start - 8, 8).ljust(8, b"\0"))
        if kind >> 16 == 0 and start + declared > size:  # else up to four bytes stand in place of the size
            return shortened(declared, size - start)
        position += 8 + struct.unpack(f"{order}I", header[4:8])[0]
    return Layout()


def sds(file: BinaryIO, size: int) -> Layout:
    """MIDI Sample Dump: packets of 127 bytes.

    Of a damaged packet libsndfile prints a line on standard output, and what is missing at the end it replaces by
    silence: so it gets a header that says how many samples the intact packets hold.
    """
    header = at(file, 0, SDS_HEADER)
    if len(header) < SDS_HEADER or not 2 <= header[6] <= 28:
        return Layout(unknown=True)
    frames = header[10] | header[11] << 7 | header[12] << 14
    per_packet = SDS_PACKET_DATA // (2 if header[6] < 14 else 3 if header[6] < 21 else 4)
    intact = 0
    while intact * per_packet < frames and _is_packet(file.read(SDS_PACKET)):
        intact += 1
    present = intact * per_packet
    if present >= frames:
        return Layout(unknown=True)
    ends = size < SDS_HEADER + (intact + 1) * SDS_PACKET
    fault = ENDS_EARLY if ends else f"packet {intact + 1} is damaged"
    corrected = bytes(present >> shift & 0x7F for shift in (0, 7, 14))
    return Layout(fault, promised=frames / max(1, present), pieces=patched(size, 10, corrected))


def _is_packet(packet: bytes) -> bool:
    """Whether it has the form of a packet of SDS, and its checksum."""
    checksum = 0
    for byte in packet[1:-2]:
        checksum ^= byte
    return len(packet) == SDS_PACKET and packet[:2] == b"\xf0\x7e" and checksum & 0x7F == packet[-2]
