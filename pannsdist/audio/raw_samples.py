"""Samples without a header, as they come through a pipe."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator

import numpy as np

FORMATS = {"f32le": ("<f4", 1.0), "s16le": ("<i2", 1 / 32768)}
"""Type and scale of each format, by its name in ffmpeg."""
READ_BYTES = 1 << 16
STOP_POLL_S = 0.1


class RawSamples:
    """Blocks (frames, channels) float32 from an open file, each as soon as it can be read, until the file ends.

    They also end once `is_stopped`, which is asked a few times a second. `left_over` is then how many bytes followed
    the last whole frame.
    """

    def __init__(self, descriptor: int, sample_format: str, channels: int, is_stopped: Callable[[], bool]) -> None:
        self._descriptor, self._channels, self._is_stopped = descriptor, channels, is_stopped
        self._type, self._scale = FORMATS[sample_format]
        self.left_over = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        pending, frame_bytes = b"", np.dtype(self._type).itemsize * self._channels
        while not self._is_stopped():
            if not select.select([self._descriptor], [], [], STOP_POLL_S)[0]:
                continue
            read = os.read(self._descriptor, READ_BYTES)
            if not read:
                break
            pending += read
            whole = len(pending) // frame_bytes * frame_bytes
            values, pending = np.frombuffer(pending[:whole], self._type), pending[whole:]
            self.left_over = len(pending)
            if whole:
                yield (values * np.float32(self._scale)).astype(np.float32).reshape(-1, self._channels)
