"""Labels of events in tables separated by tabs: DCASE, Audacity and Raven. See `event_files`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from pannsdist.contracts.label_rows import UNLABELLED, WEAK, LabelRows, joined_rows, numbers
from pannsdist.contracts.locations import Location
from pannsdist.contracts.rows import Row, Table
from pannsdist.contracts.tables import csv_text_rows
from pannsdist.runtime.errors import UserError, candidates_line
from pannsdist.runtime.names import shown
from pannsdist.runtime.texts import each_line, lines_of

__all__ = ["audacity_rows", "dcase_rows", "header_of", "is_dcase", "is_raven", "raven_rows"]

SEPARATED_BY = {",": "commas", ";": "semicolons", " ": "spaces"}
DCASE = ("filename", "onset", "offset", "event_label")
BEGIN, END, FILE, FILE_OFFSET, END_FILE = "Begin Time (s)", "End Time (s)", "Begin File", "File Offset (s)", "End File"
OF_RAVEN = (
    *("Selection", "View", "Channel", BEGIN, END, "Low Freq (Hz)", "High Freq (Hz)", FILE, FILE_OFFSET, END_FILE),
    *(
        "Begin Path",
        "End Path",
        "Begin Date",
        "Begin Clock Time",
        "End Clock Time",
        "Delta Time (s)",
        "Delta Freq (Hz)",
    ),
)
RAVEN_RIGHT = (
    f"a selection table of Raven has the columns Selection, {BEGIN}, {END} and one of labels, separated by tabs"
)
ANNOTATION = "Annotation"
TRACK_RIGHT = "a label track has start, end and label in each line, separated by tabs; move other text files away"


def header_of(text: str) -> str:
    """The first line of a text that is not blank."""
    return next((line.rstrip("\r\n") for line in each_line(text) if line.strip()), "")


def is_dcase(header: str) -> bool:
    """Whether the first line of a file may be the header of a DCASE table, rightly separated or not."""
    return "filename" in header.lower().replace(",", " ").replace(";", " ").split()


def is_raven(header: str) -> bool:
    """Whether the first line of a file is the header of a selection table."""
    return BEGIN in header or header.startswith("Selection\t")


def dcase_rows(file: Location, text: str, columns: Sequence[str] = DCASE) -> LabelRows:
    """Rows of a table with the column filename: of events, of weak labels, of lengths, or of names alone.

    Weak labels (`event_labels`) are separated by commas, lengths have the column `duration`. `columns` are what a table
    of events calls filename, onset, offset and event_label. Raises UserError.
    """
    header, right = header_of(text), f"the columns are {', '.join(columns)}, separated by tabs"
    if "\t" not in header and (marks := [mark for mark in SEPARATED_BY if mark in header.strip()]):
        mark = SEPARATED_BY[marks[0]]
        raise UserError(f"{file}:1: values are separated by {mark}", f"{right}; save it with tabs")
    table = csv_text_rows(file, text, "\t")
    names = tuple(table.examples[0].cells) if table else tuple(name.strip() for name in header.split("\t"))
    place = Row(file, 1, {})
    found = f"{right}; columns found: {', '.join(names)}"
    if columns[0] not in names:
        place.refuse(f"no column {columns[0]}", found)
    if not table:
        return joined_rows([])
    lines, sounds = list(table.lines), [shown(name) for name in table.texts(columns[0])]
    _refuse_empty(file, lines, sounds, columns[0])
    given = [name for name in columns[1:] if name in names]
    if given and len(given) < len(columns) - 1:
        place.refuse(f"no column {next(name for name in columns if name not in names)}", found)
    if given:
        return _events(table, lines, sounds, columns)
    if "event_labels" in names:
        return _weak(table, lines, sounds)
    if "duration" in names:
        lengths_s = numbers(file, lines, table.texts("duration"), "duration")
        return _lengths(file, lines, sounds, lengths_s)
    if len(names) > 1:
        place.refuse("no columns of labels", found)
    return LabelRows.of_file(file, lines, sounds, UNLABELLED, [""] * len(lines))


def _events(table: Table, lines: list[int], sounds: list[str], columns: Sequence[str]) -> LabelRows:
    onsets, offsets, labels = (table.texts(name) for name in columns[1:])
    labels = [shown(label) for label in labels]
    times_s = np.full((2, len(lines)), np.nan)
    if all(onsets) and all(offsets) and all(labels):
        chosen: Sequence[int] | slice = slice(None)
        texts = onsets, offsets
    else:
        chosen = [row for row, cells in enumerate(zip(onsets, offsets, labels, strict=True)) if any(cells)]
        texts = [onsets[row] for row in chosen], [offsets[row] for row in chosen]
        for row in chosen:
            if not labels[row]:
                right = "a sound without events has a line with its filename and three empty values"
                raise UserError(f"{table.file}:{lines[row]}: {columns[3]} is empty", right)
    own = np.array(lines)[chosen].tolist()
    for place, name in enumerate(columns[1:3]):
        times_s[place, chosen] = numbers(table.file, own, texts[place], name)
    return LabelRows.of_events(table.file, lines, sounds, times_s, labels)


def _weak(table: Table, lines: list[int], sounds: list[str]) -> LabelRows:
    rows = list[tuple[int, str, str]]()
    for line, sound, text in zip(lines, sounds, table.texts("event_labels"), strict=True):
        labels = [shown(label.strip()) for label in text.split(",")] if text else [""]
        if text and not all(labels):
            right = "labels are separated by single commas; one with a comma in it needs another format, such as jsonl"
            raise UserError(f"{table.file}:{line}: event_labels is {shown(text)!r}, with an empty label", right)
        rows += [(line, sound, label) for label in dict.fromkeys(labels)]
    own_lines, own_sounds, own_labels = zip(*rows, strict=True)
    return LabelRows.of_file(table.file, own_lines, own_sounds, WEAK, own_labels)


def _lengths(file: Location, lines: list[int], sounds: list[str], lengths_s: np.ndarray) -> LabelRows:
    if len(wrong := np.flatnonzero(lengths_s <= 0)):
        row = int(wrong[0])
        raise UserError(f"{file}:{lines[row]}: duration is {lengths_s[row]:g}", "it is a number of seconds above 0")
    return LabelRows.of_lengths(file, lines, sounds, lengths_s)


def audacity_rows(file: Location, text: str, sound: str) -> LabelRows:
    r"""Rows of a label track, the labels of one sound: start, end, label. Raises UserError.

    A line that starts with a backslash has the frequencies of the selection above it, and is left out. An empty track
    says that the sound has no events.
    """
    rows = list(_track_lines(file, text))
    if not rows:
        return _without_events(file, sound)
    lines = [line for line, _ in rows]
    times_s = np.stack(
        [numbers(file, lines, [cells[place] for _, cells in rows], name) for place, name in enumerate(("start", "end"))]
    )
    labels = [shown(cells[2].strip()) for _, cells in rows]
    _refuse_empty(file, lines, labels, "the label")
    return LabelRows.of_events(file, lines, [sound] * len(rows), times_s, labels)


def _track_lines(file: Location, text: str) -> Iterator[tuple[int, list[str]]]:
    previous = -1
    for line, content in enumerate(lines_of(text), start=1):
        if not content.strip():
            continue
        if content.startswith("\\"):
            if previous != line - 1:
                raise UserError(f"{file}:{line}: frequencies without a selection above them", TRACK_RIGHT)
            continue
        cells = content.split("\t")
        if len(cells) != 3:
            raise UserError(f"{file}:{line}: {len(cells)} values where 3 are due", TRACK_RIGHT)
        previous = line
        yield line, cells


def raven_rows(file: Location, text: str, sound: str, label_column: str) -> LabelRows:
    """Rows of a selection table: of `sound`, or of the sounds in its columns Begin File and File Offset (s).

    Raven writes a selection once for each view that shows it; it is taken once. Raises UserError.
    """
    header = header_of(text)
    if "\t" not in header:
        raise UserError(f"{file}:1: values are not separated by tabs", RAVEN_RIGHT)
    table = csv_text_rows(file, text, "\t", is_quoted=False)
    names = tuple(name.strip() for name in header.split("\t"))
    missing = [name for name in (BEGIN, END) if name not in names]
    if missing:
        raise UserError(f"{file}:1: no column {missing[0]!r}", f"{RAVEN_RIGHT}; columns found: {', '.join(names)}")
    column = _label_column(file, names, label_column)
    if not table:
        return _without_events(file, sound)
    lines = list(table.lines)
    begins_s, ends_s = (numbers(file, lines, table.texts(name), name) for name in (BEGIN, END))
    labels = [shown(label) for label in table.texts(column)]
    _refuse_empty(file, lines, labels, column)
    sounds, onsets_s = [sound] * len(lines), begins_s
    if FILE in names and FILE_OFFSET in names:
        sounds = [shown(name) for name in table.texts(FILE)]
        _refuse_empty(file, lines, sounds, FILE)
        onsets_s = numbers(file, lines, table.texts(FILE_OFFSET), FILE_OFFSET)
        _refuse_two_files(table, sounds)
    times_s = np.stack([onsets_s, np.where(onsets_s == begins_s, ends_s, np.round(onsets_s + (ends_s - begins_s), 9))])
    kept = _once(table, [*zip(times_s[0].tolist(), times_s[1].tolist(), sounds, labels, strict=True)])
    own_sounds, own_labels = ([column[row] for row in kept] for column in (sounds, labels))
    return LabelRows.of_events(file, [lines[row] for row in kept], own_sounds, times_s[:, kept], own_labels)


def _label_column(file: Location, names: Sequence[str], wanted: str) -> str:
    if wanted:
        if wanted not in names:
            right = candidates_line(wanted, names, "columns found")
            raise UserError(f"{file}:1: no column {wanted!r} (data.params.event_column)", right)
        return wanted
    others = [name for name in names if name and name not in OF_RAVEN]
    if ANNOTATION in others or len(others) == 1:
        return ANNOTATION if ANNOTATION in others else others[0]
    found = f"columns that may be it: {', '.join(others)}" if others else f"columns found: {', '.join(names)}"
    raise UserError(
        f"{file}:1: which column has the labels is unclear", f"{found}; name it: data.params.event_column=NAME"
    )


def _refuse_two_files(table: Table, sounds: Sequence[str]) -> None:
    for row, (first, last) in enumerate(zip(sounds, table.texts(END_FILE), strict=True)):
        if last and shown(last) != first:
            wrong = f"the selection begins in {first} and ends in {shown(last)}"
            raise UserError(
                f"{table.file}:{table.lines[row]}: {wrong}", "an event lies within one sound: cut it in two"
            )


def _once(table: Table, events: Sequence[tuple[float, float, str, str]]) -> list[int]:
    """The first row of each selection. Raises UserError for two rows of one that say different things."""
    first: dict[str, int] = {}
    kept = []
    for row, selection in enumerate(table.texts("Selection")):
        earlier = first.setdefault(selection, row) if selection else row
        if earlier == row:
            kept.append(row)
        elif events[earlier] != events[row]:
            right = "a selection has the same times and label in every view, and a number of its own"
            wrong = f"selection {shown(selection)} is another one in line {table.lines[earlier]}"
            raise UserError(f"{table.file}:{table.lines[row]}: {wrong}", right)
    return kept


def _without_events(file: Location, sound: str) -> LabelRows:
    return LabelRows.of_events(file, [0], [sound], np.full((2, 1), math.nan), [""])


def _refuse_empty(file: Location, lines: Sequence[int], texts: Sequence[str], what: str) -> None:
    if not all(texts):
        line = next(line for line, text in zip(lines, texts, strict=True) if not text)
        raise UserError(f"{file}:{line}: {what} is empty", "every line needs it")
