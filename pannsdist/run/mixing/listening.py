"""What of a clip sounds, and whether it can be used at all. Runs in worker processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.inspection import inspect
from pannsdist.audio.reader import clip_name
from pannsdist.contracts import Clip
from pannsdist.run.mixing.recipe import TrimSettings
from pannsdist.run.mixing.trimming import Source, sources_in
from pannsdist.runtime.errors import BadClip

CHECKSUM_DIGITS = 16


@dataclass(frozen=True)
class Heard:
    """The sources in a clip, none in a background, and a checksum of its samples; `fault` is why it cannot be used."""

    sources: tuple[Source, ...] = ()
    content: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Listening:
    """How clips are listened to: the rate of the soundscapes and the rule of the recipe."""

    rate_hz: int
    rule: TrimSettings

    def to_sources(self, clips: tuple[Clip, ...]) -> tuple[Heard, ...]:
        """The sources of each isolated clip; at least one of a clip without a fault."""
        return tuple(_heard(self._sources, clip) for clip in clips)

    def to_backgrounds(self, clips: tuple[Clip, ...]) -> tuple[Heard, ...]:
        """Whether each recorded background is a whole sound, and not silent."""
        return tuple(_heard(self._background, clip) for clip in clips)

    def _sources(self, clip: Clip) -> Heard:
        waveform = whole(clip, self.rate_hz, self.rule.longest_clip_s)
        gap_s = self.rule.label_gaps_s.get(clip.labels[0], self.rule.gap_s)
        found = sources_in(waveform, self.rate_hz, self.rule, gap_s)
        if not found:
            raise clip_name(clip).bad_clip(f"nothing in it sounds for {self.rule.shortest_s:g} s (trim.shortest_s)")
        return Heard(found, sha256(waveform.tobytes()).hexdigest()[:CHECKSUM_DIGITS])

    def _background(self, clip: Clip) -> Heard:
        facts = inspect((clip,), self.rate_hz)[0]
        if facts.error:
            raise BadClip(facts.error)
        if facts.is_silent:
            raise clip_name(clip).bad_clip("it is silent, and a background has a level")
        return Heard(content=facts.content[:CHECKSUM_DIGITS])


def whole(clip: Clip, rate_hz: int, longest_s: float) -> np.ndarray:
    """A clip (S,) float32 from start to end, as training reads it. Raises BadClip, also for one that is too long."""
    samples = round(longest_s * rate_hz)
    waveform: np.ndarray = ClipReader(rate_hz, samples + 1).crop(clip, None).waveform
    if len(waveform) > samples:
        raise clip_name(clip).bad_clip(f"it is longer than {longest_s:g} s (trim.longest_clip_s)")
    return waveform


def _heard(listen: Callable[[Clip], Heard], clip: Clip) -> Heard:
    try:
        return listen(clip)
    except BadClip as error:
        return Heard(fault=error.wrong)
