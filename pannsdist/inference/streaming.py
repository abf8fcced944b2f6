"""Sound event detection while a sound arrives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pannsdist.audio.arriving import ArrivingSound
from pannsdist.audio.reader import SourceName
from pannsdist.audio.verdicts import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, rate_fault
from pannsdist.inference.arriving import ArrivingTimeline
from pannsdist.inference.detection import Event, EventFinder, Rule, WindowScores
from pannsdist.runtime.errors import UserError

BLOCK_S = 10
"""Longer pieces are taken in blocks of so many seconds, so that memory does not grow with the piece."""
LEAST_STEP_SAMPLES = 0.5
"""Windows and frames begin at least one sample apart, and half of one leaves room for the rounding of seconds."""
IN_MESSAGES = SourceName("stream", "arriving", "push floats in [-1, 1]; what was refused is not part of the stream")


class Stream:
    """The events of one sound that arrives in pieces: those of `detect`, each as soon as nothing can change it.

    It holds the state of this sound and nothing else does, so a model may have any number of streams; one of them is
    used by one thread at a time. Memory is constant. `scores` are the windows or frames that the last call computed, in
    order, as `Model.timeline` gives them.
    """

    def __init__(
        self, rate_hz: float, channels: int, timeline: ArrivingTimeline, labels: Sequence[str], rule: Rule
    ) -> None:
        if fault := rate_fault(rate_hz):
            raise UserError(f"stream: {fault}", f"give a rate from {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
        if not 1 <= channels <= MAX_CHANNELS:
            raise UserError(f"stream: channels is {channels}", f"give a number from 1 to {MAX_CHANNELS}")
        self.rate_hz, self.channels = rate_hz, channels
        self._sound = ArrivingSound(rate_hz, timeline.rate_hz, IN_MESSAGES)
        self._timeline = timeline
        self._finder = EventFinder(labels, rule, LEAST_STEP_SAMPLES / timeline.rate_hz)
        self._is_finished = False
        self.scores: tuple[WindowScores, ...] = ()

    @property
    def duration_s(self) -> float:
        """The length of what was pushed until now."""
        return self._sound.frames / self.rate_hz

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is unusual about the levels until now, as in `Detection.remarks`."""
        return self._sound.meter.remarks()

    def push(self, samples: np.ndarray) -> list[Event]:
        """The events that the next samples decide: (S,) or (S, channels) floats in [-1, 1], any number of them.

        In the order in which they are decided, which need not be that of their onsets. Raises BadClip for samples that
        are not finite, or on the scale of integers, and UserError for other arrays: the stream is as before then.
        """
        block = self._block(samples)
        self._sound.check(block)
        size = max(1, round(BLOCK_S * self.rate_hz))
        parts = (block[at : at + size].astype(np.float32) for at in range(0, len(block), size))
        return self._found(self._timeline.add(self._sound.add(part)) for part in parts)

    def finish(self) -> list[Event]:
        """The remaining events; the sound ends here. Raises BadClip for a sound without samples."""
        self._refuse_finished()
        samples, self._is_finished = self._sound.rest(), True
        found = self._found([self._timeline.add(samples), self._timeline.rest()])
        return found + self._finder.rest()

    def events(self, pieces: Iterable[np.ndarray]) -> Iterator[Event]:
        """The events of a sound in pieces, each as soon as it is decided, and the remaining ones at the end."""
        for samples in pieces:
            yield from self.push(samples)
        yield from self.finish()

    def _found(self, timelines: Iterable[Iterable[WindowScores]]) -> list[Event]:
        """The events that these windows decide, which become `scores`."""
        scores: list[WindowScores] = []
        found: list[Event] = []
        for timeline in timelines:
            computed = list(timeline)
            scores += computed
            found += self._finder.add(computed)
        self.scores = tuple(scores)
        return found

    def _block(self, samples: np.ndarray) -> np.ndarray:
        """Samples as (frames, channels). Raises UserError."""
        self._refuse_finished()
        kind = getattr(getattr(samples, "dtype", None), "kind", "")
        if kind != "f":
            given = f"of dtype {samples.dtype}" if kind else f"a {type(samples).__name__}"
            raise UserError(f"stream: the samples are {given}", "push a numpy array of floats in [-1, 1]")
        block = samples[:, None] if samples.ndim == 1 else samples
        if block.ndim != 2 or block.shape[1] != self.channels:
            right = f"push ({'samples,) or (samples, 1' if self.channels == 1 else f'samples, {self.channels}'})"
            raise UserError(f"stream: the samples have the shape {samples.shape}", f"{right}, or see channels=")
        return block

    def _refuse_finished(self) -> None:
        if self._is_finished:
            raise UserError("the stream is finished", "model.stream(...) makes another")
