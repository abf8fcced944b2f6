"""Writes labels of events so that `event_files` reads equal events: DCASE tables, Audacity tracks, Raven tables.

Times are written in full, with a decimal point and without an exponent.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Protocol

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import shown

__all__ = ["WrittenEvent", "audacity_text", "dcase_rows_text", "raven_text"]

DCASE_HEADER = ("filename", "onset", "offset", "event_label")
RAVEN_HEADER = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"),
    *("Annotation", "Score"),
)


class WrittenEvent(Protocol):
    """An event with its label; one with a `score` has that in the formats that know scores."""

    @property
    def onset_s(self) -> float:
        """Seconds from the start of the sound."""
        ...

    @property
    def offset_s(self) -> float:
        """Seconds from the start of the sound."""
        ...

    @property
    def label(self) -> str:
        """The label."""
        ...


def dcase_rows_text(sound: str, events: Sequence[WrittenEvent], is_first: bool = False) -> str:
    """The rows of a sound, of one without events its name alone, after the header if it `is_first`.

    Raises UserError for a label that would be read back as another one.
    """
    rows: list[Sequence[str]] = [DCASE_HEADER] if is_first else []
    rows += [(shown(sound), *_times(event), _label(event.label)) for event in events] or [(shown(sound), "", "", "")]
    return _tabs(rows)


def audacity_text(events: Iterable[WrittenEvent]) -> str:
    """A label track: the events of one sound. Raises UserError as `dcase_rows_text`."""
    return "".join("\t".join([*_times(event), _label(event.label)]) + "\n" for event in events)


def raven_text(events: Iterable[WrittenEvent]) -> str:
    """A selection table: the events of one sound, with their labels as Annotation. Raises UserError."""
    lines = ["\t".join(RAVEN_HEADER)]
    for number, event in enumerate(events, start=1):
        score = getattr(event, "score", None)
        own = [str(number), "Waveform 1", "1", *_times(event), "0.0", "0.0", _label(event.label)]
        lines.append("\t".join([*own, "" if score is None else _number(score)]))
    return "\n".join(lines) + "\n"


def _times(event: WrittenEvent) -> tuple[str, str]:
    return _number(event.onset_s), _number(event.offset_s)


def _number(value: float) -> str:
    import numpy as np  # not at import: formats are named where help is shown

    return np.format_float_positional(value, trim="0")


def _label(label: str) -> str:
    if not label or label != label.strip() or label != shown(label):
        right = "labels of label files have no tabs, line ends or outer spaces: the format jsonl holds every label"
        raise UserError(f"the label {label!r} cannot be written", right)
    return label


def _tabs(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    return text.getvalue()
