"""One waveform of a packed file, read when a clip is."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pannsdist.contracts import UserError, shown

__all__ = ["DAMAGED", "OPEN", "PackedWaveform", "Stamp", "stamp_of"]

FULL_SCALE = np.float32(32767)
"""PANNs packs `x * 32767` and divides by that; a sound file would be divided by 32768."""
OPEN_FILES = 16
DAMAGED = (OSError, KeyError, ValueError, RuntimeError, TypeError)
"""What h5py raises for damaged files."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size and time of a file when its clips were listed."""

    size_bytes: int
    mtime_ns: int


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file. Raises OSError."""
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class PackedWaveform:
    """A row of the dataset `waveform` of a packed file: a `SampleSource`.

    `stamp` is that of the file when it was listed. Each process opens the file itself, once.
    """

    path: Path
    row: int
    rate_hz: int
    duration_s: float
    stamp: Stamp

    def samples(self) -> tuple[np.ndarray, int]:
        """The row (S,) float32, integers divided by 32767, and its rate. Raises UserError for what ends a run."""
        try:
            if stamp_of(self.path) != self.stamp:
                right = "start the run again, if the change was meant"
                raise UserError(f"{shown(self.path)} has changed since its clips were listed", right)
            values = OPEN.waveforms(self.path, self.stamp)[self.row]
        except DAMAGED as error:
            wrong = f"{shown(self.path)}: row {self.row} cannot be read: {_reason(error)}"
            raise UserError(wrong, "once it can be read, or is copied again, repeat the command") from error
        return values.astype(np.float32) / FULL_SCALE if values.dtype == np.int16 else values, self.rate_hz


class _OpenFiles:
    """The files that this process has open. h5py's handles must not be used after a fork."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._files: OrderedDict[tuple[Path, Stamp], Any] = OrderedDict()

    def waveforms(self, path: Path, stamp: Stamp) -> Any:
        """The dataset `waveform` of a file. Raises what h5py does."""
        if self._process != os.getpid():
            self.__init__()  # type: ignore[misc]
        key = path, stamp
        if key not in self._files:
            self._files[key] = h5py.File(path, "r", locking=False)
            while len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(key)
        return self._files[key]["waveform"]

    def close(self, path: Path) -> None:
        """Close a file, of which HDF5 would otherwise show what it was when it was opened."""
        for key in [key for key in self._files if key[0] == path]:
            self._files.pop(key).close()


OPEN = _OpenFiles()


def _reason(error: BaseException) -> str:
    return shown(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
