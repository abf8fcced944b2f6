"""A sound of any length, and what a network answers about it, at the resolution of a picture and in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from librosa.filters import mel as mel_bands

from pannsdist.inference.detection import WindowScores

COLUMNS = 1200
MEL_BINS = 96
FFT_S = 0.032
POWER_FLOOR = 1e-10
RANGE_DB = 80.0


class Outline:
    """Waveform and log-mel of a sound of `duration_s`, in columns of equal time.

    `lowest` and `highest` (columns,) are the samples' extremes; `log_mel` (columns, bins) is in dB below the loudest.
    The log-mel is the picture's own, the same for every network: power of 32 ms under a Hann window every 16 ms, in
    Slaney's mel bands, averaged over a column.
    """

    def __init__(self, duration_s: float, rate_hz: int) -> None:
        self.duration_s, self.rate_hz = duration_s, rate_hz
        self._samples = max(1, round(duration_s * rate_hz))
        self._fft = 2 ** round(np.log2(FFT_S * rate_hz))
        self._bands = mel_bands(sr=rate_hz, n_fft=self._fft, n_mels=MEL_BINS, fmin=0.0, fmax=rate_hz / 2)
        columns = min(COLUMNS, self._samples)
        self.lowest, self.highest = np.full(columns, np.inf, np.float32), np.full(columns, -np.inf, np.float32)
        frames = min(COLUMNS, max(1, self._samples // (self._fft // 2)))
        self._power, self._frames = np.zeros((frames, MEL_BINS)), np.zeros(frames)

    def draw(self, parts: Iterable[np.ndarray]) -> Outline:
        """Take in the whole sound (S,) at `rate_hz`, part by part."""
        first, waiting, middle = 0, np.zeros(self._fft // 2, np.float32), 0
        hop = self._fft // 2
        for part in parts:
            self._widen(part, first)
            first, waiting = first + len(part), np.concatenate([waiting, part])
            if len(waiting) >= self._fft:
                framed = np.lib.stride_tricks.sliding_window_view(waiting, self._fft)[::hop]
                self._add(framed, middle)
                middle, waiting = middle + hop * len(framed), waiting[hop * len(framed) :]
        self._add(np.pad(waiting, (0, self._fft - len(waiting)))[None], middle)
        return self

    @property
    def log_mel(self) -> np.ndarray:
        """(columns, bins), in dB below the loudest band of the sound, `RANGE_DB` of it; silence is the least."""
        power = self._power / np.maximum(self._frames, 1)[:, None]
        loudness: np.ndarray = 10 * np.log10(np.maximum(power, POWER_FLOOR))
        loudest = max(loudness.max(), 10 * np.log10(POWER_FLOOR) + RANGE_DB)
        below: np.ndarray = np.maximum(loudness - loudest, -RANGE_DB)
        return below

    @property
    def band_hz(self) -> np.ndarray:
        """The middle of each band of the log-mel: (bins,) in Hz."""
        middles: np.ndarray = self._bands.argmax(axis=1) * self.rate_hz / self._fft
        return middles

    def _widen(self, part: np.ndarray, first: int) -> None:
        """Note the extremes of a part that begins with sample `first`."""
        if len(part) == 0:
            return
        place = self._places(first + np.arange(len(part)), len(self.lowest))
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        here = place[starts]
        self.lowest[here] = np.minimum(self.lowest[here], np.minimum.reduceat(part, starts))
        self.highest[here] = np.maximum(self.highest[here], np.maximum.reduceat(part, starts))

    def _add(self, framed: np.ndarray, middle: int) -> None:
        """Frames (N, fft), the first around sample `middle`."""
        spectrum = np.fft.rfft(framed * np.hanning(self._fft).astype(np.float32))
        place = self._places(middle + self._fft // 2 * np.arange(len(framed)), len(self._frames))
        np.add.at(self._power, place, (np.abs(spectrum) ** 2) @ self._bands.T)
        np.add.at(self._frames, place, 1)

    def _places(self, samples: np.ndarray, columns: int) -> np.ndarray:
        """The column of each sample; what a header left out of the duration goes into the last one."""
        places: np.ndarray = np.minimum(samples * columns // self._samples, columns - 1)
        return places


class Curves:
    """The highest probability of each label in each column of a sound of `duration_s`: `highest` (columns, C)."""

    def __init__(self, duration_s: float, labels: int) -> None:
        self._duration_s = max(duration_s, 1e-9)
        self.highest = np.zeros((COLUMNS, labels), np.float32)

    def watch(self, timeline: Iterable[WindowScores]) -> Iterator[WindowScores]:
        """Hand a timeline on, and note it."""
        for moment in timeline:
            first = min(COLUMNS - 1, int(moment.onset_s / self._duration_s * COLUMNS))
            end = max(first + 1, int(np.ceil(moment.offset_s / self._duration_s * COLUMNS)))
            np.maximum(self.highest[first:end], moment.answer, out=self.highest[first:end])
            yield moment

    def foremost(self, count: int, threshold: float) -> list[int]:
        """The labels to show, in the order in which they are at their highest.

        First come those that are somewhere the likeliest of all, with `threshold` or more; then by their highest.
        Otherwise the many names of one loud sound would leave no room for another sound.
        """
        peaks = self.highest.max(axis=0)
        likeliest = self.highest.argmax(axis=1)
        ahead = np.zeros(len(peaks), bool)
        ahead[likeliest[self.highest.max(axis=1) >= threshold]] = True
        chosen = np.lexsort((-peaks, ~ahead))[:count]
        when = self.highest[:, chosen].argmax(axis=0)
        return [int(label) for label in chosen[np.argsort(when, kind="stable")]]
