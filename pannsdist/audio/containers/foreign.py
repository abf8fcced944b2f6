"""Formats that libsndfile does not read and FFmpeg does, by their first bytes."""

from __future__ import annotations

SIGNATURES = (
    *((4, name, "mov") for name in (b"ftyp", b"moov", b"mdat", b"wide")),
    *((0, b"\x1a\x45\xdf\xa3", "matroska"), (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"), (8, b"AVI ", "avi")),
    *((0, b"#!AMR", "amr"), (0, b"FLV\x01", "flv"), (0, b"\x00\x00\x01\xba", "mpeg"), (0, b"\x0b\x77", "ac3")),
    *((0, b"MAC ", "ape"), (0, b"wvpk", "wv"), (0, b"TTA1", "tta"), (0, b"tBaK", "tak"), (0, b".RMF", "rm")),
    *((0, b"\x7f\xfe\x80\x01", "dts"), (28, b"Speex   ", "ogg")),
)
"""Position and bytes at the start of a file, and FFmpeg's name of the format."""
PACKET = 188
SIGNATURE_BYTES = PACKET + 1


def foreign(start: bytes) -> str:
    """FFmpeg's name of the format of a file by its first bytes, empty for one that libsndfile may read.

    FFmpeg is not asked: among the formats that it guesses are lists which make it open other files and addresses.
    """
    for position, name, form in SIGNATURES:
        if start[position : position + len(name)] == name:
            return form
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:  # a frame of layer 0, which MPEG audio has not
        return "aac"
    return "mpegts" if len(start) > PACKET and start[0] == start[PACKET] == 0x47 else ""
