"""The clips that a run trains and evaluates on, as a record: ids, labels, segments, and sizes of files.

No file is opened: a size is asked of the file system. Contents are compared by `pannsdist data check` alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any

from pannsdist.audio.encoded import NoSoundFile, state_of
from pannsdist.contracts import Clip, EncodedSource, Event, SampleSource
from pannsdist.contracts.clip_lists import events_of, ids_of, is_labelled_of, labels_of, segments_of, sources_of
from pannsdist.contracts.locations import ask_states
from pannsdist.run.planning.data import VALID, Data
from pannsdist.runtime import reading
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.json_files import JsonFile

DATA_FILE = "data.json"
FORMAT = 1
LABELLED, UNLABELLED = "labels", "none"
CHECKSUM_DIGITS = 16
NAMED = 3
"""Names given as examples of a change."""


@dataclass(frozen=True)
class DataRecord:
    """The record of a run's data, as `data.json` holds it; equal data give the same `digest`.

    `splits` has columns by split, one entry per clip in the order of the split: `ids`; `labels`, numbers of rows of
    `label_sets`; `sizes` in bytes, -1 where there is no file; and `segments` as [start, duration] in seconds, or None
    for a whole file. Where clips have events or are not labelled, `events` says so: a checksum of the events of a clip,
    `labels` for one without marks, `none` for one that is not labelled.
    """

    labels: Sequence[str]
    label_sets: Sequence[Sequence[str]]
    splits: Mapping[str, Mapping[str, Sequence[Any]]]

    @cached_property
    def text(self) -> str:
        """The content of `data.json`."""
        content = {"format": FORMAT, "labels": self.labels, "label_sets": self.label_sets, "splits": self.splits}
        return json.dumps(content, separators=(",", ":")) + "\n"

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the text in hexadecimal digits; checkpoints hold it."""
        return _sha256(self.text.encode())

    def clips(self, split: str) -> dict[str, tuple[Any, ...]]:
        """(labels, size, segment) of the clips of a split by id; empty for a split that it does not have."""
        columns = self.splits.get(split)
        if columns is None:
            return {}
        rows = zip(*(columns[name] for name in ("ids", "labels", "sizes", "segments")), strict=True)
        sets = [tuple(labels) for labels in self.label_sets]
        return {name: (sets[row], size, segment and tuple(segment)) for name, row, size, segment in rows}

    def marks(self, split: str) -> dict[str, str]:
        """What is known of the clips of a split beyond their labels, by id; nothing where that is all of them."""
        columns = self.splits.get(split, {})
        return dict(zip(columns["ids"], columns["events"], strict=True)) if "events" in columns else {}


DATA = JsonFile(lambda content: DataRecord(**content), BadRunFolder, None, FORMAT, max_bytes=1 << 30)
"""A record of ten million clips; a damaged one is written again, so it is read as none."""


def data_record(data: Data) -> DataRecord:
    """The record of loaded splits. Asks the size of every file; rank 0 only, since the answers may differ by node."""
    for table in data.splits.values():
        ask_states(sources_of(table.clips))
    label_sets: dict[tuple[str, ...], int] = {}
    columns = {split: _columns(table.clips, label_sets) for split, table in data.splits.items()}
    return DataRecord(tuple(data.labels), list(label_sets), columns)


def _columns(clips: Sequence[Clip], label_sets: dict[tuple[str, ...], int]) -> dict[str, Sequence[Any]]:
    """The columns of a split; `label_sets` takes the sets of labels that are new."""
    columns: dict[str, Sequence[Any]] = {
        "ids": list(ids_of(clips)),
        "labels": [label_sets.setdefault(tuple(own), len(label_sets)) for own in labels_of(clips)],
        "sizes": list(map(size_bytes, sources_of(clips))),
        "segments": [_segment(*segment) for segment in segments_of(clips)],
    }
    marks = list(map(_marks, events_of(clips), is_labelled_of(clips).tolist()))
    return columns if all(mark == LABELLED for mark in marks) else columns | {"events": marks}


def _marks(events: Sequence[Event] | None, is_labelled: bool) -> str:
    """What is known of a clip beyond its labels."""
    if events is None:
        return LABELLED if is_labelled else UNLABELLED
    rows = sorted((float(event.onset_s), float(event.offset_s), event.label) for event in events)
    return _sha256(json.dumps(rows).encode())[:CHECKSUM_DIGITS]


