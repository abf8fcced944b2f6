"""What libsndfile does not read, through PyAV: AAC, ALAC, AC-3, AMR, WMA, and the sound track of video files.

FFmpeg is given the bytes of a file alone, and the format by `containers.foreign`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pannsdist.audio.containers.layout import ENDS_EARLY
from pannsdist.audio.decoder import DecodingError
from pannsdist.audio.encoded import NotedErrors, SoundFile, cause, opened

MISSING = "only PyAV decodes it, which is not installed: pip install 'pannsdist[av]'"
MAX_FRAMES_PER_BYTE = 4096
"""No coding has more; a crafted index may name one byte again and again."""
LANDMARK_S = 10
SLACK_S = 0.1
"""By so much the length that a container names may be off: the padding of coders, and rounding."""


class AvDecoder:
    """As `Decoder`, of the first sound track of a file of a known format.

    It seeks to `landmarks` only: frames and their time stamps, which it notes while it decodes from the start.
    Every method raises DecodingError and CannotRead. `frames` are those that the container promises, 0 if none; so many
    of them as `inexact` may be missing.
    """

    can_seek = True

    def __init__(self, source: SoundFile, form: str) -> None:
        self._source, self.format, self.position = source, form, 0
        self._bytes: NotedErrors | None = None
        try:
            import av  # noqa: F401 opened below
        except ImportError as error:
            raise DecodingError(MISSING) from error
        with self._decoding():
            self._bytes = NotedErrors(opened(source))
            self._rest = np.zeros((0, 0), np.float32)
            self._size = self._bytes.seek(0, os.SEEK_END)
            self._bytes.seek(0)
            try:
                self._begin()
            except BaseException:
                self._bytes.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._blocks.close()
        self._container.close()
        if self._bytes is not None:
            self._bytes.close()

    def seek(self, frame: int, stamp: int = 0) -> None:
        """Move a new decoder to a landmark; where it is not found again, it stays at the start."""
        with self._decoding():
            self._rest = self._found(stamp)
            if len(self._rest):
                self.position = frame
                return
            self._blocks.close()
            self._container.close()
            self._begin()

    def _found(self, stamp: int) -> np.ndarray:
        """The block with a time stamp; empty if it is not found again."""
        import av

        self._is_from_start, self._blocks = False, self._decoded_blocks()
        nothing = self._rest[:0]
        try:
            self._container.seek(stamp, stream=self._stream, backward=True)
            found = next((block for block in self._blocks if self._stamp >= stamp), nothing)
            return found if self._stamp == stamp else nothing
        except av.error.FFmpegError:
            return nothing

    def read(self, frames: int) -> np.ndarray:
        """The next frames, fewer at the end: (S, channels) float32."""
        parts: list[np.ndarray] = []
        wanted = frames
        while wanted > 0 and len(block := self._rest if len(self._rest) else self._next(bool(parts))):
            parts.append(block[:wanted])
            self._rest = block[wanted:]
            wanted -= len(parts[-1])
        self.position += frames - wanted
        return np.concatenate([np.zeros((0, self.channels), np.float32), *parts])

    def _begin(self) -> None:
        """Open the file and decode the first block: only it has the rate and the channels of HE-AAC."""
        import av

        assert self._bytes is not None
        self._bytes.seek(0)
        self._container: Any = av.open(self._bytes, "r", format=self.format, metadata_errors="replace")
        if not self._container.streams.audio:
            raise DecodingError("it has no sound track")
        self._stream: Any = self._container.streams.audio[0]
        self._stream.codec_context.thread_count = 1
        self._packets = self._decoded = self.rate_hz = self.channels = self.frames = 0
        self._failed: DecodingError | None = None
        self._is_from_start, self._stamp = True, -1
        self.landmarks: list[tuple[int, int]] = []
        self._blocks = self._decoded_blocks()
        self.subtype = str(self._stream.codec_context.name)
        self._rest = self._next(False)
        if not self.rate_hz:
            raise DecodingError("it contains no samples that PyAV can decode")
        self.frames = round(_header_s(self._container, self._stream) * self.rate_hz)
        self.inexact = round(SLACK_S * self.rate_hz)

    def _next(self, is_late: bool) -> np.ndarray:
        """The next block, empty at the end. An error is raised when nothing that was decoded waits to be returned."""
        empty = np.zeros((0, self.channels), np.float32)
        if self._failed is None:
            try:
                with self._decoding():
                    return next(self._blocks, empty)
            except DecodingError as error:
                self._failed = error
        if is_late:
            return empty
        raise self._failed

    def _decoded_blocks(self) -> Generator[np.ndarray]:
        for packet in self._container.demux(self._stream):
            self._packets += packet.size > 0
            for frame in packet.decode():
                self._note(frame)
                yield _samples(frame)
        if self._is_from_start and self._packets < self._stream.frames and self._decoded < self.frames:
            raise DecodingError(ENDS_EARLY)

    def _note(self, frame: Any) -> None:
        """Count a frame of PyAV, and refuse what no reader can use."""
        shape = frame.sample_rate, frame.layout.nb_channels
        if self.channels == 0:
            self.rate_hz, self.channels = shape
        if shape != (self.rate_hz, self.channels):
            raise DecodingError(f"its rate or its channels change after {self._decoded / self.rate_hz:.2f} s")
        if frame.pts is not None and frame.pts > self._stamp:
            self._stamp = frame.pts
            last = self.landmarks[-1][0] if self.landmarks else 0
            if self._is_from_start and self._decoded - last >= LANDMARK_S * self.rate_hz:
                self.landmarks.append((self._decoded, frame.pts))
        self._decoded += frame.samples
        if max(self._decoded, self._packets) > (self._size + 1024) * MAX_FRAMES_PER_BYTE:
            raise DecodingError("its header says more than it holds")

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Context in which errors of the decoder become DecodingError, those of a store CannotRead."""
        failed: Exception | None = None
        try:
            yield
        except Exception as error:  # noqa: BLE001 raised below as one of two types
            failed = error
        if (why := cause(self._source, failed, self._bytes)) is not None:
            raise _decoding_error(why) from why


def _decoding_error(error: Exception) -> DecodingError:
    if isinstance(error, DecodingError):
        return error
    said = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    return DecodingError(f"PyAV cannot decode it ({said.splitlines()[0]})")


def _header_s(container: Any, stream: Any) -> float:
    """The seconds of the sound track by the headers of its file, 0 if they name none that can be relied on."""
    if container.format.name.startswith(("mov", "avi", "wv", "tta", "ape", "tak")) and stream.duration:
        return float(stream.duration * stream.time_base)
    if not container.format.name.startswith(("matroska", "asf")):
        return 0.0  # FFmpeg estimates it from the bit rate
    if (named := _seconds(stream.metadata.get("DURATION", ""))) > 0:
        return named
    return float(container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0


def _seconds(text: str) -> float:
    """The seconds of `00:01:02.5`, 0 for anything else."""
    try:
        hours, minutes, seconds = map(float, text.split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def _samples(frame: Any) -> np.ndarray:
    """The samples of a frame of PyAV: (S, channels) float32, on the scale of 1."""
    array: np.ndarray = frame.to_ndarray()
    array = array.T if frame.format.is_planar else array.reshape(frame.samples, -1)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    return array.astype(np.float32) / np.float32(2.0 ** (8 * array.dtype.itemsize - 1))
