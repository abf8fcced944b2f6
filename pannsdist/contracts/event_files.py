"""Reads labels of sound events: DCASE tables, Audacity label tracks, Raven selection tables, JSON lines, JAMS.

For dataset plugins, and for what `pannsdist detect` writes (`event_files_writing`). A label file is read into
`LabelRows`, of which `sound_labels` makes the events of each sound.

Sources: the tables of task 4 of the DCASE challenge (https://dcase.community), Audacity's manual on the import and
export of labels, the manual of Raven Pro on selection tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.contracts.event_files_jams import jams_rows
from pannsdist.contracts.event_files_json import json_label_rows
from pannsdist.contracts.event_files_text import audacity_rows, dcase_rows, header_of, is_dcase, is_raven, raven_rows
from pannsdist.contracts.label_rows import LabelRows, joined_rows
from pannsdist.contracts.locations import Location, Url, below, leads_out, listing
from pannsdist.contracts.sound_files import is_hidden
from pannsdist.contracts.tables import JSON_ENDINGS, TABLE_ENDINGS, read_text
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import is_folder, shown

__all__ = ["EVENT_FORMATS", "LabelFiles", "read_label_files", "read_listed_sounds", "sound_of"]

AUTO = "auto"
EVENT_FORMATS = ("dcase", "audacity", "raven", "jsonl", "jams")
TRACK_ENDING, JAMS_ENDING = ".txt", ".jams"
SELECTIONS = ".selections"
SHOWN = 3


@dataclass(frozen=True)
class LabelFiles:
    """Files of labels and how to read them; a folder stands for the label tracks and selection tables in it.

    `format` is one of `EVENT_FORMATS`, or `auto`: by the ending and the first line of each file. `label_column` is the
    column of a selection table that has the labels; empty: Annotation, or the only one that Raven does not fill itself.
    `key` is the setting that names the files, for messages.
    """

    files: Sequence[Location]
    format: str = AUTO
    label_column: str = ""
    key: str = "data.params.events"

    @property
    def track_endings(self) -> tuple[str, ...]:
        """How label files in a folder end: with JAMS only where that is asked for, since it lies beside text."""
        return (JAMS_ENDING,) if self.format == "jams" else (TRACK_ENDING,)

    def __post_init__(self) -> None:
        if self.format not in (AUTO, *EVENT_FORMATS):
            right = f"allowed: {', '.join((AUTO, *EVENT_FORMATS))}"
            raise UserError(f"the format of events is {self.format!r}", right)


def read_label_files(given: LabelFiles) -> LabelRows:
    """The rows of all label files. Raises UserError with file and line, and CannotRead."""
    return joined_rows([rows for file in given.files for rows in _read(file, given)])


def read_listed_sounds(given: LabelFiles) -> LabelRows:
    """As `read_label_files`, and raises UserError where no file lists a sound, as with headers alone."""
    rows = read_label_files(given)
    if not len(rows):
        named = ", ".join(map(str, given.files[:SHOWN]))
        right = "a table has a line for each event, and one for each sound without; a folder has .txt files of sounds"
        raise UserError(f"{named} ({given.key}): no sound is listed there", right)
    return rows


def sound_of(name: str) -> str:
    """The sound, without its ending, that a label file beside it is of: `a` for a.txt and a.Table.1.selections.txt."""
    stem = name.removesuffix(TRACK_ENDING).removesuffix(JAMS_ENDING)
    if stem.endswith(SELECTIONS):
        before, _, number = stem.removesuffix(SELECTIONS).rpartition(".")
        table = before.removesuffix(".Table")
        return table if number.isdigit() and table != before else stem.removesuffix(SELECTIONS)
    return stem


def _read(file: Location, given: LabelFiles) -> Iterator[LabelRows]:
    if isinstance(file, Path) and is_folder(file):
        for track in _tracks(file, given.track_endings):
            yield _read_track(track, sound_of(below(track, file).as_posix()), given)
    elif isinstance(file, Url) and file.suffix.lower() not in TABLE_ENDINGS:
        for name, _ in listing(file):
            if name.endswith(given.track_endings) and not leads_out(name):
                yield _read_track(file / name, sound_of(name), given)
    else:
        yield _read_file(file, given)


def _tracks(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.name.endswith(endings) and path.is_file())
    return [path for path in found if not any(map(is_hidden, path.relative_to(folder).parts))]


def _read_file(file: Location, given: LabelFiles) -> LabelRows:
    if file.suffix.lower() == JAMS_ENDING:
        return jams_rows(file, read_text(file, given.key), shown(sound_of(file.name)))
    if file.suffix.lower() not in TABLE_ENDINGS:
        right = f"supported suffixes: {', '.join((*TABLE_ENDINGS, JAMS_ENDING))}; or a folder with label tracks"
        raise UserError(f"{file} ({given.key}) is no file of labels", right)
    if given.format == "jsonl" or (given.format == AUTO and file.suffix.lower() in JSON_ENDINGS):
        return json_label_rows(file, key=given.key)
    text = read_text(file, given.key)
    header = header_of(text)
    if given.format == "dcase" or (given.format == AUTO and is_dcase(header)):
        return dcase_rows(file, text)
    if given.format == "raven" or (given.format == AUTO and is_raven(header)):
        return raven_rows(file, text, shown(sound_of(file.name)), given.label_column)
    if given.format == AUTO and file.suffix.lower() != TRACK_ENDING:
        right = "a table of DCASE starts with a line of names: filename, onset, offset, event_label, separated by tabs"
        wrong = f"no format of labels is recognised in {header[:80]!r}" if header else "there is no text in it"
        raise UserError(f"{file}:1: {wrong}", right)
    return audacity_rows(file, text, shown(sound_of(file.name)))


def _read_track(file: Location, sound: str, given: LabelFiles) -> LabelRows:
    text, name = read_text(file, given.key), shown(sound)
    if given.format == "jams":
        return jams_rows(file, text, name)
    if given.format == "raven" or (given.format == AUTO and is_raven(header_of(text))):
        return raven_rows(file, text, name, given.label_column)
    if given.format in (AUTO, "audacity"):
        return audacity_rows(file, text, name)
    right = "a folder has label tracks of Audacity or selection tables of Raven; of other formats name the files"
    raise UserError(f"{file.parent} ({given.key}) is a folder", right)
