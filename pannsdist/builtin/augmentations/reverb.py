"""Augmentation `reverb`: rooms, as recorded impulse responses or simulated ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import power, probability, refuse_unordered, sound_files
from pannsdist.contracts import SoundReader, UserError, param
from pannsdist.contracts.sound_files import SoundFiles

LONGEST_S = 4.0
"""Of an impulse response, after its direct sound."""
REMEMBERED_BYTES = 64 << 20
"""Recorded responses that a process keeps in memory."""


@dataclass(frozen=True)
class ReverbParams:
    """Of simulated rooms, reverberation time and ratio of direct to reverberant sound are drawn uniformly."""

    kind: str = param("simulated", "rooms; folder: recorded impulse responses", choices=("simulated", "folder"))
    folder: str = param("", "folder with impulse responses, searched recursively; for kind=folder")
    low_rt60_s: float = param(0.15, "minimum time in s in which the sound of a room falls by 60 dB", low=0.01, high=4.0)
    high_rt60_s: float = param(0.8, "maximum reverberation time in s", low=0.01, high=4.0)
    low_direct_db: float = param(
        0.0, "minimum power of the direct sound over the reverberant one in dB", low=-30, high=60
    )
    high_direct_db: float = param(
        15.0, "maximum power of the direct sound over the reverberant one in dB", low=-30, high=60
    )
    probability: float = probability()


class Reverb:
    """Convolve the clip with the impulse response of a random room.

    The direct sound, which is the largest value of a response, stays where it was, and the mean power of the clip stays
    the same: neither labels in time nor levels change. What rings on after the clip is cut. A simulated room is one
    pulse and noise that decays exponentially (Polack 1988, as in Jot, Cerveau and Warusfel 1997); it needs no files.
    Source: responses as augmentation: Ko et al. 2017, "A study on data augmentation of reverberant speech".
    """

    Params: ClassVar[type] = ReverbParams

    def __init__(self, params: ReverbParams) -> None:
        refuse_unordered("reverb", params, "low_rt60_s", "high_rt60_s")
        refuse_unordered("reverb", params, "low_direct_db", "high_direct_db")
        self.params = params
        if params.kind != "folder" and params.folder:
            wrong = f"augment.reverb.folder is {params.folder}, but augment.reverb.kind is {params.kind}"
            raise UserError(wrong, "augment.reverb.kind=folder uses its files")
        found = sound_files("reverb", params.folder) if params.kind == "folder" else SoundFiles(())
        self.sounds, self.skipped = found.paths, found.skipped

    def __call__(
        self,
        waveform: np.ndarray,
        rate_hz: int,
        generator: np.random.Generator,
        read: SoundReader | None = None,
    ) -> np.ndarray:
        """(S,) float32 -> (S,) float32; `read` is needed for recorded responses."""
        response = self._response(rate_hz, generator, read)
        return reverberant(waveform, response)

    def _response(self, rate_hz: int, generator: np.random.Generator, read: SoundReader | None) -> np.ndarray:
        if self.params.kind == "simulated":
            rt60_s = generator.uniform(self.params.low_rt60_s, self.params.high_rt60_s)
            direct_db = generator.uniform(self.params.low_direct_db, self.params.high_direct_db)
            return simulated(rt60_s, direct_db, rate_hz, generator)
        assert read is not None
        path = self.sounds[int(generator.integers(len(self.sounds)))]
        return _REMEMBERED.of(path, rate_hz, lambda: read(path))


def simulated(rt60_s: float, direct_db: float, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """A response (R,) float32: a pulse, then noise that falls by 60 dB in `rt60_s`, `direct_db` below it in power."""
    length = max(2, round(rt60_s * rate_hz))
    tail = generator.standard_normal(length, dtype=np.float32)
    tail *= np.exp(np.linspace(0.0, -3 * np.log(10), length, dtype=np.float32))
    tail[0] = 0.0
    tail *= np.float32(10 ** (-direct_db / 20) / np.sqrt(np.sum(np.square(tail, dtype=np.float64))))
    tail[0] = 1.0
    return tail


def reverberant(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """(S,) float32 -> (S,) float32 with the same mean power; silence where one of the two is silent."""
    from scipy.signal import fftconvolve

    direct = int(np.abs(response).argmax())
    wet: np.ndarray = fftconvolve(waveform, response)[direct : direct + len(waveform)]
    before, after = power(waveform), power(wet)
    if not before or not after:
        return waveform
    return (wet * np.float32(np.sqrt(before / after))).astype(np.float32)


class _Remembered:
    """Recorded responses (R,) float32 that were read, at most some bytes of them. They do not change during a run."""

    def __init__(self, at_most_bytes: int) -> None:
        self._known: OrderedDict[tuple[Path, int], np.ndarray] = OrderedDict()
        self._at_most_bytes, self._bytes, self._lock = at_most_bytes, 0, threading.Lock()

    def of(self, path: Path, rate_hz: int, read: Callable[[], np.ndarray]) -> np.ndarray:
        """The response of a file up to some seconds after its direct sound, at a rate at which `read` gives it."""
        key = (path, rate_hz)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        whole = read()
        response = whole[: int(np.abs(whole).argmax()) + round(LONGEST_S * rate_hz)].copy()
        with self._lock:
            self._bytes += 0 if key in self._known else response.nbytes
            self._known[key] = response
            while self._bytes > self._at_most_bytes and len(self._known) > 1:
                self._bytes -= self._known.popitem(last=False)[1].nbytes
        return response


_REMEMBERED = _Remembered(REMEMBERED_BYTES)
