"""A sound file of any length as windows, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.audio.decode import bad_clip, reason
from pannsdist.contracts import Clip

BLOCK_S = 10.0


def blocks(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    """The file's mono samples at `rate_hz`, some seconds at a time: (S,) float32. Resampled by soxr, quality HQ.

    Raises BadClip for a file that is no sound, holds no samples, or holds NaN or infinite ones.
    """
    import soundfile
    import soxr

    clip = Clip(path.name, path, ())
    try:
        with soundfile.SoundFile(path) as file:
            if len(file) == 0:
                raise bad_clip(clip, "it holds no samples")
            resampler = soxr.ResampleStream(file.samplerate, rate_hz, 1, dtype="float32", quality="HQ")
            resampled = file.samplerate != rate_hz
            for block in file.blocks(round(BLOCK_S * file.samplerate), dtype="float32", always_2d=True):
                mono = block.mean(axis=1, dtype=np.float32)
                if not np.isfinite(mono).all():
                    raise bad_clip(clip, "it holds NaN or infinite samples")
                yield resampler.resample_chunk(mono) if resampled else mono
            if resampled:
                yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise bad_clip(clip, reason(path, error)) from error


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
