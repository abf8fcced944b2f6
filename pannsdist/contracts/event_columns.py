"""The events of clips in columns, for `clip_lists`. Axes: N clips, K events of all of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pannsdist.contracts.ragged import Ragged
from pannsdist.contracts.records import Event


@dataclass(frozen=True, eq=False)
class EventColumns:
    """Events of which clip i has `places.row(i)`: numbers of events in the columns (K,); `is_strong` (N,) bool.

    A clip that is not strongly labelled has none. `labels` are numbers of the list's `label_names`.
    """

    onsets_s: np.ndarray
    offsets_s: np.ndarray
    labels: np.ndarray
    places: Ragged
    is_strong: np.ndarray

    @classmethod
    def of(cls, clips: Iterable[Sequence[Event] | None], number_of: dict[str, int]) -> EventColumns | None:
        """The events of each clip; new labels get the next number. None if no clip is strongly labelled."""
        onsets_s, offsets_s, labels, lengths = array("d"), array("d"), array("i"), array("q")
        is_strong = array("b")
        for events in clips:
            is_strong.append(events is not None)
            lengths.append(len(events or ()))
            for event in events or ():
                onsets_s.append(event.onset_s)
                offsets_s.append(event.offset_s)
                labels.append(number_of.setdefault(event.label, len(number_of)))
        if not any(is_strong):
            return None
        columns = np.array(onsets_s), np.array(offsets_s), np.array(labels, np.int32)
        return cls.of_lengths(*columns, np.array(lengths, np.int64), np.array(is_strong, bool))

    @classmethod
    def of_lengths(
        cls, onsets_s: np.ndarray, offsets_s: np.ndarray, labels: np.ndarray, lengths: np.ndarray, is_strong: np.ndarray
    ) -> EventColumns:
        """Events of each clip one after another, so many (N,) of each."""
        places = Ragged.of_lengths(np.arange(len(labels)), lengths)
        return cls(onsets_s, offsets_s, labels, places, is_strong)

    def row(self, index: int, names: Sequence[str]) -> tuple[Event, ...] | None:
        """The events of one clip; None if it is not strongly labelled."""
        if not self.is_strong[index]:
            return None
        places = self.places.row(index)
        columns = (column[places].tolist() for column in (self.onsets_s, self.offsets_s, self.labels))
        return tuple(Event(onset, offset, names[label]) for onset, offset, label in zip(*columns, strict=True))

    def take(self, rows: np.ndarray) -> EventColumns:
        """Those of some clips, in the order of `rows`."""
        places, is_strong = self.places.take(rows), self.is_strong[rows]
        return EventColumns(self.onsets_s, self.offsets_s, self.labels, places, is_strong)

    def renumbered(self, numbers: np.ndarray) -> EventColumns:
        """With `numbers[label]` in place of each label, and without the events of other clips."""
        flat = self.places.flat
        columns = self.onsets_s[flat], self.offsets_s[flat], numbers[self.labels[flat]].astype(np.int32)
        return EventColumns.of_lengths(*columns, self.places.lengths, self.is_strong)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without the events of other clips."""
        flat = self.places.flat
        columns = self.onsets_s[flat], self.offsets_s[flat], self.labels[flat]
        return EventColumns.of_lengths, (*columns, self.places.lengths, self.is_strong)


def joined_events(parts: Sequence[tuple[EventColumns | None, int]]) -> EventColumns | None:
    """The events of several lists of so many clips with the same label names, one list after another."""
    if all(events is None for events, _ in parts):
        return None
    none = np.zeros(0), np.zeros(0), np.zeros(0, np.int32)
    whole = [
        events or EventColumns.of_lengths(*none, np.zeros(count, np.int64), np.zeros(count, bool))
        for events, count in parts
    ]
    flats = [events.places.flat for events in whole]
    return EventColumns.of_lengths(
        np.concatenate([events.onsets_s[flat] for events, flat in zip(whole, flats, strict=True)]),
        np.concatenate([events.offsets_s[flat] for events, flat in zip(whole, flats, strict=True)]),
        np.concatenate([events.labels[flat] for events, flat in zip(whole, flats, strict=True)]),
        np.concatenate([events.places.lengths for events in whole]),
        np.concatenate([events.is_strong for events in whole]),
    )
