"""Labels of events in JSON lines: the records of `pannsdist detect --format jsonl`. See `event_files`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from pannsdist.contracts.label_rows import STRONG, UNLABELLED, WEAK, LabelRows, seconds
from pannsdist.contracts.locations import Location
from pannsdist.contracts.rows import Row, Table
from pannsdist.contracts.tables import json_rows
from pannsdist.runtime.names import shown

__all__ = ["json_label_rows", "rows_of_cells"]

RIGHT = '{"onset_s": 1.5, "offset_s": 2.0, "label": "dog"}'
_Found = tuple[int, str, int, float, float, str]
NOTHING = math.nan, math.nan, ""


def json_label_rows(file: Location, *, key: str = "") -> LabelRows:
    """Rows of JSON lines, one object for each sound: `path` and `events`, `labels`, or neither if nothing is known.

    Raises UserError.
    """
    table = json_rows(file, key=key)
    for row in table.examples:
        if "path" not in row.cells:
            row.refuse("no key 'path'", 'each line is an object such as {"path": "a.wav", "events": [' + RIGHT + "]}")
    sounds = [shown(name) for name in table.texts("path")]
    for number, sound in enumerate(sounds):
        if not sound:
            table[number].refuse("path is empty", "every line needs it")
    found: list[_Found] = []
    cells = zip(table.lines, sounds, table.values("events"), table.values("labels"), strict=True)
    for number, (line, sound, events, labels) in enumerate(cells):
        if events is not None:
            own = _events(table, number, line, sound, events)
            found += own
            if labels is not None:
                _refuse_other_labels(table[number], _labels(table, number, labels), own)
        elif labels is not None:
            found += [(line, sound, WEAK, math.nan, math.nan, label) for label in _labels(table, number, labels)]
        else:
            found.append((line, sound, UNLABELLED, *NOTHING))
    return _rows(file, found)


def _refuse_other_labels(row: Row, labels: Sequence[str], own: Sequence[_Found]) -> None:
    given, sounding = set(filter(None, labels)), {label for *_, label in own if label}
    if given != sounding:
        named = [", ".join(sorted(of)) or "nothing" for of in (given, sounding)]
        wrong = f"labels are {named[0]}, but those of the events are {named[1]}"
        row.refuse(wrong[:300], "with events, leave labels out, or correct one of both")


def rows_of_cells(table: Table, sounds: Sequence[str]) -> LabelRows:
    """The events in the cells `events` of a table of JSON, each of the sound of its line; nothing of lines without."""
    found: list[_Found] = []
    for number, (line, sound, events) in enumerate(zip(table.lines, sounds, table.values("events"), strict=True)):
        if events is not None:
            found += _events(table, number, line, sound, events)
    return _rows(table.file, found)


def _rows(file: Location, found: Sequence[_Found]) -> LabelRows:
    columns: Iterable[Any] = zip(*found, strict=True) if found else ((),) * 6
    lines, names, kinds, onsets_s, offsets_s, texts = columns
    file_of = np.zeros(len(lines), np.int32)
    numbers = np.array(kinds, np.int8), np.array(onsets_s, np.float64), np.array(offsets_s, np.float64)
    return LabelRows((file,), file_of, np.array(lines, np.int64), names, *numbers, texts)


def _events(table: Table, number: int, line: int, sound: str, events: Any) -> list[_Found]:
    if not isinstance(events, list):
        table[number].refuse(f"events is {shown(events)!r}"[:200], f"it is a list of objects such as {RIGHT}")
    if not events:
        return [(line, sound, STRONG, *NOTHING)]
    found = []
    for event in events:
        try:
            onset_s, offset_s, label = event["onset_s"], event["offset_s"], event["label"]
        except (KeyError, TypeError, IndexError):
            _refuse_event(table[number], event)
        if type(onset_s) not in (int, float) or type(offset_s) not in (int, float) or type(label) is not str:
            _refuse_event(table[number], event)
        label = shown(label.strip())
        if not label:
            table[number].refuse("an event has an empty label", f"it is an object such as {RIGHT}")
        found.append((line, sound, STRONG, seconds(onset_s), seconds(offset_s), label))
    return found


def _refuse_event(row: Row, event: Any) -> NoReturn:
    if isinstance(event, dict):
        for name in ("onset_s", "offset_s", "label"):
            if name not in event:
                row.refuse(f"an event has no {name!r}: {shown(event)}"[:300], f"it is an object such as {RIGHT}")
    row.refuse(f"an event is {shown(event)}"[:300], f"it is an object such as {RIGHT}, with numbers as its times")


def _labels(table: Table, number: int, labels: Any) -> list[str]:
    given = [labels] if isinstance(labels, str) else labels
    if not isinstance(given, list) or not all(isinstance(label, str) for label in given):
        table[number].refuse(f"labels is {shown(labels)!r}"[:200], "it is a list of strings")
    return list(dict.fromkeys(shown(label.strip()) for label in given if label.strip())) or [""]
