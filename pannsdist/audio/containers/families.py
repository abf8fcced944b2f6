"""Finds the container of a file by its first bytes, as libsndfile does, and reads its layout."""

from __future__ import annotations

from typing import BinaryIO

from pannsdist.audio.containers.fixed import avr, mat4, mat5, mpc2k, sds, wve
from pannsdist.audio.containers.flac import flac
from pannsdist.audio.containers.foreign import SIGNATURE_BYTES, foreign
from pannsdist.audio.containers.layout import Layout, Reading, at
from pannsdist.audio.containers.mpeg import mpeg
from pannsdist.audio.containers.ogg import ogg
from pannsdist.audio.containers.sized import au, caf, iff, nist, riff, voc, wave64

READINGS: dict[bytes, Reading] = {
    b"RIFF": riff,
    b"RIFX": riff,
    b"RF64": riff,
    b"riff": wave64,
    b"FORM": iff,
    b"caff": caf,
    b".snd": au,
    b"dns.": au,
    b"NIST": nist,
    b"Crea": voc,
    b"fLaC": flac,
    b"OggS": ogg,
    b"2BIT": avr,
    b"ALaw": wve,
    b"MATL": mat5,
    bytes(4): mat4,
    b"\0\0\x03\xe8": mat4,
    b"\x01\x04": mpc2k,
    b"\xf0\x7e": sds,
}
MPEG_ENDINGS = (".mp3", ".mp2", ".mp1")


def layout(file: BinaryIO, size: int, ending: str) -> Layout:
    """The layout of an open file of `size` bytes. Raises nothing but OSError, whatever the bytes are.

    MPEG audio has no name at its start: it begins with a frame or a tag, or the name of the file ends like one of it.
    """
    start = at(file, 0, SIGNATURE_BYTES)
    if form := foreign(start):
        return Layout(unknown=True, form=form)
    reading = READINGS.get(start[:4]) or READINGS.get(start[:2])
    if reading is not None:
        return reading(file, size)
    if start[:3] == b"ID3" or start[:1] == b"\xff" or ending.lower() in MPEG_ENDINGS:
        return mpeg(file, size)
    return Layout(unknown=True)
