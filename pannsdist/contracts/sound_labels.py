"""What label files say of each sound, checked, and which clip each sound is. For dataset plugins.

Axes: S sounds, R rows of label files, N clips, K events of all of them, C labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.contracts.event_columns import EventColumns
from pannsdist.contracts.event_overlaps import first_overlap, merged
from pannsdist.contracts.label_rows import LENGTH, STRONG, UNLABELLED, WEAK, LabelRows
from pannsdist.contracts.ragged import Ragged
from pannsdist.runtime.errors import UserError, candidates_line
from pannsdist.runtime.names import shown

__all__ = ["END_TOLERANCE_S", "MERGE", "REFUSE", "SoundLabels", "sound_labels"]

REFUSE, MERGE = "refuse", "merge"
END_TOLERANCE_S = 1e-3
"""By so much the last event may end after its sound: tables round to milliseconds."""
OVERLAPS_KEY = "data.params.overlaps"
NAMED = 3


@dataclass(frozen=True, eq=False)
class SoundLabels:
    """The labels of sounds: `kinds` (S,) is `STRONG`, `WEAK`, `UNLABELLED`, or `LENGTH` where nothing else is known.

    `label_names` are sorted, `weak` has their numbers for each sound, and `lengths_s` (S,) is NaN where no file says
    it. Of `rows`, for messages, `first_row` (S,) names each sound, and `event_rows` (K,) are those of the events.
    """

    names: Sequence[str]
    kinds: np.ndarray
    label_names: tuple[str, ...]
    events: EventColumns
    weak: Ragged
    lengths_s: np.ndarray
    rows: LabelRows
    first_row: np.ndarray
    event_rows: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def place(self, sound: int) -> str:
        """`FILE:LINE` of a sound."""
        return self.rows.row(int(self.first_row[sound])).place

    def refuse_unknown(self, labels: Sequence[str], listed_in: str) -> None:
        """Raise UserError, with file and line, for a label that is not among `labels`."""
        unknown = set(self.label_names).difference(labels)
        if unknown:
            row = next(row for row, label in enumerate(self.rows.labels) if label in unknown)
            label = self.rows.labels[row]
            right = f"labels are listed in {listed_in}\n{candidates_line(label, labels, 'labels')}"
            self.rows.refuse(row, f"unknown label {label!r}", right)

    def matched(self, paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The sound of each path (N,), -1 for none, and the sounds (M,) that are of no path.

        Paths are relative to a root, with slashes. A sound is named by its path, by the name of its file where only one
        path ends so, or by a path that starts above the root; with or without the ending of the file. Raises UserError
        for a name that may be several paths.
        """
        found: dict[str, int] = {}
        unique = list(dict.fromkeys(paths))
        left = self._take(range(len(self)), unique, found, _key)
        for key in (_name, _without_ending, _stem):
            left = self._take(left, unique, found, key) if left else left
        left = self._take_longer(left, unique, found) if left else left
        number = np.array([found.get(path, -1) for path in paths], np.int64)
        return number, np.array(left, np.int64)

    def _take_longer(self, sounds: Sequence[int], paths: Sequence[str], found: dict[str, int]) -> list[int]:
        """Find the sounds whose last parts are a path; the others are returned."""
        path_of = {_key(path): path for path in paths}
        left = []
        for sound in sounds:
            parts = _key(self.names[sound]).split("/")
            tails = ("/".join(parts[start:]) for start in range(1, len(parts)))
            path = next((path_of[tail] for tail in tails if tail in path_of), None)
            if path is None:
                left.append(sound)
            else:
                self._add(sound, path, found)
        return left

    def _take(
        self, sounds: Sequence[int], paths: Sequence[str], found: dict[str, int], key: Callable[[str], str]
    ) -> list[int]:
        """Find the sounds whose name is the `key` of a path; the others are returned."""
        path_of: dict[str, list[str]] = {}
        for path in paths:
            path_of.setdefault(key(path), []).append(path)
        left = []
        for sound in sounds:
            candidates = path_of.get(_key(self.names[sound]), [])
            if not candidates:
                left.append(sound)
                continue
            if len(candidates) > 1:
                named = ", ".join(candidates[:NAMED])
                wrong = f"{self.names[sound]} may be any of {len(candidates)} files: {named}"
                self.rows.refuse(int(self.first_row[sound]), wrong, "name the path relative to the root")
            self._add(sound, candidates[0], found)
        return left

    def _add(self, sound: int, path: str, found: dict[str, int]) -> None:
        earlier = found.setdefault(path, sound)
        if earlier != sound:
            other = f"{self.names[earlier]} at {self.place(earlier)}"
            wrong = f"{self.names[sound]} is {path}, and so is {other}"
            self.rows.refuse(int(self.first_row[sound]), wrong, "name a sound in one way")


