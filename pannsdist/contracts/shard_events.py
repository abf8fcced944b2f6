"""The events of the clips of a packed dataset, and which of them are labelled at all, in columns of its table.

A pack without them has none of these columns. Axes: N clips, K events of all of them, R rows of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.contracts.event_columns import EventColumns
from pannsdist.contracts.label_rows import STRONG, UNLABELLED, WEAK
from pannsdist.contracts.records import Clip
from pannsdist.contracts.shard_columns import Array, Columns, check_ends

__all__ = ["PackedEvents", "events_in", "packed_events"]


@dataclass(frozen=True, eq=False)
class PackedEvents:
    """`kind` (N,) uint8: 0 for a clip without labels, 1 for one with labels, 2 for one with events.

    The events of clip n are those from `ends[n - 1]` to `ends[n]` (N,) int64, of `onset_s` and `offset_s` (K,) float64
    and `label` (K,) uint32, numbers of the dataset's labels.
    """

    kind: Array
    ends: Array
    onset_s: Array
    offset_s: Array
    label: Array

    @property
    def columns(self) -> Mapping[str, Array]:
        """The columns of the table."""
        return {
            "clip.kind": self.kind,
            "clip.event_ends": self.ends,
            "event.onset_s": self.onset_s,
            "event.offset_s": self.offset_s,
            "event.label": self.label,
        }

    def of_rows(self, rows: Array) -> tuple[EventColumns | None, Array | None]:
        """(events, whether they are labelled) of some clips, as `ClipList` has them."""
        lengths, kind = np.diff(self.ends, prepend=0), self.kind
        labels = self.label.astype(np.int32)
        events = EventColumns.of_lengths(self.onset_s, self.offset_s, labels, lengths, kind == STRONG).take(rows)
        is_labelled = kind[rows] != UNLABELLED
        return (events if events.is_strong.any() else None), (None if is_labelled.all() else is_labelled)


def packed_events(clips: Sequence[Clip], number_of: Mapping[str, int]) -> PackedEvents | None:
    """The events of clips, with labels by their numbers; None if none has events and all are labelled."""
    kinds = [STRONG if clip.events is not None else WEAK if clip.is_labelled else UNLABELLED for clip in clips]
    if all(kind == WEAK for kind in kinds):
        return None
    lengths = [len(clip.events or ()) for clip in clips]
    events = [event for clip in clips for event in clip.events or ()]
    return PackedEvents(
        np.array(kinds, np.uint8),
        np.cumsum(lengths, dtype=np.int64),
        np.array([event.onset_s for event in events], np.float64),
        np.array([event.offset_s for event in events], np.float64),
        np.array([number_of[event.label] for event in events], np.uint32),
    )


def events_in(columns: Columns, clips: int, labels: int) -> PackedEvents:
    """The events in a table of so many clips and labels. Raises ValueError for columns that do not fit together."""
    kind, ends = columns.array("clip.kind", "|u1", clips), columns.array("clip.event_ends", "<i8", clips)
    onset_s = columns.array("event.onset_s", "<f8")
    offset_s = columns.array("event.offset_s", "<f8", len(onset_s))
    label = columns.array("event.label", "<u4", len(onset_s))
    check_ends(ends, len(label), "clip.event_ends")
    if len(kind) and int(kind.max()) > STRONG:
        raise ValueError(f"a clip is of kind {int(kind.max())}")
    if len(label) and int(label.max()) >= labels:
        raise ValueError(f"an event has label {int(label.max())}, but there are {labels}")
    if (np.diff(ends, prepend=0)[kind != STRONG] > 0).any():
        raise ValueError("a clip without marked events has some")
    return PackedEvents(kind, ends, onset_s, offset_s, label)
