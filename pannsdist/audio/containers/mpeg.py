"""MPEG audio, such as MP3: the headers of all frames, without decoding (ISO 11172-3 and 13818-3)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from pannsdist.audio.containers.layout import ENDS_EARLY, Layout, Piece, at
from pannsdist.audio.containers.remainder import STARTS, TRAILING_JUNK
from pannsdist.audio.containers.tags import tag_size

SYNC = re.compile(rb"\xff[\xe2-\xff]")
PART = 1 << 16
HEADER = 54
"""Bytes read of each frame: its header, and where the first frame may say `Xing` or `VBRI`."""
VBRI_POSITION, VBRI_FRAMES = 36, 50
XING = struct.Struct(">4sII21s3s")
DECODER_DELAY = 529
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
KBITS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By (MPEG version 1 or lower, layer as coded: 3 is layer I)."""


@dataclass(frozen=True)
class _Frame:
    """A frame: its bytes, samples and rate, and the four bytes of its header."""

    size: int
    samples: int
    rate_hz: int
    header: bytes

    @property
    def kind(self) -> tuple[int, int]:
        """What does not change within a stream: version and layer, and the rate."""
        return self.header[1] & 0x1E, self.rate_hz

    @property
    def info_position(self) -> int:
        """Where the first frame may hold `Xing` or `Info`."""
        is_mono, is_first_version = self.header[3] >> 6 == 3, self.header[1] >> 3 & 3 == 3
        return 4 + ((17 if is_mono else 32) if is_first_version else (9 if is_mono else 17))


@dataclass
class _Stream:
    """The frames found, behind `begin` bytes that are neither frames nor tags.

    `counted` is their number by a Xing header, which is a frame without sound. There should be `at_least` so many. By a
    VBRI header that is one less than it says, since some count that header.
    """

    first: _Frame | None = None
    begin: int = 0
    frames: int = 0
    size: int = 0
    counted: int | None = None
    at_least: int = 0
    info: int = 0
    fault: str = ""
    gaps: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, frame: _Frame, position: int) -> None:
        self.frames, self.size = self.frames + 1, self.size + frame.size
        if self.spans and self.spans[-1][1] == position:
            self.spans[-1] = (self.spans[-1][0], position + frame.size)
        else:
            self.spans.append((position, position + frame.size))

    @property
    def length_s(self) -> float:
        return self.frames * self.first.samples / self.first.rate_hz if self.first else 0.0


def mpeg(file: BinaryIO, size: int) -> Layout:
    """Walk from frame to frame, over tags and over what is no frame, which is damage unless it stands at an end."""
    stream = _walked(file, size)
    first, counted = stream.first, stream.counted
    if first is None or not stream.frames:
        return Layout(unknown=True)
    per_frame = first.samples / first.rate_hz
    if counted is not None and counted == stream.frames and not stream.gaps:
        # a decoder without the name of the file knows MPEG audio by its first bytes
        return Layout(whole_s=stream.length_s, pieces=((stream.begin, size),) if stream.begin else ())
    if stream.at_least > stream.frames:
        return Layout(stream.fault or ENDS_EARLY, stream.at_least * per_frame, pieces=_pieces(stream))
    missing = stream.gaps / (stream.size / stream.frames)
    whole_s = None if stream.fault == ENDS_EARLY else (stream.frames + missing) * per_frame
    frames = None if stream.fault else stream.frames * first.samples
    return Layout(stream.fault, whole_s, frames=frames, pieces=_pieces(stream))


def _walked(file: BinaryIO, size: int) -> _Stream:
    stream, position = _Stream(), 0
    while position < size:
        part = at(file, position, HEADER)
        frame = _frame(part)
        if frame is not None and _fits(stream, frame) and (stream.first or _is_followed(file, position, frame, size)):
            if position + frame.size > size:
                stream.fault = stream.fault or ENDS_EARLY
                break
            if not _is_info(stream, frame, part):
                stream.first = stream.first or frame
                stream.add(frame, position)
            position += frame.size
        elif tag := tag_size(file, position, size, part):
            position += tag
        else:
            position = _resume(file, position, size, stream)
            if not stream.frames and not stream.info:
                stream.begin = position
    return stream


def _fits(stream: _Stream, frame: _Frame) -> bool:
    return stream.first is None or frame.kind == stream.first.kind


