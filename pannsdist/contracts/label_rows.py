"""What files of event labels say, row by row: the form that every reader of `event_files` produces.

Axes: R rows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NoReturn

import numpy as np

from pannsdist.contracts.locations import Location
from pannsdist.contracts.rows import Row
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.foreign import excerpt
from pannsdist.runtime.names import shown

__all__ = ["LENGTH", "STRONG", "UNLABELLED", "WEAK", "LabelRows", "joined_rows", "numbers", "seconds"]

UNLABELLED, WEAK, STRONG, LENGTH = range(4)
"""What a row says of its sound: that nothing is known of it, one of its labels, one of its events, or its length."""


@dataclass(frozen=True, eq=False)
class LabelRows:
    """Rows of label files in columns (R,). Row r is line `lines[r]` of `files[file_of[r]]`, and of `sounds[r]`.

    `kinds` is `STRONG` for an event, from `onsets_s` to `offsets_s`, and for a sound that is listed without events:
    its label is empty, and its times are NaN. It is `WEAK` for one label of a sound, empty for a sound that has none,
    `UNLABELLED` for a sound that is listed with nothing more, and `LENGTH` where `offsets_s` is the sound's length.
    """

    files: Sequence[Location]
    file_of: np.ndarray
    lines: np.ndarray
    sounds: Sequence[str]
    kinds: np.ndarray
    onsets_s: np.ndarray
    offsets_s: np.ndarray
    labels: Sequence[str]

    @classmethod
    def of_file(
        cls, file: Location, lines: Sequence[int], sounds: Sequence[str], kind: int, labels: Sequence[str]
    ) -> LabelRows:
        """Rows of one file without times."""
        nothing = np.full(len(lines), np.nan)
        kinds, file_of = np.full(len(lines), kind, np.int8), np.zeros(len(lines), np.int32)
        return cls((file,), file_of, np.array(lines, np.int64), sounds, kinds, nothing, nothing, labels)

    @classmethod
    def of_events(
        cls, file: Location, lines: Sequence[int], sounds: Sequence[str], times_s: np.ndarray, labels: Sequence[str]
    ) -> LabelRows:
        """Events of one file with `times_s` (2, R), onsets and offsets; NaN and an empty label for one without."""
        kinds, file_of = np.full(len(lines), STRONG, np.int8), np.zeros(len(lines), np.int32)
        return cls((file,), file_of, np.array(lines, np.int64), sounds, kinds, times_s[0], times_s[1], labels)

    @classmethod
    def of_lengths(
        cls, file: Location, lines: Sequence[int], sounds: Sequence[str], lengths_s: np.ndarray
    ) -> LabelRows:
        """Lengths (R,) of sounds, of one file."""
        nothing, kinds = np.full(len(lines), np.nan), np.full(len(lines), LENGTH, np.int8)
        labels, file_of = [""] * len(lines), np.zeros(len(lines), np.int32)
        return cls((file,), file_of, np.array(lines, np.int64), sounds, kinds, nothing, lengths_s, labels)

    def __len__(self) -> int:
        return len(self.sounds)

    def row(self, number: int) -> Row:
        """The place of a row, for messages."""
        return Row(self.files[self.file_of[number]], int(self.lines[number]), {})

    def refuse(self, number: int, wrong: str, right: str = "") -> NoReturn:
        """Raise UserError with the file and the line of a row."""
        self.row(number).refuse(wrong, right)

    def described(self, number: int) -> str:
        """An event in words: `'dog' from 1.5 to 2 s`."""
        times = f"from {self.onsets_s[number]:.15g} to {self.offsets_s[number]:.15g} s"
        return f"{shown(self.labels[number])!r} {times}"


def joined_rows(parts: Sequence[LabelRows]) -> LabelRows:
    """The rows of all parts, one after another."""
    starts = np.cumsum([0, *(len(part.files) for part in parts)])
    nothing = [np.zeros(0)]
    return LabelRows(
        list(chain.from_iterable(part.files for part in parts)),
        np.concatenate(
            [np.zeros(0, np.int32), *(part.file_of + start for part, start in zip(parts, starts, strict=False))]
        ).astype(np.int32),
        np.concatenate([np.zeros(0, np.int64), *(part.lines for part in parts)]),
        list(chain.from_iterable(part.sounds for part in parts)),
        np.concatenate([np.zeros(0, np.int8), *(part.kinds for part in parts)]),
        np.concatenate(nothing + [part.onsets_s for part in parts]),
        np.concatenate(nothing + [part.offsets_s for part in parts]),
        list(chain.from_iterable(part.labels for part in parts)),
    )


def numbers(file: Location, lines: Sequence[int], texts: Sequence[str], column: str) -> np.ndarray:
    """Times of a column (R,) float64. Raises UserError, with file and line, for the first text that is no number."""
    try:
        if any("_" in text for text in texts):  # Python reads 1_0 as 10
            raise ValueError
        found = np.array(list(map(float, texts)), np.float64)
        if np.isfinite(found).all():
            return found
    except ValueError:
        pass
    row = next(row for row, text in enumerate(texts) if not _is_number(text))
    text = texts[row]
    raise UserError(f"{file}:{lines[row]}: {column} is {excerpt(text)!r}", _how_to_write(text))


def seconds(number: float) -> float:
    """A number of JSON as seconds: infinite where it is an integer that no float holds."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False


def _how_to_write(text: str) -> str:
    if re.fullmatch(r"\s*-?\d*,\d+\s*", text):
        return f"decimal commas are not read, write {text.strip().replace(',', '.')}"
    right = "it is a number of seconds with a decimal point"
    return f"{right}, not minutes and seconds" if ":" in text else right