def sound_labels(rows: LabelRows, overlaps: str = REFUSE) -> SoundLabels:
    """The labels of each sound in the rows of all label files, in the order of their first rows.

    Raises UserError, with file and line, for an event that is none, for two rows that contradict each other, for an
    event beyond the length of its sound, and for events of one label that overlap, unless `overlaps` is `merge`: then
    they become one.
    """
    if overlaps not in (REFUSE, MERGE):
        raise UserError(f"{OVERLAPS_KEY} is {overlaps!r}", f"allowed: {REFUSE}, {MERGE}")
    number_of: dict[str, int] = {}
    sound_of = np.array([number_of.setdefault(name, len(number_of)) for name in rows.sounds], np.int64)
    _, first_row = np.unique(sound_of, return_index=True)
    names, of_label = _numbered(rows.labels)
    _refuse_bad_times(rows, of_label)
    lengths_s = _lengths(rows, sound_of, len(number_of))
    _refuse_beyond(rows, sound_of, lengths_s)
    kinds = _kinds(rows, sound_of, len(number_of))
    _refuse_contradictions(rows, sound_of, of_label)
    events, event_rows = _events(rows, sound_of, of_label, kinds, overlaps)
    weak = _by_sound(sound_of, of_label, (rows.kinds == WEAK) & (of_label >= 0), len(number_of))
    return SoundLabels(list(number_of), kinds, names, events, weak, lengths_s, rows, first_row, event_rows)


