"""A sound of any length and its scores, reduced to the resolution of a plot in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pannsdist.contracts.mel import mel_filters
from pannsdist.inference.detection import WindowScores

COLUMNS = 1200
MEL_BINS = 96
FFT_S = 0.032
POWER_FLOOR = 1e-10
RANGE_DB = 80.0


class Outline:
    """Waveform and log-mel of a sound of `duration_s`, in columns of equal time.

    `lowest` and `highest` (columns,) are the extremes of the samples; `log_mel` (columns, bins) is in dB below the
    loudest. The log-mel is the same for every network: power spectra of 32 ms with a Hann window every 16 ms, in
    Slaney's mel bands, averaged over a column.
    """

    def __init__(self, duration_s: float, rate_hz: int) -> None:
        self.duration_s, self.rate_hz = duration_s, rate_hz
        self._samples = max(1, round(duration_s * rate_hz))
        self._fft = 2 ** round(np.log2(FFT_S * rate_hz))
        self._bands = mel_filters(np.fft.rfftfreq(self._fft, 1 / rate_hz), MEL_BINS, 0.0, rate_hz / 2)
        columns = min(COLUMNS, self._samples)
        self.lowest, self.highest = np.full(columns, np.inf, np.float32), np.full(columns, -np.inf, np.float32)
        frames = min(COLUMNS, max(1, self._samples // (self._fft // 2)))
        self._power, self._frames = np.zeros((frames, MEL_BINS)), np.zeros(frames)

    def add(self, blocks: Iterable[np.ndarray]) -> Outline:
        """Add the whole sound, in blocks (S,) at `rate_hz`. Returns itself."""
        first, pending, center = 0, np.zeros(self._fft // 2, np.float32), 0
        hop = self._fft // 2
        for block in blocks:
            self._add_extremes(block, first)
            first, pending = first + len(block), np.concatenate([pending, block])
            if len(pending) >= self._fft:
                framed = np.lib.stride_tricks.sliding_window_view(pending, self._fft)[::hop]
                self._add_frames(framed, center)
                center, pending = center + hop * len(framed), pending[hop * len(framed) :]
        self._add_frames(np.pad(pending, (0, self._fft - len(pending)))[None], center)
        return self

    @property
    def log_mel(self) -> np.ndarray:
        """(columns, bins) in dB relative to the loudest band of the sound, from -`RANGE_DB`, also for silence, to 0."""
        power = self._power / np.maximum(self._frames, 1)[:, None]
        loudness: np.ndarray = 10 * np.log10(np.maximum(power, POWER_FLOOR))
        loudest = max(loudness.max(), 10 * np.log10(POWER_FLOOR) + RANGE_DB)
        below: np.ndarray = np.maximum(loudness - loudest, -RANGE_DB)
        return below

    @property
    def band_hz(self) -> np.ndarray:
        """The center frequency of each band of the log-mel: (bins,) in Hz."""
        centers: np.ndarray = self._bands.argmax(axis=1) * self.rate_hz / self._fft
        return centers

    def _add_extremes(self, block: np.ndarray, first: int) -> None:
        """Update the extremes with a block that starts at sample `first`."""
        if len(block) == 0:
            return
        columns = self._columns(first + np.arange(len(block)), len(self.lowest))
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        changed = columns[starts]
        self.lowest[changed] = np.minimum(self.lowest[changed], np.minimum.reduceat(block, starts))
        self.highest[changed] = np.maximum(self.highest[changed], np.maximum.reduceat(block, starts))

    def _add_frames(self, framed: np.ndarray, center: int) -> None:
        """Add frames (N, fft) to the log-mel, the first one centered at sample `center`."""
        spectrum = np.fft.rfft(framed * np.hanning(self._fft).astype(np.float32))
        columns = self._columns(center + self._fft // 2 * np.arange(len(framed)), len(self._frames))
        np.add.at(self._power, columns, (np.abs(spectrum) ** 2) @ self._bands.T)
        np.add.at(self._frames, columns, 1)

    def _columns(self, samples: np.ndarray, count: int) -> np.ndarray:
        """The column of each sample; samples beyond the duration in the file's header go into the last one."""
        columns: np.ndarray = np.minimum(samples * count // self._samples, count - 1)
        return columns


class Curves:
    """The highest probability of each label in each column of a sound of `duration_s`: `highest` (columns, C)."""

    def __init__(self, duration_s: float, labels: int) -> None:
        self._duration_s = max(duration_s, 1e-9)
        self.highest = np.zeros((COLUMNS, labels), np.float32)

    def record(self, timeline: Iterable[WindowScores]) -> Iterator[WindowScores]:
        """Pass a timeline through, and add it to the curves."""
        for window in timeline:
            first = min(COLUMNS - 1, int(window.onset_s / self._duration_s * COLUMNS))
            end = max(first + 1, int(np.ceil(window.offset_s / self._duration_s * COLUMNS)))
            np.maximum(self.highest[first:end], window.output, out=self.highest[first:end])
            yield window

    def top_labels(self, count: int, threshold: float) -> list[int]:
        """The indices of the labels to plot, sorted by the time of their maximum.

        Labels that are somewhere the most probable one, with at least `threshold`, are chosen first; then those with
        the highest maximum. Otherwise the many labels of one loud sound would leave no row for another sound.
        """
        peaks = self.highest.max(axis=0)
        most_probable = self.highest.argmax(axis=1)
        preferred = np.zeros(len(peaks), bool)
        preferred[most_probable[self.highest.max(axis=1) >= threshold]] = True
        chosen = np.lexsort((-peaks, ~preferred))[:count]
        when = self.highest[:, chosen].argmax(axis=0)
        return [int(label) for label in chosen[np.argsort(when, kind="stable")]]
