"""For dataset plugins: clips in columns get the events and labels that label files say of their sounds.

Axes: N clips, S sounds, K events of all clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import numpy as np

from pannsdist.contracts.clip_lists import ClipList, EventColumns, Ragged
from pannsdist.contracts.label_rows import LENGTH, STRONG, UNLABELLED, WEAK
from pannsdist.contracts.sound_labels import END_TOLERANCE_S, MERGE, REFUSE, SoundLabels
from pannsdist.runtime.errors import UserError

__all__ = ["OVERLAPS", "UNLABELLED_CLIP", "UNLISTED", "Joining", "labelled"]

OVERLAPS = (REFUSE, MERGE)
NO_EVENTS, UNLABELLED_CLIP = "no_events", "unlabelled"
UNLISTED = (REFUSE, NO_EVENTS, UNLABELLED_CLIP)
"""What a clip is that no label file lists: refused, strongly labelled without events, or not labelled."""
KEY = "data.params.unlisted"
NAMED = 3


@dataclass(frozen=True, eq=False)
class Joining:
    """Which sound each clip is: `paths` (N,) relative to the root, and `starts_s` (N,) of parts of a sound, else NaN.

    The events of a part are those of its sound between its start and its end, cut there. `has_labels` (N,) bool are the
    clips with labels of their own. `places` names the line of a clip, for messages, and `unlisted` is of `UNLISTED`.
    """

    paths: Sequence[str]
    starts_s: np.ndarray
    has_labels: np.ndarray
    places: Sequence[str]
    unlisted: str = REFUSE


def labelled(clips: ClipList, found: SoundLabels, joining: Joining) -> ClipList:
    """The clips with what the label files say of their sounds; a clip that none lists keeps its own labels.

    Raises UserError for a sound that is no clip, a clip that is not listed, an event beyond the end of its clip, and
    labels of a clip that are not those of its events.
    """
    if joining.unlisted not in UNLISTED:
        raise UserError(f"{KEY} is {joining.unlisted!r}", f"allowed: {', '.join(UNLISTED)}")
    sound, left = found.matched(joining.paths)
    _refuse_unknown_sounds(found, left)
    match = _Match(clips, found, joining, sound)
    if joining.unlisted == REFUSE:
        _refuse_unlisted(np.flatnonzero(match.is_unlisted), joining)
    kind, names = match.kind, match.names
    events = match.events().renumbered(_places(found.label_names, names))
    own = replace(clips.labels, values=_places(clips.label_names, names)[clips.labels.values])
    labels = match.labels(events, own)
    _refuse_other_labels(match, own, labels)
    return replace(
        clips,
        label_names=names,
        labels=labels,
        events=events if events.is_strong.any() else None,
        is_labelled=None if (kind != UNLABELLED).all() else kind != UNLABELLED,
    )


@dataclass(frozen=True, eq=False)
class _Match:
    """Clips and label files, and which `sound` (N,) of these each clip is, -1 for none."""

    clips: ClipList
    found: SoundLabels
    joining: Joining
    sound: np.ndarray

    @cached_property
    def is_unlisted(self) -> np.ndarray:
        """The clips of which neither a file nor they themselves say anything: (N,) bool."""
        unlisted: np.ndarray = (self._listed == LENGTH) & ~self.joining.has_labels
        return unlisted

    @cached_property
    def kind(self) -> np.ndarray:
        """What is known of each clip: (N,), `STRONG`, `WEAK` or `UNLABELLED`."""
        other = STRONG if self.joining.unlisted == NO_EVENTS else UNLABELLED
        own = np.where(self.joining.has_labels, WEAK, other)
        return np.where(self._listed == LENGTH, own, self._listed)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all labels, sorted."""
        return tuple(sorted({*self.clips.label_names, *self.found.label_names}))

    @cached_property
    def _listed(self) -> np.ndarray:
        kinds: np.ndarray = np.append(self.found.kinds, LENGTH)[self.sound]
        return kinds

    def events(self) -> EventColumns:
        """The events of each clip in seconds from its start; those of a part of a sound are cut at its ends."""
        events = self.found.events
        events = replace(events, places=_taken(events.places, self.sound), is_strong=self.kind == STRONG)
        is_part, durations_s = ~np.isnan(self.joining.starts_s), self.clips.durations_s
        if durations_s is None and not is_part.any():
            return events
        flat, rows = events.places.flat, events.places.rows
        starts_s = np.nan_to_num(self.joining.starts_s, nan=0.0)[rows]
        onsets_s, offsets_s = (column[flat] - starts_s for column in (events.onsets_s, events.offsets_s))
        ends_s = np.full(len(rows), np.inf) if durations_s is None else np.nan_to_num(durations_s, nan=np.inf)[rows]
        is_part = is_part[rows]
        for place in np.flatnonzero(~is_part & (offsets_s > ends_s + END_TOLERANCE_S))[:1].tolist():
            self._refuse_beyond(int(flat[place]), int(rows[place]), float(ends_s[place]))
        onsets_s = np.where(is_part, np.maximum(onsets_s, 0.0), onsets_s)
        offsets_s = np.where(is_part, np.minimum(offsets_s, ends_s), offsets_s)
        kept = np.flatnonzero(offsets_s > onsets_s)
        columns = onsets_s[kept], offsets_s[kept], events.labels[flat][kept]
        lengths = np.bincount(rows[kept], minlength=len(self.clips))
        return EventColumns.of_lengths(*columns, lengths, events.is_strong)

    def labels(self, events: EventColumns, own: Ragged) -> Ragged:
        """The labels of each clip: those of its events, of its sound, or its own; sorted, each once."""
        weak = _taken(self.found.weak, self.sound)
        listed = _places(self.found.label_names, self.names)[weak.flat]
        keeps = self.kind[own.rows] == WEAK
        rows = np.concatenate([events.places.rows, weak.rows, own.rows[keeps]])
        values = np.concatenate([events.labels[events.places.flat], listed, own.flat[keeps]]).astype(np.int64)
        size = max(len(self.names), 1)
        pairs = np.unique(rows * size + values)
        return Ragged.of_lengths((pairs % size).astype(np.int32), np.bincount(pairs // size, minlength=len(own)))

    def _refuse_beyond(self, event: int, clip: int, end_s: float) -> NoReturn:
        row = int(self.found.event_rows[event])
        rows, path = self.found.rows, self.joining.paths[clip]
        right = f"the clip lasts {end_s:.15g} s at {self.joining.places[clip]}\n"
        right += "if it is a part of a longer sound, give its start too: its events are then cut at its ends"
        rows.refuse(row, f"{rows.described(row)} ends after its clip, {path}", right)


def _refuse_unknown_sounds(found: SoundLabels, left: np.ndarray) -> None:
    unknown = [sound for sound in left.tolist() if found.kinds[sound] != LENGTH]
    if unknown:
        some = "\n".join(f"{found.place(sound)}: {found.names[sound]}" for sound in unknown[:NAMED])
        wrong = f"{len(unknown)} of {len(found)} sounds with labels are no clip, such as"
        raise UserError(wrong, f"{some}\na sound is named by its path below data.params.root, or by its file name")


def _refuse_unlisted(rows: np.ndarray, joining: Joining) -> None:
    if len(rows):
        some = "\n".join(f"{joining.places[row]}: {joining.paths[row]}" for row in rows[:NAMED].tolist())
        right = f"if nothing sounds in them: {KEY}={NO_EVENTS}; if nobody labelled them: {KEY}={UNLABELLED_CLIP}"
        raise UserError(f"{len(rows)} clips have no labels, and no label file lists them, such as", f"{some}\n{right}")


def _refuse_other_labels(match: _Match, own: Ragged, labels: Ragged) -> None:
    joining, names = match.joining, match.names
    for row in np.flatnonzero((match.kind == STRONG) & joining.has_labels).tolist():
        given, sounding = ({names[number] for number in of.row(row)} for of in (own, labels))
        if given != sounding:
            named = [", ".join(sorted(of)) for of in (given, sounding)]
            wrong = f"{joining.paths[row]} is labelled {named[0] or 'with nothing'}, but its events are "
            right = "the labels of a clip with events are those of its events: leave them out, or correct one"
            raise UserError(f"{joining.places[row]}: {wrong}{named[1] or 'none'}", right)


def _taken(values: Ragged, rows: np.ndarray) -> Ragged:
    """Some rows; -1 is one without values."""
    return Ragged(values.values, np.append(values.starts, 0)[rows], np.append(values.ends, 0)[rows])


def _places(names: Sequence[str], of: Sequence[str]) -> np.ndarray:
    """The number of each name among others."""
    number_of = {name: number for number, name in enumerate(of)}
    return np.array([number_of[name] for name in names], np.int32)
