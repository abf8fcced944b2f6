"""The sections of a report about where a run comes from: date, duration, command, software; and its clips by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

import numpy as np

from pannsdist.run.data_record import DATA_FILE, read_data_record
from pannsdist.run.history import History
from pannsdist.run.testing import PREDICTIONS_FOLDER
from pannsdist.runtime.figures import duration
from pannsdist.training.tracking import read_predictions

LISTED_CLASSES = 20
"""Maximum number of classes whose clips are listed without being expanded."""


def clip_counts(folder: Path) -> tuple[dict[str, int], dict[str, Counter[str]]]:
    """The clips of a run folder by split, and by split and class. Empty for a run without a record of its data."""
    found = read_data_record(folder / DATA_FILE)
    totals: dict[str, int] = {}
    counts: dict[str, Counter[str]] = {}
    for split in found[0].splits if found else ():
        clips = found[0].clips(split) if found else {}
        totals[split] = len(clips)
        counts[split] = Counter(label for labels, _, _ in clips.values() for label in labels)
    test = read_predictions(folder / PREDICTIONS_FOLDER)
    if test is not None:
        predictions = test.predictions
        totals[test.split] = len(predictions.ids)
        sums = np.asarray(predictions.positives.sum(axis=0)).tolist()
        counts[test.split] = Counter(dict(zip(predictions.labels, sums, strict=True)))
    return totals, counts


def day(date: str) -> str:
    """A date and time to the minute, as written in its own time zone; the text itself where it is not such a date."""
    try:
        return datetime.fromisoformat(date).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return date


def origin_section(history: History, seconds: float, recorded: Mapping[str, str]) -> str:
    """Date, duration, command and software; of a run without a history, the `recorded` versions of its model."""
    rows = {}
    if history.starts:
        first, last = history.starts[0], history.starts[-1]
        rows["started"] = day(first.date)
        if len(history.starts) > 1:
            rows["started again"] = f"{len(history.starts) - 1} times, last {day(last.date)}"
        rows["command"] = last.command
        rows["git checkout"] = last.commit.replace("+", ", with changed files")
        recorded = last.versions
    rows["duration"] = f"{duration(seconds)}, the sum of the epochs with their evaluation"
    rows["software"] = ", ".join(f"{name} {version}" for name, version in recorded.items())
    cells = "".join(
        f"<tr><th>{name}</th><td>{f'<code>{escape(text)}</code>' if name == 'command' else escape(text)}</td></tr>"
        for name, text in rows.items()
        if text
    )
    return f"<section><h2>The run</h2><table class='pairs'>{cells}</table></section>"


def clips_section(labels: Sequence[str], totals: Mapping[str, int], counts: Mapping[str, Counter[str]]) -> str:
    """The clips of each split and class; the table of many classes is collapsed."""
    if not totals:
        return ""
    head = "".join(f"<th class='number'>{escape(split)}</th>" for split in totals)
    rows = []
    for label in labels:
        cells = "".join(f"<td class='number'>{counts[split][label]:,}</td>" for split in totals)
        rows.append(f"<tr><th>{escape(label)}</th>{cells}</tr>")
    sums = "".join(f"<td class='number'>{total:,}</td>" for total in totals.values())
    rows.append(f"<tr class='sum'><th>all clips</th>{sums}</tr>")
    table = f"<table><tr><th>class</th>{head}</tr>{''.join(rows)}</table>"
    words = ", ".join(f"{total:,} {escape(split)}" for split, total in totals.items())
    if len(labels) > LISTED_CLASSES:
        table = f"<details><summary>clips of {len(labels)} classes</summary>{table}</details>"
    return f"<section><h2>Clips</h2><p class='quiet'>{words}</p>{table}</section>"