def _resume(file: BinaryIO, position: int, size: int, stream: _Stream) -> int:
    """The position of the next frame; what lies between is damage, unless no frame stands before or behind it."""
    found = _next_frame(file, position + 1, size, stream)
    if stream.frames and found < size:
        stream.gaps += found - position
        stream.fault = stream.fault or f"{found - position} bytes after {stream.length_s:.2f} s are no sound"
    elif stream.frames and _is_sound(file, position, size):
        stream.gaps += size - position
        stream.fault = stream.fault or f"another sound file stands behind it, of {size - position} bytes"
    elif stream.frames and size - position > TRAILING_JUNK and stream.counted != stream.frames:
        stream.gaps += size - position
        stream.fault = stream.fault or f"the {size - position} bytes after {stream.length_s:.2f} s are no sound"
    return found


def _is_sound(file: BinaryIO, position: int, size: int) -> bool:
    """Whether a sound of another kind begins at a position: frames of another rate, or another container."""
    part = at(file, position, HEADER)
    frame = _frame(part)
    return part.startswith(STARTS) or (frame is not None and _is_followed(file, position, frame, size))


def _next_frame(file: BinaryIO, position: int, size: int, stream: _Stream) -> int:
    """The position of the next frame that another one, a tag or the end follows; or `size`."""
    while position < size:
        part = at(file, position, PART + HEADER)
        for found in SYNC.finditer(part, 0, min(len(part), PART + 1)):
            frame = _frame(part[found.start() : found.start() + 4])
            if frame is not None and _fits(stream, frame) and _is_followed(file, position + found.start(), frame, size):
                return position + found.start()
        position += PART
    return size


def _is_followed(file: BinaryIO, position: int, frame: _Frame, size: int) -> bool:
    end = position + frame.size
    if end >= size:
        return end == size
    part = at(file, end, HEADER)
    following = _frame(part)
    return (following is not None and following.kind == frame.kind) or bool(tag_size(file, end, size, part))


def _frame(header: bytes) -> _Frame | None:
    """The frame with this header of four bytes; None if it is none. `Free format`, without a bit rate, is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    rate, pace, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 0 or rate in (0, 15) or pace == 3 or header[3] & 3 == 2:
        return None
    bits = 1000 * KBITS[3 if version == 3 else 2, layer if version == 3 or layer == 3 else 2][rate - 1]
    rate_hz = RATES_HZ[version][pace]
    if layer == 3:
        return _Frame((12 * bits // rate_hz + padding) * 4, 384, rate_hz, header[:4])
    samples = 576 if layer == 1 and version != 3 else 1152
    return _Frame(samples // 8 * bits // rate_hz + padding, samples, rate_hz, header[:4])


def _is_info(stream: _Stream, frame: _Frame, part: bytes) -> bool:
    """Whether it is a header of Xing or VBRI, without sound; the first one's number of frames is kept."""
    place = frame.info_position
    if part[place : place + 4] in (b"Xing", b"Info"):
        has_frames = part[place + 4 : place + 8].ljust(4, b"\0")[3] & 1
        number = int.from_bytes(part[place + 8 : place + 12], "big") if has_frames else None
        at_least = number or 0
    elif part[VBRI_POSITION : VBRI_POSITION + 4] == b"VBRI":
        number, at_least = None, int.from_bytes(part[VBRI_FRAMES : VBRI_FRAMES + 4], "big") - 1
    else:
        return False
    stream.info += 1
    if stream.info == 1 and not stream.frames:
        stream.counted, stream.at_least = number, at_least
    return True


def _pieces(stream: _Stream) -> tuple[Piece, ...]:
    """The frames alone, behind a Xing header with their number: what a decoder needs to know the length.

    With such a header libmpg123 leaves out what a coder of MP3 adds, 529 samples and those that the header names.
    Silent frames in front make up for them, so that the samples are those of the frames.
    """
    first = stream.first
    assert first is not None
    place, silent = first.info_position, -(-DECODER_DELAY // first.samples)
    delay = silent * first.samples - DECODER_DELAY
    header = _smallest(first, place + XING.size)
    fields = XING.pack(b"Xing", 1, stream.frames + silent, b"pannsdist", (delay << 12).to_bytes(3, "big"))
    info = (header.header.ljust(place, b"\0") + fields).ljust(header.size, b"\0")
    quiet = _smallest(first, place)
    return (info + silent * quiet.header.ljust(quiet.size, b"\0"), *stream.spans)


def _smallest(like: _Frame, size: int) -> _Frame:
    """The smallest frame of the kind of another one that has so many bytes, or that one."""
    for code in range(1, 15):
        header = bytes([0xFF, like.header[1] | 1, code << 4 | like.header[2] & 0x0C, like.header[3]])
        frame = _frame(header)
        if frame is not None and frame.size >= size:
            return frame
    return like
