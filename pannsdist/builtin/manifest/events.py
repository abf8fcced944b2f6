"""The events of the clips of a manifest: of its own column, or of files of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from pannsdist.builtin.manifest.params import ManifestParams
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.contracts.event_files import LabelFiles, read_listed_sounds
from pannsdist.contracts.event_files_json import rows_of_cells
from pannsdist.contracts.labelled_clips import UNLABELLED_CLIP, Joining, labelled
from pannsdist.contracts.locations import location_of
from pannsdist.contracts.sound_labels import sound_labels
from pannsdist.contracts.tables import Table

KEY = "data.params.events"


def has_events(table: Table, params: ManifestParams) -> bool:
    """Whether clips of the manifest may have events. Raises UserError where both it and other files have them."""
    if params.events and table.has("events"):
        right = f"take the events of the manifest, without {KEY}, or rename its column"
        table[0].refuse(f"{KEY} names files of events, and the manifest has a column 'events'", right)
    return bool(params.events) or table.has("events")


def with_events(
    table: Table, clips: ClipList, names: Sequence[str], params: ManifestParams, known: Sequence[str]
) -> ClipList:
    """The clips with their events; `names` are their files relative to the root, `known` the labels of a list, if any.

    Times in the manifest count from the start of the clip, those of other files from the start of the sound. Raises
    UserError.
    """
    starts_s = np.full(len(clips), np.nan)
    has_labels = (clips.labels.lengths > 0) | [isinstance(value, list) for value in table.values("labels")]
    if params.events:
        files = [location_of(file, KEY) for file in params.events]
        rows = read_listed_sounds(LabelFiles(files, params.event_format, params.event_column))
        if clips.starts_s is not None:
            is_part = np.array([bool(text) for text in table.texts("start")], bool)
            starts_s[is_part] = clips.starts_s[is_part]
        joining = Joining(names, starts_s, has_labels, _Places(table), params.unlisted)
    else:
        rows = rows_of_cells(table, clips.ids)
        joining = Joining(clips.ids, starts_s, has_labels, _Places(table), UNLABELLED_CLIP)
    found = sound_labels(rows, params.overlaps)
    if known:
        found.refuse_unknown(known, f"{params.labels} (data.params.labels)")
    return labelled(clips, found, joining)


@dataclass(frozen=True, eq=False)
class _Places(Sequence[str]):
    """`FILE:LINE` of each row."""

    table: Table

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return [row.place for row in self.table[index]] if isinstance(index, slice) else self.table[index].place
