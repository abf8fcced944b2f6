"""AudioSet's temporally strong labels for pannsdist: the dataset `audioset_strong`.

The tables are those of S. Hershey and others, "The Benefit of Temporally-Strong Labels in Audio Event Classification",
ICASSP 2021. The audio is not published with them; each segment is expected in its own file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np

from pannsdist.contracts import UserError
from pannsdist.contracts.corpora import Corpus, Listed
from pannsdist.contracts.event_corpora import EventParams, listed_sounds
from pannsdist.contracts.event_files_text import dcase_rows
from pannsdist.contracts.label_rows import LabelRows
from pannsdist.contracts.locations import below
from pannsdist.contracts.sound_files import find_sound_files
from pannsdist.contracts.tables import lines_of, read_text

__all__ = ["AudioSetStrong"]

NAMES = "mid_to_display_name.tsv"
TABLES = {"train": "audioset_train_strong.tsv", "valid": "audioset_eval_strong.tsv"}
COLUMNS = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
SEGMENT = re.compile(r"(?P<video>[\w-]{11})_[0-9]+")
FILE = re.compile(r"(?:Y(?P<prefixed>[\w-]{11})|(?P<plain>[\w-]{11}))(?:_[0-9].*)?")
"""File name of a segment without suffix: the video id, with optional prefix Y and optional start such as _30.000."""


class AudioSetStrong(Corpus):
    """The strongly labelled segments of AudioSet. Missing files are skipped and counted.

    Labels are those of the training table, by display name; an evaluated event of another label is left out, and its
    segment stays. A segment of which nothing else is marked then has no events.
    """

    Params = EventParams
    home = "https://research.google.com/audioset/download_strong.html"
    layout = f"{', '.join(TABLES.values())}, {NAMES} (all perhaps in metadata/ or strong/) and audio/ or audios/"
    multi_label = True
    skips_missing = True

    def listed(self) -> Iterator[Listed]:
        """The segments of both tables; the clip id is the segment id."""
        names, files = self._names(), dict(self._files())
        rows = {part: self._rows(table, names) for part, table in TABLES.items()}
        trained = set(filter(None, rows["train"].labels))
        audio = self.found("audio", "audios").name

        def path_of(segment: str) -> str:
            video = segment[:11]
            return files.get(video, f"{audio}/Y{video}.wav")

        for part, own in rows.items():
            is_trained = [not label or label in trained for label in own.labels]
            kept = own if all(is_trained) else _without(own, is_trained)
            yield from listed_sounds(kept, part, path_of, self.params.overlaps)

    def split_of(self, item: Listed) -> str:
        """The split of the clip's table."""
        return str(item.part)

    def _rows(self, table: str, names: dict[str, str]) -> LabelRows:
        file = self.found(table, f"metadata/{table}", f"strong/{table}")
        rows = dcase_rows(file, read_text(file), COLUMNS)
        for number, segment in enumerate(rows.sounds):
            if not SEGMENT.fullmatch(segment):
                right = "expected a video id of 11 characters, _, and the start of the segment in milliseconds"
                rows.refuse(number, f"segment_id is {segment!r}", right)
            if rows.labels[number] not in names:
                rows.refuse(number, f"unknown label {rows.labels[number]!r}", f"labels are defined in {NAMES}")
        return replace(rows, labels=[names[label] for label in rows.labels])

    def _names(self) -> dict[str, str]:
        """The display name of each label."""
        file = self.found(NAMES, f"metadata/{NAMES}", f"strong/{NAMES}")
        names: dict[str, str] = {}
        for line, text in enumerate(lines_of(read_text(file)), start=1):
            cells = [cell.strip() for cell in text.split("\t")]
            if len(cells) != 2 or not all(cells):
                raise UserError(f"{file}:{line}: {text!r}", "each line has the id of a label, a tab, and its name")
            if cells[0] in names:
                raise UserError(f"{file}:{line}: label {cells[0]!r} stands above already", "remove one row")
            names[cells[0]] = cells[1]
        return names

    def _files(self) -> Iterator[tuple[str, str]]:
        """Pairs (video id, path relative to the root), recursively."""
        found = find_sound_files(self.found("audio", "audios"))
        self.skipped = found.skipped
        for path in found.files:
            name = FILE.fullmatch(path.stem)
            if name:
                yield name["prefixed"] or name["plain"], below(path, self.root).as_posix()


def _without(rows: LabelRows, is_kept: Sequence[bool]) -> LabelRows:
    """The rows without some events; a sound that has no other is listed without events."""
    kept_sounds = set(compress(rows.sounds, is_kept))
    first: dict[str, int] = {}
    for number, sound in enumerate(rows.sounds):
        first.setdefault(sound, number)
    emptied = {number for sound, number in first.items() if sound not in kept_sounds}
    chosen = np.array([number for number, kept in enumerate(is_kept) if kept or number in emptied], np.int64)
    bare = np.array([int(number) in emptied for number in chosen], bool)
    return LabelRows(
        rows.files,
        rows.file_of[chosen],
        rows.lines[chosen],
        [rows.sounds[number] for number in chosen],
        rows.kinds[chosen],
        np.where(bare, np.nan, rows.onsets_s[chosen]),
        np.where(bare, np.nan, rows.offsets_s[chosen]),
        ["" if int(number) in emptied else rows.labels[number] for number in chosen],
    )
