"""For dataset plugins: clips in columns, for data sets with millions of them.

A list of a million `Clip`s with their paths needs most of a gigabyte in every process. The same clips in columns need a
tenth of it, and checks of a whole data set go through columns much faster. Axes: N clips, K labels of all of them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any, overload

import numpy as np

from pannsdist.contracts.event_columns import EventColumns, joined_events
from pannsdist.contracts.ragged import Ragged
from pannsdist.contracts.records import Clip, Event

__all__ = [
    "ClipList",
    "EventColumns",
    "Files",
    "Ragged",
    "events_of",
    "groups_of",
    "ids_of",
    "is_labelled_of",
    "joined",
    "labels_of",
    "segments_of",
    "sources_of",
    "taken",
]


@dataclass(frozen=True, eq=False)
class Files(Sequence[Path]):
    """Files below a folder by their paths relative to it, with slashes; a `Path` is made when it is taken."""

    root: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> Path | Files:
        return Files(self.root, self.names[index]) if isinstance(index, slice) else self.root / self.names[index]

    def take(self, rows: np.ndarray) -> Files:
        """Some of them, in the order of `rows`."""
        return Files(self.root, _taken(self.names, rows))


@dataclass(frozen=True, eq=False)
class ClipList(Sequence[Clip]):
    """Clips in columns; a `Clip` is made when it is taken, equal to the one that a plugin would have made itself.

    `labels` are numbers of `label_names`. `starts_s` and `durations_s` are (N,) float64, of which NaN is the end of the
    file, or None for whole files; `groups` is None if every clip is its own, `events` if no clip is strongly labelled,
    and `is_labelled` (N,) bool if every clip is. Compared by value, with any sequence.
    """

    ids: Sequence[str]
    sources: Sequence[Any]
    label_names: Sequence[str]
    labels: Ragged
    starts_s: np.ndarray | None = None
    durations_s: np.ndarray | None = None
    groups: Sequence[str] | None = None
    events: EventColumns | None = None
    is_labelled: np.ndarray | None = None

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> ClipList:
        """The same clips in columns; each is needed only once, so a generator may make them."""
        number_of: dict[str, int] = {}
        ids, sources, groups = list[str](), list[Any](), list[str]()
        values, lengths, starts, durations = array("i"), array("i"), array("d"), array("d")
        events, is_labelled = list[tuple[Event, ...] | None](), array("b")
        for clip in clips:
            ids.append(clip.id)
            sources.append(clip.source)
            values.extend(number_of.setdefault(label, len(number_of)) for label in clip.labels)
            lengths.append(len(clip.labels))
            starts.append(clip.start_s)
            durations.append(math.nan if clip.duration_s is None else clip.duration_s)
            groups.append(clip.group)
            events.append(clip.events)
            is_labelled.append(clip.is_labelled)
        columns = EventColumns.of(events, number_of)
        labels = Ragged.of_lengths(np.array(values, np.int32), np.array(lengths, np.int64))
        starts_s, durations_s = np.array(starts), np.array(durations)
        return cls(
            ids,
            sources,
            tuple(number_of),
            labels,
            starts_s if starts_s.any() else None,
            None if np.isnan(durations_s).all() else durations_s,
            groups if any(groups) else None,
            columns,
            None if all(is_labelled) else np.array(is_labelled, bool),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> ClipList: ...
    def __getitem__(self, index: int | slice) -> Clip | ClipList:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        row = range(len(self))[index]
        start_s = 0.0 if self.starts_s is None else float(self.starts_s[row])
        duration_s = None if self.durations_s is None else float(self.durations_s[row])
        duration_s = None if duration_s is None or math.isnan(duration_s) else duration_s
        group = "" if self.groups is None else self.groups[row]
        events = None if self.events is None else self.events.row(row, self.label_names)
        is_labelled = self.is_labelled is None or bool(self.is_labelled[row])
        segment = start_s, duration_s
        return Clip(self.ids[row], self.sources[row], self.labels_at(row), *segment, group, events, is_labelled)

    def __iter__(self) -> Iterator[Clip]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with the names of its own labels alone: a batch of few clips goes to a worker."""
        events = self.events
        of_events = np.zeros(0, np.int32) if events is None else events.labels[events.places.flat]
        used = np.unique(np.concatenate([self.labels.flat, of_events]))
        names = tuple(self.label_names[number] for number in used.tolist())
        numbers = np.zeros(len(self.label_names), np.int32)
        numbers[used] = np.arange(len(used))
        labels = Ragged.of_lengths(numbers[self.labels.flat], self.labels.lengths)
        segments = self.starts_s, self.durations_s
        further = self.groups, None if events is None else events.renumbered(numbers), self.is_labelled
        return ClipList, (self.ids, self.sources, names, labels, *segments, *further)

    def labels_at(self, row: int) -> tuple[str, ...]:
        """The labels of one clip."""
        return tuple(self.label_names[number] for number in self.labels.row(row).tolist())

    @property
    def used_label_names(self) -> tuple[str, ...]:
        """The label names that a clip has, in the order of `label_names`."""
        return tuple(self.label_names[number] for number in np.unique(self.labels.flat).tolist())

    def take(self, rows: np.ndarray) -> ClipList:
        """Some of the clips, in the order of `rows`."""
        return ClipList(
            _taken(self.ids, rows),
            self.sources.take(rows) if isinstance(self.sources, Files) else _taken(self.sources, rows),
            self.label_names,
            self.labels.take(rows),
            None if self.starts_s is None else self.starts_s[rows],
            None if self.durations_s is None else self.durations_s[rows],
            None if self.groups is None else _taken(self.groups, rows),
            None if self.events is None else self.events.take(rows),
            None if self.is_labelled is None else self.is_labelled[rows],
        )


