"""Framewise probabilities of a sound of any length, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice

import numpy as np

from pannsdist.audio.windows import Window
from pannsdist.inference.detection import WindowScores
from pannsdist.inference.frame_windows import FrameWindows
from pannsdist.runtime.errors import UserError


def frame_scores(
    windows: Iterator[Window],
    plan: FrameWindows,
    rate_hz: int,
    run: Callable[[np.ndarray], np.ndarray],
    batch_windows: int = 1,
) -> Iterator[WindowScores]:
    """The probabilities (C,) of each frame of a sound; the last one ends where the sound ends.

    `run` computes (B, T, C) from waveforms (B, S) at `rate_hz`; up to `batch_windows` of equal length together.
    """
    previous: tuple[Window, np.ndarray] | None = None
    done = 0
    for window, outputs in _computed(windows, plan, run, batch_windows):
        if previous is not None:
            seam = plan.seam(previous[0], window)
            yield from _window_scores(*previous, range(done, seam), plan.frame_samples, rate_hz)
            done = seam
        previous = (window, outputs)
    if previous is not None:
        end = -(-previous[0].end // plan.frame_samples)
        yield from _window_scores(*previous, range(done, end), plan.frame_samples, rate_hz)


def padded_first(windows: Iterator[Window], samples: int) -> Iterator[Window]:
    """Windows of which the first is padded with silence to a length, as a sound shorter than that is: all of it."""
    for window in windows:
        missing = samples - len(window.waveform) if window.first == 0 else 0
        padded = np.pad(window.waveform, (0, missing)) if missing > 0 else window.waveform
        yield Window(window.first, window.end, padded)


def _computed(
    windows: Iterator[Window], plan: FrameWindows, run: Callable[[np.ndarray], np.ndarray], batch_windows: int
) -> Iterator[tuple[Window, np.ndarray]]:
    """Each window with its outputs (T, C). Raises UserError for a network that gives too few."""
    while group := list(islice(windows, batch_windows)):
        for _, equal in groupby(group, key=lambda window: len(window.waveform)):
            batch: Sequence[Window] = list(equal)
            outputs = run(np.stack([window.waveform for window in batch]))
            for window, found in zip(batch, outputs, strict=True):
                yield window, _checked(found, window.end - window.first, plan.frame_samples)


def _window_scores(
    window: Window, outputs: np.ndarray, frames: range, frame_samples: int, rate_hz: int
) -> Iterator[WindowScores]:
    for frame in frames:
        end = min((frame + 1) * frame_samples, window.end)
        place = frame - window.first // frame_samples
        yield WindowScores(frame * frame_samples / rate_hz, end / rate_hz, outputs[place])


def _checked(outputs: np.ndarray, samples: int, frame_samples: int) -> np.ndarray:
    """Outputs (T, C), at least one for each frame that starts within the sound. Raises UserError."""
    frames = -(-samples // frame_samples)
    if len(outputs) < frames:
        wrong = f"the network gives {len(outputs)} frames for {samples} samples"
        raise UserError(wrong, f"a frame of {frame_samples} samples makes it {frames}; give --window instead")
    return outputs