def record_of_clips(labels: Sequence[str], splits: Mapping[str, Mapping[str, tuple[Any, ...]]]) -> DataRecord:
    """The record of clips by split and id, each as `DataRecord.clips` gives it: (labels, size in bytes, segment)."""
    label_sets: dict[tuple[str, ...], int] = {}
    columns: dict[str, dict[str, Sequence[Any]]] = {}
    for split, clips in splits.items():
        numbers = [label_sets.setdefault(tuple(own), len(label_sets)) for own, _, _ in clips.values()]
        sizes, segments = [size for _, size, _ in clips.values()], [segment for _, _, segment in clips.values()]
        columns[split] = {"ids": list(clips), "labels": numbers, "sizes": sizes, "segments": segments}
    return DataRecord(tuple(labels), list(label_sets), columns)


def read_data_record(path: Path) -> tuple[DataRecord, str] | None:
    """A record and its digest from a file; None where there is no file or it is damaged.

    Raises CannotRead where the system cannot read it, BadRunFolder for the file of another version.
    """
    raw = DATA.raw(path)
    record = None if raw is None else DATA.parsed(raw, path)
    return None if raw is None or record is None else (record, _sha256(raw))


@dataclass(frozen=True)
class Changes:
    """The differences between two records in words, and whether scores of the two can be compared."""

    lines: tuple[str, ...]
    is_comparable: bool


def changes(before: DataRecord, now: DataRecord) -> Changes:
    """What changed from one record to another: the labels, and in every split clips, their properties and order."""
    names = list(dict.fromkeys([*before.splits, *now.splits]))
    old, new = ({split: record.clips(split) for split in names} for record in (before, now))
    lines = [] if list(before.labels) == list(now.labels) else ["the list of labels"]
    is_comparable = not lines
    moved: set[str] = set()
    for left, right in permutations(names, 2):
        found = [name for name in old[left] if name in new[right] and name not in new[left] and name not in old[right]]
        moved.update(found)
        lines += [_line(found, f"moved from {left} to {right}")] if found else []
        is_comparable &= not (found and VALID in (left, right))
    for split in names:
        own = list(_changes_of_split(old[split], new[split], moved, split))
        marks = [record.marks(split) for record in (before, now)]
        both = [name for name in old[split] if name in new[split]] if any(marks) else []
        other = [name for name in both if marks[0].get(name, LABELLED) != marks[1].get(name, LABELLED)]
        own += [_line(other, f"with other events in {split}")] if other else []
        is_comparable &= not (own and split == VALID)
        stayed = [[name for name in of[split] if name in old[split] and name in new[split]] for of in (old, new)]
        lines += own if stayed[0] == stayed[1] else [*own, f"the order of the clips of {split}"]
    return Changes(tuple(lines), is_comparable)


def _changes_of_split(
    old: Mapping[str, tuple[Any, ...]], new: Mapping[str, tuple[Any, ...]], moved: Collection[str], split: str
) -> Iterator[str]:
    kinds = {
        f"added to {split}": [name for name in new if name not in old and name not in moved],
        f"removed from {split}": [name for name in old if name not in new and name not in moved],
    }
    both = [name for name in old if name in new]
    for place, what in enumerate(("relabelled", "of another size", "of another start or duration")):
        kinds[f"{what} in {split}"] = [name for name in both if old[name][place] != new[name][place]]
    for what, found in kinds.items():
        if found:
            yield _line(found, what)


def _line(names: Sequence[str], what: str) -> str:
    named = ", ".join(f"'{name}'" for name in sorted(names)[:NAMED])
    more = ", ..." if len(names) > NAMED else ""
    return f"{len(names)} {'clip' if len(names) == 1 else 'clips'} {what}: {named}{more}"


def _segment(start_s: float, duration_s: float | None) -> list[float | None] | None:
    if duration_s is None and not start_s:
        return None
    return [float(start_s), None if duration_s is None else float(duration_s)]


def size_bytes(source: Path | EncodedSource | SampleSource) -> int:
    """The size of a sound file; -1 where there is none, which is the business of its reader. Raises CannotRead."""
    if isinstance(source, EncodedSource):
        return _size_of(source)
    if not isinstance(source, Path):
        return -1
    try:
        return reading.retried(source.stat).st_size
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
        return -1
    except OSError as error:
        raise reading.cannot_read(source, error) from error


def _size_of(source: EncodedSource) -> int:
    try:
        return state_of(source).size_bytes
    except NoSoundFile:
        return -1


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
