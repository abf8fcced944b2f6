"""A report on a dataset, from reading every clip once: class counts, durations, and invalid or duplicate clips."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import median

from pannsdist.audio.clip_reader import SOUND_TOLERANCE_S
from pannsdist.audio.encoded import SoundFile
from pannsdist.audio.inspection import Facts, inspect
from pannsdist.audio.loader import Loader
from pannsdist.contracts import Clip
from pannsdist.contracts.clip_lists import events_of, is_labelled_of
from pannsdist.contracts.sound_files import is_sound
from pannsdist.run.planning.data import Data
from pannsdist.runtime.names import shown

AT_ONCE = 16
"""Clips per task of a worker."""


@dataclass(frozen=True)
class ReadClip:
    """A clip, its split, and the facts from reading it."""

    split: str
    clip: Clip
    facts: Facts

    @property
    def name(self) -> str:
        """`SPLIT/ID`."""
        return f"{self.split}/{self.clip.id}"


@dataclass(frozen=True)
class DatasetReport:
    """The findings. Names are `SPLIT/ID`; `shared` (across splits) and `duplicates` (within one) group equal clips.

    `silent` and `levels` are about what the network gets: the mean of the channels at its rate. `skipped` is what a
    search for sound files left out. Where clips have events or are not labelled, `marks` counts by split the clips with
    events, with labels and with neither, and the events; `beyond` are the clips with an event after their end.
    """

    clips: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]]
    lengths_s: Mapping[str, tuple[float, float, float]]
    rates_hz: Mapping[int, int]
    unreadable: Mapping[str, str]
    silent: Sequence[str]
    levels: Mapping[str, Sequence[str]]
    duplicates: Sequence[tuple[str, ...]]
    shared: Sequence[tuple[str, ...]]
    missing: int
    unlisted: Sequence[str]
    skipped: Sequence[str]
    marks: Mapping[str, tuple[int, int, int, int]]
    beyond: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every clip can be read and has its events within it, and no clip is in two splits."""
        return not self.unreadable and not self.shared and not self.beyond


def check_dataset(data: Data, model_rate_hz: int, workers: int, progress: Callable[[int], object]) -> DatasetReport:
    """Read all clips in worker processes and report on them; `progress` is called with the number of clips done."""
    loader = Loader(workers)
    try:
        return report(data, read_all(data, model_rate_hz, loader, progress))
    finally:
        loader.close()


def read_all(data: Data, model_rate_hz: int, loader: Loader, progress: Callable[[int], object]) -> list[ReadClip]:
    """Read every clip of the splits in full with the loader's workers, in the order of the splits."""
    listed = [(split, clip) for split, table in data.splits.items() for clip in table.clips]
    parts = [tuple(clip for _, clip in listed[at : at + AT_ONCE]) for at in range(0, len(listed), AT_ONCE)]
    found: list[Facts] = []
    for facts in loader.map(partial(inspect, model_rate_hz=model_rate_hz), parts):
        found += facts
        progress(len(facts))
    return [ReadClip(split, clip, facts) for (split, clip), facts in zip(listed, found, strict=True)]


def report(data: Data, clips: Sequence[ReadClip]) -> DatasetReport:
    """The report on all clips."""
    usable = [one for one in clips if not one.facts.error]
    same = _same_sounds(usable)
    return DatasetReport(
        clips={split: len(table) for split, table in data.splits.items()},
        classes=_counts(data),
        lengths_s={
            split: (min(lengths), median(lengths), max(lengths))
            for split in data.splits
            if (lengths := [one.facts.duration_s for one in usable if one.split == split])
        },
        rates_hz=dict(sorted(Counter(one.facts.rate_hz for one in usable).items())),
        unreadable={one.name: one.facts.error for one in clips if one.facts.error},
        silent=[one.name for one in usable if one.facts.is_silent],
        levels={one.name: one.facts.remarks for one in usable if one.facts.remarks},
        duplicates=[_names(group) for group in same if len({one.split for one in group}) == 1],
        shared=_shared(clips, same),
        missing=len(getattr(data.part.plugin, "missing", ())),
        unlisted=_unlisted(data),
        skipped=[str(one) for one in data.part.skipped],
        marks=_marks(data),
        beyond={one.name: said for one in usable if (said := _beyond(one))},
    )


