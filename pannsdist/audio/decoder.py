"""The decoder of sound files, libsndfile: the only place of the package that opens one to read it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.audio.containers.layout import Piece
from pannsdist.audio.encoded import NotedBytes, NotedErrors, SoundFile, cause, noted, opened
from pannsdist.audio.splice import Splice

MISLEADING = ("File does not exist or is not a regular file", "Unspecified internal error", "Internal error : SF_INFO")
"""What libsndfile says of an existing file without a sound that it can decode."""


class DecodingError(Exception):
    """A sound file that cannot be opened or decoded; its text is the reason."""


class Decoder:
    """A sound file, open for decoding; `pieces` replace its bytes. Every method raises DecodingError, and CannotRead.

    libsndfile and soundfile raise exceptions of many types for damaged files (LibsndfileError, ValueError, MemoryError,
    UnicodeError and others), of which none is a fault of the program: all become DecodingError here.
    """

    def __init__(self, source: SoundFile, pieces: Sequence[Piece] = ()) -> None:
        import soundfile

        self._source = source
        self._bytes: NotedErrors | NotedBytes | None = None
        with self._decoding():
            try:
                if isinstance(source, Path) and not pieces:
                    self._file: Any = soundfile.SoundFile(os.fsencode(source), "r")
                else:
                    file = opened(source)
                    self._bytes = noted(Splice(file, pieces) if pieces else file)
                    self._file = soundfile.SoundFile(self._bytes, "r")
            except BaseException:
                self._close_bytes()
                raise
        self.can_seek, self.position = bool(self._file.seekable()), 0
        self._file.seekable = _never  # else soundfile seeks after every read, which fails near damage
        self.frames, self.rate_hz, self.channels = len(self._file), self._file.samplerate, self._file.channels
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype
        self.inexact = 0
        self.landmarks: tuple[tuple[int, int], ...] = ()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._close_bytes()

    def seek(self, frame: int) -> None:
        """Move to a frame, if it `can_seek`; see `audio.seeking` for what it then gives."""
        with self._decoding():
            self._file.seek(frame)
        self.position = frame

    def read(self, frames: int) -> np.ndarray:
        """The next frames, fewer at the end: (S, channels) float32."""
        with self._decoding():
            samples: np.ndarray = self._file.read(frames, dtype="float32", always_2d=True)
        self.position += len(samples)
        return samples

    def _close_bytes(self) -> None:
        if self._bytes is not None:
            self._bytes.close()

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Context in which errors of the decoder become DecodingError, those of a store CannotRead."""
        failed: Exception | None = None
        try:
            yield
        except Exception as error:  # noqa: BLE001 raised below as one of two types
            failed = error
        if (why := cause(self._source, failed, self._bytes)) is not None:
            raise DecodingError(_reason(self._source, why)) from why


def _never() -> bool:
    return False


def _reason(source: SoundFile, error: Exception) -> str:
    """Why a file cannot be read."""
    if isinstance(source, Path) and not os.path.exists(source):  # noqa: PTH110 pathlib raises for some names
        return "there is no such file"
    said = str(getattr(error, "error_string", error)).strip() or type(error).__name__
    if said.startswith(MISLEADING):
        return "libsndfile cannot decode it (it finds no sound in it)"
    return f"libsndfile cannot decode it ({said.splitlines()[0]})"
