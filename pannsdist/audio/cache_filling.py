"""Fills a cache of waveforms ahead of a run, and looks at what is in it; both run in worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pannsdist.audio.reader import clip_span
from pannsdist.audio.sounds import clip_part
from pannsdist.audio.waveform_cache import CachedSound, WaveformCache, cached_sound, waveform_store
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class Kept:
    """Whether all of a clip is in the cache, and else why it cannot be, or empty if it is only not yet there."""

    is_complete: bool
    why: str = ""


def fill(clips: Sequence[Clip], cache: WaveformCache, rate_hz: int) -> list[Kept]:
    """Have every chunk of each clip in the cache. Raises CannotRead where a store fails."""
    return [_filled(clip, cache, rate_hz) for clip in clips]


def look(clips: Sequence[Clip], cache: WaveformCache, rate_hz: int) -> list[Kept]:
    """Whether each clip is in the cache, and intact; opens no source. Raises CannotRead where a store fails."""
    return [Kept(is_complete(clip, cache, rate_hz)) for clip in clips]


def is_complete(clip: Clip, cache: WaveformCache, rate_hz: int) -> bool:
    """Whether a clip can be read without its source."""
    store = waveform_store(cache, rate_hz)
    known = store.known(clip)
    if known is None or store.sound(clip, known) is None:
        return False
    with cached_sound(cache, clip, rate_hz) as sound:
        return isinstance(sound, CachedSound) and not sound.missing(*clip_part(clip, sound, rate_hz))


def _filled(clip: Clip, cache: WaveformCache, rate_hz: int) -> Kept:
    try:
        with cached_sound(cache, clip, rate_hz) as sound:
            if not isinstance(sound, CachedSound):
                clip_span(clip, sound.source)
                return Kept(False, "nothing tells one version of it from another, or it is in memory")
            sound.fill(*clip_part(clip, sound, rate_hz))
    except BadClip as error:
        return Kept(False, error.wrong)
    if is_complete(clip, cache, rate_hz):
        return Kept(True)
    is_full = waveform_store(cache, rate_hz).arrays.is_full
    return Kept(False, "" if is_full else "it was changed a moment ago")
