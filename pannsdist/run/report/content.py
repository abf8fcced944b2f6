"""The content of a report, read from the run folder and, for audio, from the dataset."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pannsdist import settings
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.contracts import Clip
from pannsdist.contracts.spectrograms import Spectrogram, spectrogram
from pannsdist.inference.bundle import BundleRecord, read_record
from pannsdist.registry import Catalog
from pannsdist.run.folder import require_run_folder
from pannsdist.run.history import History, read_history
from pannsdist.run.planning.data import load_data
from pannsdist.run.planning.selection import choose_dataset
from pannsdist.run.report.classes import shown_mistakes
from pannsdist.run.report.origin import clip_counts
from pannsdist.run.testing import TestScores, read_test_scores
from pannsdist.runtime.errors import BadBundle, BadClip, BadRunFolder, UserError
from pannsdist.runtime.redaction import published, published_text
from pannsdist.settings.plain import flat
from pannsdist.training.metrics import (
    ClassScores,
    Interval,
    Predictions,
    class_scores,
    intervals,
    most_confused,
    resampled,
)
from pannsdist.training.tracking import SavedPredictions, read_predictions
from pannsdist.training.tracking.scores_file import SCORES_FILE, read_scores

MOST_CLIPS, MOST_PAIRS, CLIPS_OF_A_PAIR = 12, 8, 3


@dataclass(frozen=True)
class ClipPlayer:
    """An audio player: true and predicted label, its probability, WAV data and spectrogram.

    None where the audio is not available.
    """

    name: str
    true: str
    given: str
    probability: float
    wav: bytes | None
    picture: Spectrogram | None


@dataclass(frozen=True)
class ReportContent:
    """All content of a page. `scores` are the lines of `scores.jsonl`; `notes` explain missing content.

    `test` are the scores of the best model on the test split, if it was evaluated. `clips` are the clips by split, and
    `class_clips` those by split and class.
    """

    folder: Path
    settings: Mapping[str, Any]
    scores: Sequence[Mapping[str, Any]]
    record: BundleRecord | None
    kept: SavedPredictions | None
    classes: Sequence[ClassScores]
    players: Sequence[ClipPlayer]
    notes: Sequence[str]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """The 95 % intervals of the scores of `record`, by `split/metric`."""
    test: TestScores | None = None
    history: History = field(default_factory=History)
    clips: Mapping[str, int] = field(default_factory=dict)
    class_clips: Mapping[str, Counter[str]] = field(default_factory=dict)


def read_content(folder: Path, catalog: Catalog) -> ReportContent:
    """Read the folder of a run. Raises BadRunFolder if it is not a run folder, or has no finished epoch."""
    written, scores = require_run_folder(folder), read_scores(folder / SCORES_FILE)
    if not scores:
        raise BadRunFolder(f"the run in {folder} has no scores yet", "wait until its first epoch is finished")
    notes: list[str] = []
    record = _record(folder / "best_model", notes)
    kept = read_predictions(folder / "best_predictions")
    if kept is None:
        notes.append("The run has no stored predictions, so confusions cannot be shown.")
    elif record is not None and kept.epoch != record.epoch:
        notes.append(f"The predictions are from epoch {kept.epoch}, the best model is from epoch {record.epoch}.")
    players = [] if kept is None or record is None else list(_players(written, kept, record, catalog, notes))
    classes = class_scores(kept.predictions.sorted_by_id()) if kept else []
    is_same_epoch = kept is not None and record is not None and kept.epoch == record.epoch
    found = intervals(resampled(kept.predictions), kept.split) if kept is not None and is_same_epoch else {}
    shown, notes = flat(published(settings.read_yaml(written))), [published_text(note) for note in notes]
    test = read_test_scores(folder)
    test = test if test is not None and record is not None and test.epoch == record.epoch else None
    given = (folder, shown, scores, record, kept, classes, players, notes, found, test)
    return ReportContent(*given, read_history(folder), *clip_counts(folder))


def _record(folder: Path, notes: list[str]) -> BundleRecord | None:
    try:
        return read_record(folder)
    except BadBundle as error:
        notes.append(f"There is no usable best model: {error.wrong}.")
        return None


def chosen_rows(predictions: Predictions) -> list[int]:
    """The rows of the clips to show: from the most confused pairs, or the most confident mistakes of the classes.

    Within a pair or a class, the most confident mistakes come first.
    """
    if not predictions.usable:
        return []
    if predictions.multi_label:
        found = chain.from_iterable(shown_mistakes(predictions))
        return list(dict.fromkeys(mistake.row for mistake in found))[:MOST_CLIPS]
    given, rows = predictions.logits.argmax(axis=1), []
    probabilities = predictions.probabilities
    for true, taken, _ in most_confused(predictions, MOST_PAIRS):
        of_pair = np.flatnonzero((predictions.targets == true) & (given == taken))
        rows += sorted(of_pair.tolist(), key=lambda row: -probabilities[row, taken])[:CLIPS_OF_A_PAIR]
    return rows[:MOST_CLIPS]


def _players(
    written: Path, kept: SavedPredictions, record: BundleRecord, catalog: Catalog, notes: list[str]
) -> Iterator[ClipPlayer]:
    """Players for the chosen clips, with audio if the dataset is still available."""
    predictions = kept.predictions
    rows = chosen_rows(predictions)
    clips = _clips(written, kept.split, catalog, notes) if rows else {}
    rate_hz = record.front_end.sample_rate_hz
    reader = ClipReader(rate_hz, round(record.crop_s * rate_hz), pad_samples=0)
    for row in rows:
        name, probabilities = predictions.ids[row], predictions.probabilities[row]
        pairs = zip(predictions.labels, predictions.positives[row], strict=True)
        true, top = ", ".join(label for label, positive in pairs if positive) or "no label", int(probabilities.argmax())
        wav, picture = _audio(clips[name], reader, notes) if name in clips else (None, None)
        if clips and name not in clips:
            notes.append(f"The dataset no longer has the clip '{name}'.")
        yield ClipPlayer(name, true, predictions.labels[top], float(probabilities[top]), wav, picture)


def _clips(written: Path, split: str, catalog: Catalog, notes: list[str]) -> dict[str, Clip]:
    try:
        chosen, origin = settings.load(written)
        table = load_data(choose_dataset(chosen.data, origin, catalog), (split,)).splits[split]
    except UserError as error:
        notes.append(f"The clips are not available: {error.wrong}.")
        return {}
    return {clip.id: clip for clip in table.clips}


def _audio(clip: Clip, reader: ClipReader, notes: list[str]) -> tuple[bytes, Spectrogram] | tuple[None, None]:
    """What the network reads of the clip, without padding, as a WAV file and as a spectrogram."""
    try:
        waveform = reader.read(clip, None)
    except BadClip as error:
        notes.append(f"A clip cannot be read: {error.wrong}.")
        return None, None
    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform, -1.0, 1.0), reader.rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue(), spectrogram(waveform, reader.rate_hz)