def _numbered(labels: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """(the labels, sorted, the number of each row's label (R,), -1 for none)."""
    number_of = {"": 0}
    numbers = np.array([number_of.setdefault(label, len(number_of)) for label in labels], np.int64)
    names = sorted(number_of)[1:]
    rank_of = np.full(len(number_of), -1, np.int64)
    rank_of[[number_of[name] for name in names]] = np.arange(len(names))
    return tuple(names), rank_of[numbers]


def _refuse_bad_times(rows: LabelRows, of_label: np.ndarray) -> None:
    is_event = (rows.kinds == STRONG) & (of_label >= 0)
    onsets_s, offsets_s = rows.onsets_s, rows.offsets_s
    is_good = np.isfinite(onsets_s) & np.isfinite(offsets_s) & (onsets_s >= 0) & (onsets_s < offsets_s)
    for number in np.flatnonzero(is_event & ~is_good)[:1].tolist():
        onset_s, offset_s = float(onsets_s[number]), float(offsets_s[number])
        if not np.isfinite([onset_s, offset_s]).all():
            rows.refuse(number, f"the event is from {onset_s} to {offset_s} s", "times are finite numbers of seconds")
        if onset_s < 0:
            rows.refuse(number, f"the onset is {onset_s:.15g} s", "seconds from the start of the sound, 0 or more")
        right = "an event ends after its onset"
        right += "; a point has no length: give it one, or leave it out" if onset_s == offset_s else ""
        rows.refuse(number, f"the offset, {offset_s:.15g} s, is not after the onset, {onset_s:.15g} s", right)


def _lengths(rows: LabelRows, sound_of: np.ndarray, count: int) -> np.ndarray:
    lengths_s, row_of = np.full(count, np.nan), dict[int, int]()
    for number in np.flatnonzero(rows.kinds == LENGTH).tolist():
        sound = int(sound_of[number])
        earlier = row_of.setdefault(sound, number)
        if earlier != number:
            wrong = f"{rows.sounds[number]} has its length at {rows.row(earlier).place} already"
            rows.refuse(number, wrong, "remove one row")
        lengths_s[sound] = rows.offsets_s[number]
    return lengths_s


def _refuse_beyond(rows: LabelRows, sound_of: np.ndarray, lengths_s: np.ndarray) -> None:
    beyond = (rows.kinds == STRONG) & (rows.offsets_s > lengths_s[sound_of] + END_TOLERANCE_S)
    for number in np.flatnonzero(beyond)[:1].tolist():
        length = f"{lengths_s[sound_of[number]]:.15g} s"
        wrong = f"{rows.described(number)} ends after its sound, {rows.sounds[number]} of {length}"
        rows.refuse(number, wrong, f"an event lies within its sound: its offset is at most {length}")


def _kinds(rows: LabelRows, sound_of: np.ndarray, count: int) -> np.ndarray:
    """What is known of each sound: (S,). Raises UserError for a sound of which two things are said."""
    has = np.stack(
        [np.bincount(sound_of[rows.kinds == kind], minlength=count) > 0 for kind in (UNLABELLED, WEAK, STRONG)]
    )
    for sound in np.flatnonzero(has.sum(axis=0) > 1)[:1].tolist():
        own = np.flatnonzero((sound_of == sound) & (rows.kinds != LENGTH))
        other = next(int(row) for row in own if rows.kinds[row] != rows.kinds[own[0]])
        said = {UNLABELLED: "without labels", WEAK: "with labels of the whole", STRONG: "with events"}
        first, second = (said[int(rows.kinds[row])] for row in (own[0], other))
        wrong = f"{rows.sounds[other]} is listed {second}, and {first} at {rows.row(int(own[0])).place}"
        rows.refuse(other, wrong, "keep one of them: events say more than labels, and labels more than a name")
    return np.where(has.any(axis=0), np.argmax(has, axis=0), LENGTH).astype(np.int8)


def _refuse_contradictions(rows: LabelRows, sound_of: np.ndarray, of_label: np.ndarray) -> None:
    """Raise UserError for a sound that is listed twice without events, or with an event too; and for a weak label."""
    is_bare = (of_label < 0) & (rows.kinds != LENGTH)
    bare = np.flatnonzero(is_bare)
    if not len(bare) and not (rows.kinds == WEAK).any():
        return
    listed = rows.kinds != LENGTH
    twice = np.bincount(sound_of[listed]) > 1 if listed.any() else np.zeros(0, bool)
    for number in bare[twice[sound_of[bare]]][:1].tolist():
        own = np.flatnonzero((sound_of == sound_of[number]) & listed)
        other = int(own[own != number][0])
        first, last = sorted((other, number))
        wrong = f"{rows.sounds[number]} is listed at {rows.row(first).place} already"
        rows.refuse(last, wrong, "a sound without events or labels has one line, and no other")
    _refuse_repeated_weak(rows, sound_of)


def _refuse_repeated_weak(rows: LabelRows, sound_of: np.ndarray) -> None:
    """The weak labels of a sound stand in one line."""
    line_of: dict[int, int] = {}
    for number in np.flatnonzero(rows.kinds == WEAK).tolist():
        first = line_of.setdefault(int(sound_of[number]), number)
        if (rows.file_of[first], rows.lines[first]) != (rows.file_of[number], rows.lines[number]):
            wrong = f"{rows.sounds[number]} is listed at {rows.row(first).place} already"
            rows.refuse(number, wrong, "all labels of a sound stand in one line, separated by commas")


def _events(
    rows: LabelRows, sound_of: np.ndarray, of_label: np.ndarray, kinds: np.ndarray, overlaps: str
) -> tuple[EventColumns, np.ndarray]:
    """The events of each sound, in the order of the rows, and their rows (K,).

    Raises UserError for an overlap, unless overlapping events are merged.
    """
    chosen = np.flatnonzero((rows.kinds == STRONG) & (of_label >= 0))
    chosen = chosen[np.argsort(sound_of[chosen], kind="stable")]
    onsets_s, offsets_s = rows.onsets_s[chosen], rows.offsets_s[chosen]
    groups = sound_of[chosen] * (int(of_label.max(initial=0)) + 1) + of_label[chosen]
    overlap = first_overlap(groups, onsets_s, offsets_s)
    if overlap is not None and overlaps == REFUSE:
        _refuse_overlap(rows, *sorted((int(chosen[overlap[0]]), int(chosen[overlap[1]]))))
    if overlap is not None:
        kept, offsets_s = merged(groups, onsets_s, offsets_s)
        chosen, onsets_s, offsets_s = chosen[kept], onsets_s[kept], offsets_s[kept]
    lengths = np.bincount(sound_of[chosen], minlength=len(kinds))
    columns = onsets_s, offsets_s, of_label[chosen].astype(np.int32)
    return EventColumns.of_lengths(*columns, lengths, kinds == STRONG), chosen


def _refuse_overlap(rows: LabelRows, first: int, second: int) -> None:
    places = rows.row(first).place
    if (rows.onsets_s[first], rows.offsets_s[first]) == (rows.onsets_s[second], rows.offsets_s[second]):
        wrong = f"{rows.described(second)} of {shown(rows.sounds[second])} is at {places} already"
    else:
        wrong = f"{rows.described(second)} of {shown(rows.sounds[second])} overlaps {rows.described(first)} at {places}"
    right = f"a label sounds or does not: make one event of both, or have them merged: {OVERLAPS_KEY}={MERGE}"
    rows.refuse(second, wrong, right)


def _by_sound(sound_of: np.ndarray, of_label: np.ndarray, chosen: np.ndarray, count: int) -> Ragged:
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(sound_of[rows], kind="stable")]
    return Ragged.of_lengths(of_label[rows].astype(np.int32), np.bincount(sound_of[rows], minlength=count))


def _key(name: str) -> str:
    """The name that is compared: macOS writes letters with accents in another form than others."""
    name = name.removeprefix("./")
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _name(path: str) -> str:
    return _key(path.rpartition("/")[2])


def _without_ending(path: str) -> str:
    before, dot, ending = path.rpartition(".")
    return _key(before if dot and "/" not in ending else path)


def _stem(path: str) -> str:
    return _name(_without_ending(path))
