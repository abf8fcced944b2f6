"""Generated predictions for the checks of metrics: correct ones, guesses, and degenerate ones.

Axes: N clips, T frames, C classes. Those of multi-label tasks have events and predictions by frame, for the metrics
that need them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts import Event
from pannsdist.contracts.predictions import FramePredictions, Predictions

CLIPS = 60
FRAME_S = 0.1
FRAMES = 25


def guesses(multi_label: bool, classes: int, seed: int = 0) -> Predictions:
    """Predictions above chance level with many errors; every class has clips."""
    generator = np.random.default_rng(seed)
    right = perfect(multi_label, classes)
    logits = _guessed(right.logits, generator)
    if right.frames is None:
        return replace(right, logits=logits)
    return replace(right, logits=logits, frames=replace(right.frames, logits=_guessed(right.frames.logits, generator)))


def perfect(multi_label: bool, classes: int) -> Predictions:
    """Correct predictions of varying confidence; all logits differ."""
    generator = np.random.default_rng(7)
    labels = tuple(f"label {number}" for number in range(classes))
    first = np.arange(CLIPS) % classes
    truth = np.equal.outer(first, np.arange(classes))
    if multi_label:
        truth |= generator.random(truth.shape) < 0.2
        truth[-1] = False  # a clip without labels
    logits = _confident(truth, generator)
    targets = truth.astype(np.float32) if multi_label else first.astype(np.int64)
    ids = tuple(f"clip {number:03d}" for number in range(CLIPS))
    frames = _frames(ids, labels, truth) if multi_label else None
    return Predictions(ids, logits, targets, labels, multi_label, frames=frames)


def _frames(ids: tuple[str, ...], labels: tuple[str, ...], truth: NDArray[np.bool_]) -> FramePredictions:
    """One event of whole frames for each label of a clip."""
    generator = np.random.default_rng(11)
    active = np.zeros((len(ids), FRAMES, len(labels)), bool)
    events: list[list[Event]] = [[] for _ in ids]
    for clip, column in zip(*(axis.tolist() for axis in np.nonzero(truth)), strict=True):
        start = int(generator.integers(0, FRAMES // 2))
        stop = start + int(generator.integers(3, FRAMES // 2))
        active[clip, start:stop, column] = True
        events[clip].append(Event(round(start * FRAME_S, 6), round(stop * FRAME_S, 6), labels[column]))
    durations_s = np.full(len(ids), FRAMES * FRAME_S)
    return FramePredictions(ids, _confident(active, generator), FRAME_S, durations_s, tuple(map(tuple, events)), labels)


def rows_of(given: Predictions, rows: Iterable[int]) -> Predictions:
    """Some of the clips, in the order of `rows`."""
    chosen = list(rows)
    ids = tuple(given.ids[row] for row in chosen)
    frames = None if given.frames is None else given.frames.take(chosen)
    return replace(given, ids=ids, logits=given.logits[chosen], targets=given.targets[chosen], frames=frames)


def scaled(given: Predictions, factor: float) -> Predictions:
    """All logits times a factor."""
    frames = None if given.frames is None else replace(given.frames, logits=given.frames.logits * np.float32(factor))
    return replace(given, logits=given.logits * np.float32(factor), frames=frames)


def without_labels(given: Predictions) -> Predictions:
    """The same multi-label predictions for clips that have no label."""
    frames = None if given.frames is None else replace(given.frames, events=((),) * len(given.ids))
    return replace(given, targets=np.zeros_like(given.targets), frames=frames)


def arrays_of(given: Predictions) -> list[NDArray[np.generic]]:
    """The arrays that a metric may not modify."""
    arrays: list[NDArray[np.generic]] = [given.logits, given.targets]
    return arrays if given.frames is None else [*arrays, given.frames.logits, given.frames.durations_s]


def _confident(truth: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.float32]:
    return (np.where(truth, 1, -1) * generator.uniform(2, 6, truth.shape)).astype(np.float32)


def _guessed(logits: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.float32]:
    return (0.3 * logits + generator.normal(0, 2, logits.shape)).astype(np.float32)
