"""Levels at which a network does not get what a listener would expect: refused, or remarked on.

A network takes the mean of the channels at its own rate, on a scale on which 1 is full scale, and nothing normalises
it. So samples that are not finite, or are integers stored as floats, are refused wherever a sound is read; everything
else is remarked on by `data check` and in inference. Nothing is rescaled.

Axes: S samples of one channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

FULL_SCALE_LIMIT = 16.0
"""24 dB above full scale: no recorder, mixer or decoder leaves floats beyond it, but integers do, 8-bit ones too."""
OVER = 2.0
"""6 dB above full scale; lossy decoders and resampling stay below."""
SILENT_PEAK = 1e-4
"""Of full scale, -80 dB: a sound whose samples all stay below it counts as silent."""
QUIET_PEAK = 1e-3
"""-60 dB: of 16 bits the sound uses five."""
CANCELLED_POWER = 0.01
"""20 dB: by so much the mean of the channels is below the channels. Of independent channels it loses 3 to 9 dB."""
OFFSET = 0.25
"""Of full scale; that of a recorder is below 0.02, that of samples with a wrong sign is 0.5 and more."""
CLIPPED_LEVEL, CLIPPED_FRACTION = 0.999, 0.01
"""A sound is clipped if more than this fraction of its samples reaches this level."""


def refusal(samples: np.ndarray) -> str:
    """Why no network may get these samples (S, ...): not finite, or not on the scale of 1. Empty if it may."""
    peak = _peak(samples)
    if peak <= FULL_SCALE_LIMIT:
        return ""
    if not np.isfinite(peak):
        return "it contains NaN or infinite samples"
    return (
        f"its samples reach {peak:.6g}, and full scale is 1: they look like integers stored as floats; "
        "divide those of 16 bits by 32768: ffmpeg -i FILE -af volume=1/32768 NEW_FILE"
    )


class LevelMeter:
    """Measures one sound block by block, in constant memory: its channels, and what the network gets of them."""

    def __init__(self) -> None:
        self._frames = 0
        self._peaks = self._sums = self._powers = self._clipped = np.zeros(1)
        self._mono_power = self._output_peak = 0.0

    def outputs(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass on blocks (S,) as the network gets them, and measure them."""
        for block in blocks:
            self.add_output(block)
            yield block

    def add_channels(self, block: np.ndarray, mono: np.ndarray) -> None:
        """Measure a block (S, channels) as decoded, and its mean over the channels (S,)."""
        channels = np.ascontiguousarray(block.T)  # reductions over the rows are ten times faster
        peaks = np.array([_peak(channel) for channel in channels])
        self._frames += len(block)
        self._peaks = np.maximum(self._peaks, peaks)
        self._sums = self._sums + channels.sum(axis=1)
        self._powers = self._powers + np.einsum("cs,cs->c", channels, channels)
        self._mono_power += float(np.dot(mono, mono))
        if peaks.max() >= CLIPPED_LEVEL:
            self._clipped = self._clipped + (np.abs(channels) >= CLIPPED_LEVEL).sum(axis=1)

    def add_output(self, block: np.ndarray) -> None:
        """Measure a block (S,) at the network's rate, after mixing to mono."""
        self._output_peak = max(self._output_peak, _peak(block))

    @property
    def peak(self) -> float:
        """The highest level that the network gets, 1 at full scale."""
        return self._output_peak

    @property
    def is_silent(self) -> bool:
        """Whether what the network gets stays below -80 dB of full scale."""
        return self._output_peak < SILENT_PEAK

    def remarks(self) -> tuple[str, ...]:
        """What is unusual about the sound, most important first; empty for most sounds."""
        frames = max(1, self._frames)
        power, peak = float(self._powers.mean()), float(self._peaks.max())
        silent = [str(number) for number, level in enumerate(self._peaks, start=1) if level < SILENT_PEAK]
        offset, clipped = float(np.abs(self._sums / frames).max()), float(self._clipped.max()) / frames
        is_cancelled = self._mono_power < CANCELLED_POWER * power and peak >= SILENT_PEAK
        found = {
            "its channels cancel each other: one may be inverted; the network gets their mean": is_cancelled,
            f"channel {', '.join(silent)} of {len(self._peaks)} is silent": 0 < len(silent) < len(self._peaks),
            "it is silent": self.is_silent and peak < SILENT_PEAK,
            "its sound is above half of the network's sample rate, which gets silence": self.is_silent
            and peak >= SILENT_PEAK
            and not is_cancelled,
            f"it is very quiet: its peak is {_decibels(self.peak)}": SILENT_PEAK <= self.peak < QUIET_PEAK,
            f"its peak is {peak:.3g}, and full scale is 1": peak > OVER,
            f"it has an offset of {offset:.2g} of full scale": offset >= OFFSET,
            f"{clipped:.0%} of its samples are clipped": clipped > CLIPPED_FRACTION and peak <= OVER,
        }
        return tuple(remark for remark, holds in found.items() if holds)


def _peak(samples: np.ndarray) -> float:
    """The largest absolute value, 0 without samples, NaN if any is; without a copy."""
    highest, lowest = samples.max(initial=0.0), samples.min(initial=0.0)
    return float(np.maximum(highest, -lowest))


def _decibels(level: float) -> str:
    return f"{20 * np.log10(max(level, 1e-12)):.0f} dB of full scale"
