"""How to get to a frame of a sound file so that its samples do not depend on what was read before.

Of some codings libsndfile gives other samples after a seek: of Opus and MPEG until the decoder has forgotten where it
began (of MPEG the last bit never does), of Vorbis after a second seek of one decoder, and behind a seek into the last
page samples of another place. So these are read by a decoder that seeks at most once, to well before the frame.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from pannsdist.audio.av_decoder import AvDecoder
from pannsdist.audio.decoder import Decoder

BEFORE_S = 4.0
"""So much earlier decoding begins: behind 2 s no decoder of Opus was found that differed from one read from the start
by more than 1e-6, behind 1 s some did by 1e-3."""
FREE_CODINGS = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_", "MS_", "ALAC_")
NEAR_CODINGS = ("OPUS", "MPEG_", "opus", "libopus", "vorbis")
ONCE_CODINGS = ("flac", "alac", "pcm_")
"""Of PyAV. The noise in AAC and AC-3 depends on where decoding began, so they are read from the start."""


class Seeking(Enum):
    """What a decoder can do."""

    FREE = "seek at any time"
    ONCE = "seek once; the samples are those of reading from the start"
    NEAR = "seek once; the samples are nearly those of reading from the start"
    NEVER = "read from the start"


@dataclass(frozen=True)
class Access:
    """How a file is read: its way of seeking, and how many frames at its end cannot be found by a seek.

    PyAV finds only its `landmarks`: frames and their time stamps, which were noted when the file was decoded once.
    """

    seeking: Seeking = Seeking.NEVER
    last_frames: int = 0
    landmarks: tuple[tuple[int, int], ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether a frame has the same samples wherever reading began."""
        return self.seeking is not Seeking.NEAR

    def goes_on(self, position: int, frame: int) -> bool:
        """Whether a decoder at a position can be moved to a frame, or another one has to be opened."""
        if self.seeking is Seeking.FREE:
            return True
        return position == frame if self.seeking is Seeking.ONCE else position <= frame and self.is_exact

    def advance(self, decoder: Decoder | AvDecoder, frame: int, block_frames: int) -> None:
        """Move a decoder for which `goes_on` to a frame. Raises DecodingError."""
        if decoder.position == frame:
            return
        if self.seeking is Seeking.FREE:
            decoder.seek(frame)
        elif self.seeking is not Seeking.NEVER:
            latest = min(frame, decoder.frames - self.last_frames)
            if (start := latest - round(BEFORE_S * decoder.rate_hz)) > 0:
                self._seek(decoder, start)
        while decoder.position < frame and len(decoder.read(min(frame - decoder.position, block_frames))):
            pass

    def with_landmarks(self, landmarks: Sequence[tuple[int, int]]) -> Access:
        """With the landmarks that were found, if they are needed."""
        return self if self.seeking is Seeking.NEVER else replace(self, landmarks=tuple(landmarks))

    def _seek(self, decoder: Decoder | AvDecoder, frame: int) -> None:
        """Move a new decoder to a frame or the last landmark before it."""
        if isinstance(decoder, Decoder):
            decoder.seek(frame)
        elif at := bisect_right(self.landmarks, frame, key=lambda mark: mark[0]):
            decoder.seek(*self.landmarks[at - 1])


FROM_START = Access()


def access(decoder: Decoder | AvDecoder, is_whole: bool, last_page_s: float) -> Access:
    """How a file is read that is open in a decoder; damaged ones from their start, since seeks may fail in them.

    `last_page_s` is how long the last page of an Ogg file is.
    """
    if not is_whole or not decoder.can_seek or decoder.format == "SDS":  # whose last frame no seek finds
        return FROM_START
    if decoder.format == "OGG" and decoder.subtype == "VORBIS":
        return Access(Seeking.ONCE, math.ceil(last_page_s * decoder.rate_hz))
    if decoder.subtype.startswith(ONCE_CODINGS):
        return Access(Seeking.ONCE)
    if decoder.subtype.startswith(NEAR_CODINGS):
        return Access(Seeking.NEAR)
    return Access(Seeking.FREE if decoder.subtype.startswith(FREE_CODINGS) else Seeking.NEVER)