def _marks(data: Data) -> dict[str, tuple[int, int, int, int]]:
    """(clips with events, with labels alone, without either, events) of each split; nothing without events."""
    found = {}
    for split, table in data.splits.items():
        events, is_labelled = list(events_of(table.clips)), is_labelled_of(table.clips)
        strong = sum(own is not None for own in events)
        labelled = int(is_labelled.sum())
        found[split] = (strong, labelled - strong, len(table) - labelled, sum(len(own or ()) for own in events))
    return found if any(strong or unlabelled for strong, _, unlabelled, _ in found.values()) else {}


def _beyond(one: ReadClip) -> str:
    """How an event ends after its clip; empty if none does."""
    last = max(one.clip.events or (), key=lambda event: event.offset_s, default=None)
    if last is None or last.offset_s <= one.facts.duration_s + SOUND_TOLERANCE_S:
        return ""
    return f"{last.label!r} ends at {last.offset_s:.3f} s, the clip at {one.facts.duration_s:.3f} s"


def _counts(data: Data) -> dict[str, dict[str, int]]:
    """The clips of each label in each split."""
    found = {
        split: Counter(label for clip in table.clips for label in clip.labels) for split, table in data.splits.items()
    }
    return {label: {split: counts[label] for split, counts in found.items()} for label in data.labels}


def _names(group: Sequence[ReadClip]) -> tuple[str, ...]:
    return tuple(one.name for one in group)


def _same_sounds(usable: Sequence[ReadClip]) -> list[list[ReadClip]]:
    """Groups of clips with identical samples; silent clips are excluded, since all silence is identical."""
    groups: dict[str, list[ReadClip]] = {}
    for one in usable:
        if not one.facts.is_silent:
            groups.setdefault(one.facts.content, []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def _shared(clips: Sequence[ReadClip], same: Sequence[Sequence[ReadClip]]) -> list[tuple[str, ...]]:
    """Clips of different splits with identical samples, or overlapping segments of one file."""
    found = {_names(group): None for group in same if len({one.split for one in group}) > 1}
    known = {frozenset(pair) for names in found for pair in combinations(names, 2)}
    for pair in _overlapping(clips):
        if frozenset(pair) not in known:
            found[pair] = None
    return list(found)


def _overlapping(clips: Sequence[ReadClip]) -> Iterator[tuple[str, str]]:
    files: dict[SoundFile, list[ReadClip]] = {}
    for one in clips:
        source = one.clip.source
        if isinstance(source, SoundFile):
            file = Path(os.path.realpath(source)) if isinstance(source, Path) else source
            files.setdefault(file, []).append(one)
    for pieces in files.values():
        last: dict[str, ReadClip] = {}
        for one in sorted(pieces, key=lambda piece: (piece.clip.start_s, _end_s(piece))):
            for split, earlier in last.items():
                if split != one.split and _end_s(earlier) > one.clip.start_s:
                    yield earlier.name, one.name
            if one.split not in last or _end_s(one) > _end_s(last[one.split]):
                last[one.split] = one


def _end_s(one: ReadClip) -> float:
    duration_s = one.clip.duration_s
    return float("inf") if duration_s is None else one.clip.start_s + duration_s


def _unlisted(data: Data) -> list[str]:
    """Audio files in the dataset's folders that are in none of its splits."""
    plugin = data.part.plugin
    clips = (clip for split in plugin.splits for clip in plugin.clips(split))
    used = {clip.source for clip in clips if isinstance(clip.source, Path)}
    folders = sorted({path.parent for path in used})
    beside = (path for folder in folders for path in sorted(folder.iterdir()))
    return [shown(path) for path in beside if is_sound(path.name) and path not in used and not path.is_dir()]
