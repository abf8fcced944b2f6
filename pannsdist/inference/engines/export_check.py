"""Compares an exported graph with what `Predictor.predict` gives, on sounds of many lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.encoded import SoundFile
from pannsdist.audio.reader import Recording, clip_name, clip_span
from pannsdist.audio.sounds import clip_part, open_sound
from pannsdist.contracts import Clip
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.engines.compiled import TOLERANCE, max_difference
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.graph import GraphFunction, GraphOutputs
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.inference.predictor import Predictor
from pannsdist.inference.sounds import beginning
from pannsdist.inference.windowing import Windowing, windowing
from pannsdist.runtime.errors import BadClip, UserError

LONGEST_WINDOWS = 8
"""A longer sound is compared up to here: the graph takes all windows at once."""


@dataclass(frozen=True)
class ExportCheck:
    """The clips that an export was compared on, the lengths in samples, and the largest difference of a score."""

    clips: tuple[str, ...]
    samples: tuple[int, ...]
    difference: float


def read_sounds(inference_model: InferenceModel, clips: Sequence[Clip]) -> list[np.ndarray]:
    """The clips at the model's rate: (S,) float32, at most eight windows of each. Raises UserError for a bad one."""
    limit = LONGEST_WINDOWS * windowing(inference_model).window
    try:
        return [_beginning(clip, inference_model.rate_hz, limit) for clip in clips]
    except BadClip as error:
        wrong = f"the export cannot be checked: {error.wrong}"
        raise UserError(wrong, "give other files as --check FILE...") from error


def check_export(
    graph: GraphFunction, inference_model: InferenceModel, sounds: Sequence[np.ndarray], ids: Sequence[str]
) -> ExportCheck:
    """Compare a graph with the predictions of its model: each sound alone, all in one batch, and at many lengths.

    The lengths are shorter than the crop, equal to it, and longer. Raises UserError where a score differs by more than
    1e-4.
    """
    predictor = Predictor(inference_model, engine=Dygraph(inference_model))
    difference, lengths = 0.0, []
    for batch in batches(sounds, windowing(inference_model)):
        expected = _predicted(predictor, batch, inference_model)
        found = max_difference(graph(batch), expected)
        lengths.append(batch.shape[1])
        if not found <= TOLERANCE:
            wrong = f"the export gives other scores than the model: they differ by {found:.2g}"
            right = f"the tolerance is {TOLERANCE:g}; compared on {', '.join(ids)}, at {batch.shape[1]} samples"
            raise UserError(wrong, right)
        difference = max(difference, found)
    return ExportCheck(tuple(ids), tuple(sorted(set(lengths))), difference)


def check_decisions(graph: GraphOutputs, inference_model: InferenceModel, sounds: Sequence[np.ndarray]) -> None:
    """Compare the decisions of a graph with those of `predict`, on the batches of `check_export`.

    Raises UserError where they differ, unless a probability or the energy is within 1e-4 of what decides.
    """
    decisions, labels = inference_model.decisions, inference_model.labels
    if decisions is None:
        return
    predictor = Predictor(inference_model, engine=Dygraph(inference_model))
    for batch in batches(sounds, windowing(inference_model)):
        probabilities, chosen, energy = graph(batch)
        recordings = [Recording(f"row {row}", samples, inference_model.rate_hz) for row, samples in enumerate(batch)]
        expected = [one.decision or () for one in predictor.predict(recordings)]
        for row, wanted in enumerate(expected):
            found = {label for label, is_chosen in zip(labels, chosen[row], strict=True) if is_chosen}
            if found != set(wanted) and not _is_close(decisions, probabilities[row], energy[row]):
                wrong = f"the export decides for {sorted(found)}, the model for {sorted(wanted)}"
                raise UserError(
                    wrong, f"the probabilities are {probabilities[row].tolist()}, the energy {energy[row]:g}"
                )


def _is_close(decisions: Decisions, probabilities: np.ndarray, energy: float) -> bool:
    """Whether rounding may decide: two probabilities are equal, or one or the energy lies at what it is compared to."""
    first, second = np.sort(probabilities)[-1], np.sort(probabilities)[:-1].max(initial=0.0)
    gaps = [*np.abs(probabilities - np.asarray(decisions.thresholds)), first - second]
    gaps += [] if decisions.min_energy is None else [abs(energy - decisions.min_energy)]
    return bool(min(gaps) <= TOLERANCE)


def _predicted(predictor: Predictor, batch: np.ndarray, inference_model: InferenceModel) -> np.ndarray:
    """(B, S) -> (B, C): what `predict` gives for each row alone, in the order of the labels."""
    sounds = [Recording(f"row {row}", samples, inference_model.rate_hz) for row, samples in enumerate(batch)]
    answers = [dict(prediction.scores) for prediction in predictor.predict(sounds)]
    return np.array([[answer[label] for label in inference_model.labels] for answer in answers], np.float32)


def batches(sounds: Sequence[np.ndarray], lengths: Windowing) -> Iterator[np.ndarray]:
    """Batches (B, S): each sound as it is; the first one at other lengths; all of them in one batch of equal length."""
    yield from (sound[None] for sound in sounds)
    window, pad_to = lengths.window, lengths.pad_to
    for samples in sorted({max(1, pad_to // 3), (pad_to + window) // 2, window, 3 * window}):
        yield np.resize(sounds[0], samples)[None]
    yield np.stack([np.resize(sound, window + window // 2 + 1) for sound in sounds])


def _beginning(clip: Clip, rate_hz: int, limit: int) -> np.ndarray:
    """The first `limit` samples of a clip at a rate, or all of a shorter one: (S,) float32. Raises BadClip."""
    if isinstance(clip.source, SoundFile) and not clip.start_s and clip.duration_s is None:
        return beginning(clip.source, rate_hz, limit)
    with open_sound(clip.source, clip_name(clip), rate_hz) as sound:
        clip_span(clip, sound.source)
        first, end = clip_part(clip, sound, rate_hz)
        return sound.part(first, min(end, first + limit))
