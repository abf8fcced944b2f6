"""How a long sound is cut into windows for the frames of a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.windows import Window


@dataclass(frozen=True)
class FrameWindows:
    """Windows of `window` frames of `frame_samples`, of which `margin` at each seam are their neighbour's.

    A frame that depends on no more than a margin to either side is the one of a pass over the whole sound: then the
    last window is what remains. With `is_whole` a frame depends on its whole window, as with squeeze and excitation, so
    that all windows have one length: the last one ends where the sound ends.
    """

    frame_samples: int
    window: int
    margin: int
    is_whole: bool = False

    @property
    def step(self) -> int:
        """Frames from one window to the next."""
        return max(1, self.window - 2 * self.margin)

    @property
    def window_samples(self) -> int:
        """The samples of a window."""
        return self.window * self.frame_samples

    def cut(self, blocks: Iterable[np.ndarray]) -> Iterator[Window]:
        """The windows of a sound, in constant memory; each starts with a frame. A shorter sound is one window."""
        length, step = self.window_samples, self.step * self.frame_samples
        pending, before, first = np.zeros(0, np.float32), np.zeros(0, np.float32), 0
        for block in blocks:
            pending = np.concatenate([pending, block])
            while len(pending) > length:
                yield Window(first, first + length, pending[:length])
                before, pending, first = pending[:step], pending[step:], first + step
        if self.is_whole and first:
            frames = -(-len(pending) // self.frame_samples)
            missing = (self.window - frames) * self.frame_samples
            if 0 < missing <= len(before):
                pending, first = np.concatenate([before[len(before) - missing :], pending]), first - missing
        yield Window(first, first + len(pending), pending)

    def seam(self, earlier: Window, later: Window) -> int:
        """The first frame that the later one of two windows gives: the middle of what both cover."""
        return (later.first + min(earlier.end, later.end)) // 2 // self.frame_samples