def joined(*lists: Sequence[Clip]) -> Sequence[Clip]:
    """The clips of all lists, one after another; in columns if they are parts of one list."""
    parts = [clips for clips in lists if isinstance(clips, ClipList)]
    sources = [part.sources for part in parts if isinstance(part.sources, Files)]
    roots, names = {files.root for files in sources}, {tuple(part.label_names) for part in parts}
    if len(lists) != len(sources) or len(roots) != 1 or len(names) != 1:
        return list(chain.from_iterable(lists))
    return ClipList(
        list(chain.from_iterable(part.ids for part in parts)),
        Files(roots.pop(), list(chain.from_iterable(files.names for files in sources))),
        names.pop(),
        Ragged.of_lengths(
            np.concatenate([part.labels.flat for part in parts]),
            np.concatenate([part.labels.lengths for part in parts]),
        ),
        _joined_seconds([(part.starts_s, len(part)) for part in parts], 0.0),
        _joined_seconds([(part.durations_s, len(part)) for part in parts], np.nan),
        list(chain.from_iterable(part.groups or [""] * len(part) for part in parts)),
        joined_events([(part.events, len(part)) for part in parts]),
        _joined_marks([(part.is_labelled, len(part)) for part in parts]),
    )


def _joined_marks(columns: Sequence[tuple[np.ndarray | None, int]]) -> np.ndarray | None:
    if all(column is None for column, _ in columns):
        return None
    return np.concatenate([np.ones(count, bool) if column is None else column for column, count in columns])


def _joined_seconds(columns: Sequence[tuple[np.ndarray | None, int]], missing: float) -> np.ndarray | None:
    if all(column is None for column, _ in columns):
        return None
    return np.concatenate([np.full(count, missing) if column is None else column for column, count in columns])


def ids_of(clips: Sequence[Clip]) -> Sequence[str]:
    """The id of each clip."""
    return clips.ids if isinstance(clips, ClipList) else [clip.id for clip in clips]


def groups_of(clips: Sequence[Clip]) -> Sequence[str]:
    """The group of each clip; empty if no clip has one."""
    if isinstance(clips, ClipList):
        groups: Sequence[str] = clips.groups or ()
    else:
        groups = [clip.group for clip in clips]
    return groups if any(groups) else ()


def sources_of(clips: Sequence[Clip]) -> Sequence[Any]:
    """The source of each clip."""
    return clips.sources if isinstance(clips, ClipList) else [clip.source for clip in clips]


def segments_of(clips: Sequence[Clip]) -> Iterable[tuple[float, float | None]]:
    """(start, duration) of each clip in seconds, None for the end of the file."""
    if not isinstance(clips, ClipList):
        return ((clip.start_s, clip.duration_s) for clip in clips)
    starts = repeat(0.0, len(clips)) if clips.starts_s is None else clips.starts_s.tolist()
    durations = repeat(None, len(clips)) if clips.durations_s is None else clips.durations_s.tolist()
    return (
        (start, None if end is None or math.isnan(end) else end) for start, end in zip(starts, durations, strict=True)
    )


def labels_of(clips: Sequence[Clip]) -> Iterable[tuple[str, ...]]:
    """The labels of each clip."""
    return map(clips.labels_at, range(len(clips))) if isinstance(clips, ClipList) else (clip.labels for clip in clips)


def is_labelled_of(clips: Sequence[Clip]) -> np.ndarray:
    """Whether anything is known of the labels of each clip: (N,) bool."""
    if not isinstance(clips, ClipList):
        return np.fromiter((clip.is_labelled for clip in clips), bool, len(clips))
    return np.ones(len(clips), bool) if clips.is_labelled is None else clips.is_labelled


def events_of(clips: Sequence[Clip]) -> Iterable[tuple[Event, ...] | None]:
    """The events of each clip; None for one that is not strongly labelled."""
    if not isinstance(clips, ClipList):
        return (clip.events for clip in clips)
    if clips.events is None:
        return repeat(None, len(clips))
    columns, names = clips.events, clips.label_names
    return (columns.row(row, names) for row in range(len(clips)))


def taken(clips: Sequence[Clip], rows: np.ndarray) -> Sequence[Clip]:
    """Some of the clips, in the order of `rows` (R,)."""
    return clips.take(rows) if isinstance(clips, ClipList) else _taken(clips, rows)


def _taken(values: Sequence[Any], rows: np.ndarray) -> list[Any]:
    return [values[row] for row in rows.tolist()]
