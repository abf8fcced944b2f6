"""How a long sound is cut into windows for the frames of a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.windows import HeldSamples, Window, cut


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

    def cutter(self) -> FrameCutter:
        """Cuts a sound into these windows while it arrives."""
        return FrameCutter(self)

    def cut(self, blocks: Iterable[np.ndarray]) -> Iterator[Window]:
        """The windows of a sound, in constant memory; each starts with a frame. A shorter sound is one window."""
        return cut(self.cutter(), blocks)

    def seam(self, earlier: Window, later: Window) -> int:
        """The first frame that the later one of two windows gives: the middle of what both cover."""
        return (later.first + min(earlier.end, later.end)) // 2 // self.frame_samples

    def settled(self, window: Window) -> int:
        """The first frame of a window that may be a later window's, whatever follows; so those before are decided."""
        later = window.first + (self.frame_samples if self.is_whole else self.step * self.frame_samples)
        return (later + window.end) // 2 // self.frame_samples


class FrameCutter:
    """The windows of `FrameWindows`, as a `Cutter`."""

    def __init__(self, plan: FrameWindows) -> None:
        self._plan, self._held, self._next = plan, HeldSamples(), 0

    def add(self, block: np.ndarray) -> None:
        """See Cutter."""
        self._held.add(block)

    def ready(self) -> Iterator[Window]:
        """See Cutter. A window that the sound may end with is none yet."""
        length = self._plan.window_samples
        while self._held.end > self._next + length:
            first = self._next
            self._held.drop(first)
            self._next += self._plan.step * self._plan.frame_samples
            yield Window(first, first + length, self._held.part(first, first + length))

    def rest(self) -> Iterator[Window]:
        """See Cutter."""
        first, end, frame_samples = self._next, self._held.end, self._plan.frame_samples
        if self._plan.is_whole and first:
            missing = self._plan.window - -(-(end - first) // frame_samples)
            if 0 < missing <= self._plan.step:
                first -= missing * frame_samples
        yield Window(first, end, self._held.part(first, end))
