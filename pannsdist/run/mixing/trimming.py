"""Where an isolated clip sounds: the energy rule of a recipe, which turns clips into sources of events.

Axes: S samples, T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.run.mixing.recipe import TrimSettings

SILENT_POWER = 1e-10
"""-100 dB of full scale: below it a frame is silent, however silent the clip is."""
Span = tuple[int, int]
"""(first, end) in samples from the start of a clip."""


@dataclass(frozen=True, slots=True)
class Source:
    """A part of a clip that can be an event: the spans of it that sound, and its end, at most `hangover` later."""

    spans: tuple[Span, ...]
    end: int
    hangover: int

    @property
    def first(self) -> int:
        """Its first sample."""
        return self.spans[0][0]

    def cut(self, into: int, samples: int) -> Span:
        """About `samples` of it, from `into` samples behind its start on; so much earlier that they are there.

        A silence at the start or the end of the cut is taken off: an event begins and ends with what sounds.
        """
        into = min(into, max(0, self.end - self.first - samples))
        start = self.first + into
        start = next((max(start, first) for first, end in self.spans if end > start), self.spans[-1][0])
        end = min(start + samples, self.end)
        last = next(last for first, last in reversed(self.spans) if first < end)
        return start, min(end, last + self.hangover)


def sources_in(waveform: np.ndarray, rate_hz: int, rule: TrimSettings, gap_s: float) -> tuple[Source, ...]:
    """The sources in a clip (S,), in order.

    A frame sounds if its mean square is at most `below_peak_db` below that of the loudest frame. Frames that sound are
    one source if no silence between them is longer than `gap_s`. A source shorter than `shortest_s` is none; the others
    go on for `hangover_s`, at most to what sounds next or the end of the clip.
    """
    frame = max(1, round(rule.frame_s * rate_hz))
    powers = _frame_powers(waveform, frame)
    limit = max(SILENT_POWER, float(powers.max(initial=0.0)) * 10 ** (-rule.below_peak_db / 10))
    spans = [(first * frame, min(end * frame, len(waveform))) for first, end in _runs(powers >= limit)]
    groups = list(_grouped(spans, round(gap_s * rate_hz)))
    limits = [*(group[0][0] for group in groups[1:]), len(waveform)]
    hangover, shortest = (round(length * rate_hz) for length in (rule.hangover_s, rule.shortest_s))
    return tuple(
        Source(tuple(group), min(group[-1][1] + hangover, limit), hangover)
        for group, limit in zip(groups, limits, strict=False)
        if group[-1][1] - group[0][0] >= shortest
    )


def _grouped(spans: Sequence[Span], gap: int) -> Iterator[list[Span]]:
    """Spans with no more than `gap` samples between them."""
    group: list[Span] = []
    for span in spans:
        if group and span[0] - group[-1][1] > gap:
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _frame_powers(waveform: np.ndarray, frame: int) -> np.ndarray:
    """The mean square of each frame: (T,); the last frame may be shorter."""
    starts = np.arange(0, len(waveform), frame)
    squares = np.square(waveform, dtype=np.float64)
    lengths = np.minimum(frame, len(waveform) - starts)
    found: np.ndarray = np.add.reduceat(squares, starts) / lengths if len(starts) else squares
    return found


def _runs(active: np.ndarray) -> list[Span]:
    """(first, end) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]
