"""Framewise probabilities of a sound of any length, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice

import numpy as np

from pannsdist.audio.windows import Window
from pannsdist.inference.detection import WindowScores
from pannsdist.inference.frame_windows import FrameWindows
from pannsdist.runtime.errors import UserError


class FrameScorer:
    """The probabilities (C,) of each frame of a sound from its windows; the last frame ends where the sound ends.

    `run` computes (B, T, C) from waveforms (B, S) at `rate_hz`; up to `batch_windows` of equal length together.
    """

    def __init__(
        self, plan: FrameWindows, rate_hz: int, run: Callable[[np.ndarray], np.ndarray], batch_windows: int = 1
    ) -> None:
        self._plan, self._rate_hz, self._run, self._batch_windows = plan, rate_hz, run, batch_windows
        self._previous: tuple[Window, np.ndarray] | None = None
        self._done = 0

    def add(self, windows: Iterable[Window]) -> Iterator[WindowScores]:
        """The frames that no window behind these changes; consume all of them."""
        for window, outputs in _computed(iter(windows), self._plan, self._run, self._batch_windows):
            if self._previous is not None:
                yield from self._up_to(self._plan.seam(self._previous[0], window))
            self._previous = (window, outputs)
            yield from self._up_to(self._plan.settled(window))

    def rest(self) -> Iterator[WindowScores]:
        """The frames after the last window."""
        if self._previous is not None:
            yield from self._up_to(-(-self._previous[0].end // self._plan.frame_samples))

    def _up_to(self, end: int) -> Iterator[WindowScores]:
        """The frames of the newest window before one of the sound, which begin within it."""
        assert self._previous is not None
        window, outputs = self._previous
        end = min(end, -(-window.end // self._plan.frame_samples))
        yield from _window_scores(window, outputs, range(self._done, end), self._plan.frame_samples, self._rate_hz)
        self._done = max(self._done, end)


def frame_scores(
    windows: Iterable[Window],
    plan: FrameWindows,
    rate_hz: int,
    run: Callable[[np.ndarray], np.ndarray],
    batch_windows: int = 1,
) -> Iterator[WindowScores]:
    """The frames of `FrameScorer` of a whole sound."""
    scorer = FrameScorer(plan, rate_hz, run, batch_windows)
    yield from scorer.add(windows)
    yield from scorer.rest()


def padded_first(windows: Iterable[Window], samples: int) -> Iterator[Window]:
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
