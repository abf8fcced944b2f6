"""A sound of any length, out of a file or in memory, as windows and in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pannsdist.audio.decode import length_of, reason
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import BadClip

BLOCK_S = 10.0


@dataclass(frozen=True)
class Recording:
    """A sound in memory: samples (S,) or (S, channels), floats in [-1, 1], and what it is called in messages."""

    name: str
    samples: np.ndarray = field(repr=False, compare=False)
    rate_hz: float

    def __str__(self) -> str:
        return self.name


AudioInput = Path | Recording


def duration_s(source: AudioInput) -> float:
    """How long a sound lasts, of a file by its header. Raises BadClip for a file that is no sound."""
    if isinstance(source, Recording):
        return len(source.samples) / source.rate_hz
    frames, rate_hz = length_of(Clip(source.name, source, ()))
    return frames / rate_hz


def blocks(source: AudioInput, rate_hz: int) -> Iterator[np.ndarray]:
    """The sound's mono samples at `rate_hz`, some seconds at a time: (S,) float32. Resampled by soxr, quality HQ.

    Raises BadClip for a file that is no sound, and for a sound that holds no samples, or NaN or infinite ones.
    """
    if isinstance(source, Recording):
        step = max(1, round(BLOCK_S * source.rate_hz))
        parts = (source.samples[first : first + step] for first in range(0, len(source.samples), step))
        yield from _resampled(_mono(parts, source), source.rate_hz, rate_hz)
        return
    import soundfile

    try:
        with soundfile.SoundFile(source) as file:
            parts = file.blocks(round(BLOCK_S * file.samplerate), dtype="float32", always_2d=True)
            yield from _resampled(_mono(parts, source), file.samplerate, rate_hz)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise _bad(source, reason(source, error)) from error


def _bad(source: AudioInput, why: str) -> BadClip:
    place = source if isinstance(source, Path) else "in memory"
    return BadClip(f"clip '{source.name}' ({place}): {why}", "mend it, or leave it out")


def _mono(parts: Iterable[np.ndarray], source: AudioInput) -> Iterator[np.ndarray]:
    """The mean of the channels. Raises BadClip."""
    empty = True
    for part in parts:
        mono = part.mean(axis=1, dtype=np.float32) if part.ndim == 2 else part.astype(np.float32)
        if not np.isfinite(mono).all():
            raise _bad(source, "it holds NaN or infinite samples")
        empty = False
        yield mono
    if empty:
        raise _bad(source, "it holds no samples")


def _resampled(parts: Iterable[np.ndarray], own_hz: float, rate_hz: int) -> Iterator[np.ndarray]:
    if own_hz == rate_hz:
        yield from parts
        return
    import soxr

    resampler = soxr.ResampleStream(own_hz, rate_hz, 1, dtype="float32", quality="HQ")
    for part in parts:
        yield resampler.resample_chunk(part)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


@dataclass(frozen=True)
class Window:
    """A stretch of a sound: samples `first` to `end` of it, as a waveform (S,) float32 that silence may follow."""

    first: int
    end: int
    waveform: np.ndarray


def windows(
    parts: Iterable[np.ndarray], window_samples: int, hop_samples: int, shortest_samples: int
) -> Iterator[Window]:
    """A window of `window_samples` at every hop, which is no longer than a window; the last ends with the sound.

    A sound that is shorter than a window gives one of its own length, followed by silence up to `shortest_samples`.
    """
    waiting = np.zeros(0, np.float32)
    tail = np.zeros(0, np.float32)
    first = total = end = 0
    for part in parts:
        waiting, total = np.concatenate([waiting, part]), total + len(part)
        tail = np.concatenate([tail, part])[-window_samples:]
        while len(waiting) >= window_samples:
            end = first + window_samples
            yield Window(first, end, waiting[:window_samples])
            waiting, first = waiting[hop_samples:], first + hop_samples
    if total < window_samples:
        yield Window(0, total, np.pad(tail, (0, max(0, shortest_samples - total))))
    elif end < total:
        yield Window(total - window_samples, total, tail)


def stretches(parts: Iterable[np.ndarray], window_samples: int, hop_samples: int) -> Iterator[Window]:
    """A window of `window_samples` at every hop, each from a multiple of it; the last is what is left of the sound.

    What is left is longer than the overlap of two windows, unless the sound itself is shorter.
    """
    waiting, first = np.zeros(0, np.float32), 0
    for part in parts:
        waiting = np.concatenate([waiting, part])
        while len(waiting) > window_samples:
            yield Window(first, first + window_samples, waiting[:window_samples])
            waiting, first = waiting[hop_samples:], first + hop_samples
    yield Window(first, first + len(waiting), waiting)
