"""For plugins of published corpora with event labels: the sounds of their tables as clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pannsdist.contracts.corpora import Listed, RootParams
from pannsdist.contracts.label_rows import STRONG, UNLABELLED, WEAK, LabelRows
from pannsdist.contracts.records import labels_of_events
from pannsdist.contracts.sound_labels import MERGE, sound_labels

__all__ = ["EventParams", "listed_sounds"]


@dataclass(frozen=True)
class EventParams(RootParams):
    """`overlaps` says what happens to events of one label that overlap: refuse, or merge into one."""

    overlaps: str = MERGE


def listed_sounds(
    rows: LabelRows, part: str, path_of: Callable[[str], str], overlaps: str, id_of: Callable[[str], str] = str
) -> Iterator[Listed]:
    """The sounds of one table as clips of a `part`, in its order, of which `path_of` knows the files below the root.

    `id_of` makes the id of a sound of its name; both may raise UserError. Raises UserError as `sound_labels` does.
    """
    found = sound_labels(rows, overlaps)
    names = found.label_names
    for number, sound in enumerate(found.names):
        row = found.rows.row(int(found.first_row[number]))
        kind, clip_id, path = found.kinds[number], id_of(sound), path_of(sound)
        if kind == STRONG:
            events = found.events.row(number, names) or ()
            yield Listed(row, path, labels_of_events(events), part, clip_id, events=events)
        elif kind == WEAK:
            labels = sorted(names[label] for label in found.weak.row(number).tolist())
            yield Listed(row, path, tuple(labels), part, clip_id)
        elif kind == UNLABELLED:
            yield Listed(row, path, (), part, clip_id, is_labelled=False)
