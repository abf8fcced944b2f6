"""A sound that arrives in blocks of any length, as `sounds` and `chunks` define it at the rate of a network.

Axes: S samples at the network's rate; frames are samples of the sound as it arrives.
"""

from __future__ import annotations

import numpy as np

from pannsdist.audio.chunks import QUALITY, Chunks
from pannsdist.audio.loudness import LevelMeter, refusal
from pannsdist.audio.reader import SourceName
from pannsdist.audio.sounds import mix_to_mono
from pannsdist.audio.windows import HeldSamples

ENDLESS_FRAMES = 1 << 52
"""More than a century at any rate. The last chunk of a sound, which may be longer, is not known while it arrives."""


class ArrivingSound:
    """Blocks of frames -> mono samples at `rate_hz`, as soon as the filter of the resampler lets them go.

    `name` is the sound in errors. `meter` has its levels up to now.
    """

    def __init__(self, own_hz: float, rate_hz: int, name: SourceName) -> None:
        self._own_hz, self._rate_hz, self._name = own_hz, rate_hz, name
        self._resampling = Resampling(own_hz, rate_hz) if own_hz != rate_hz else None
        self.frames, self.meter = 0, LevelMeter()

    def check(self, block: np.ndarray) -> None:
        """Raise BadClip for levels that no network may get: then nothing of the block was taken."""
        if why := refusal(block):
            raise self._name.bad_clip(f"{why} (after {self.frames / self._own_hz:.3f} s)")

    def add(self, block: np.ndarray) -> np.ndarray:
        """Frames (frames, channels) float32 that were checked -> the samples (S,) that they complete, perhaps none."""
        mono = mix_to_mono(block)
        self.frames += len(block)
        self.meter.add_channels(block, mono)
        return self._measured(mono if self._resampling is None else self._resampling.add(mono))

    def rest(self) -> np.ndarray:
        """The samples (S,) behind these, after the last frame. Raises BadClip for a sound without any."""
        if not self.frames:
            raise self._name.bad_clip("it contains no samples")
        return self._measured(np.zeros(0, np.float32) if self._resampling is None else self._resampling.rest())

    def _measured(self, samples: np.ndarray) -> np.ndarray:
        self.meter.add_output(samples)
        return samples


class Resampling:
    """The `Chunks` of a mono sound that arrives in blocks, each from one resampler that is fed as its frames arrive.

    The bits are those of `Chunks` but for an end of a sound that is less than half a chunk behind the last border of
    one: there `Chunks` goes on with the chunk before, which nobody can know before the sound has ended. Both are the
    whole sound resampled at once to 1e-6.
    """

    def __init__(self, own_hz: float, rate_hz: int) -> None:
        self._own_hz, self._rate_hz = own_hz, rate_hz
        self._chunks = Chunks(ENDLESS_FRAMES, own_hz, rate_hz)
        self._held, self._beyond = HeldSamples(), np.zeros(0, np.float32)
        self._begin(0)

    def add(self, mono: np.ndarray) -> np.ndarray:
        """Frames (frames,) float32 -> the samples (S,) that they complete."""
        self._held.add(mono)
        found = []
        while True:
            window = self._chunks.window(self._index)
            stop = min(self._held.end, window.end)
            is_whole = stop == window.end
            found.append(self._resampled(stop, is_last=is_whole))
            if not is_whole:
                self._held.drop(min(stop, self._next_first))
                return np.concatenate(found)
            self._begin(self._index + 1)

    def rest(self) -> np.ndarray:
        """The samples (S,) behind these, after the last frame."""
        end = Chunks(self._held.end, self._own_hz, self._rate_hz).samples
        inside = self._resampled(self._held.end, is_last=True)
        return np.concatenate([inside, self._beyond])[: max(0, end - self._made + len(inside))]

    def _begin(self, index: int) -> None:
        """Begin a chunk: its resampler gets the frames of its window, which reaches back before the chunk."""
        import soxr

        window = self._chunks.window(index)
        self._index, self._fed = index, window.first
        self._next_first = self._chunks.window(index + 1).first if self._chunks.count > 1 else ENDLESS_FRAMES
        self._made, self._end = self._chunks.bounds(index)
        self._skipped, self._beyond = window.skipped, np.zeros(0, np.float32)
        self._resampler = soxr.ResampleStream(self._own_hz, self._rate_hz, 1, dtype="float32", quality=QUALITY)

    def _resampled(self, stop: int, *, is_last: bool) -> np.ndarray:
        """Feed frames up to one -> the samples of the chunk that come out; what lies beyond the chunk is kept."""
        mono = np.ascontiguousarray(self._held.part(self._fed, stop))
        found: np.ndarray = self._resampler.resample_chunk(mono, last=is_last)
        self._fed = stop
        skipped = min(self._skipped, len(found))
        inside = found[skipped : skipped + self._end - self._made]
        self._skipped -= skipped
        self._beyond = np.concatenate([self._beyond, found[skipped + len(inside) :]])
        self._made += len(inside)
        return inside
