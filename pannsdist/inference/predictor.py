"""What a network answers about sounds of any length, rate and channel count, in files or in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from pannsdist.audio.prefetch import ahead
from pannsdist.audio.stream import AudioInput, Window, blocks, windows
from pannsdist.inference.detection import WindowScores
from pannsdist.inference.engines.engine import Engine, engine
from pannsdist.inference.engines.graph import EMBEDDING, FRAMEWISE, SCORES
from pannsdist.inference.frames import frame_timeline
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime.errors import BadClip, UserError

WINDOWS_AT_ONCE = 8
WINDOWS_TO_SORT = 4 * WINDOWS_AT_ONCE
"""Of so many windows that follow each other, those of one length share batches."""


@dataclass(frozen=True)
class Prediction:
    """The answer about one sound: a probability for each label, the likeliest first; or why there is none."""

    sound: AudioInput
    scores: tuple[tuple[str, float], ...] = ()
    error: BadClip | None = None


class Predictor:
    """Asks a listener. A sound is heard in windows, so that memory does not grow with its length.

    Of a sound that is longer than a window the answers of its windows are averaged, the last window ending with the
    sound. `window_s` and `hop_s` are the listener's own window, side by side, unless given. The next sounds are decoded
    while the network computes, and windows of equal length share batches, whichever sound they come from.
    """

    def __init__(
        self,
        inference_model: InferenceModel,
        window_s: float | None = None,
        hop_s: float | None = None,
        asking: Engine | None = None,
    ) -> None:
        self._inference_model = inference_model
        self._engine = asking or engine(inference_model)
        self.labels = inference_model.labels
        self.window_s = inference_model.window_s if window_s is None else window_s
        self.hop_s = self.window_s if hop_s is None else hop_s
        if self.window_s < inference_model.minimum_s:
            raise UserError(
                f"the window is {self.window_s:g} s", f"the network needs at least {inference_model.minimum_s:.3f} s"
            )
        if not 0 < self.hop_s <= self.window_s:
            raise UserError(f"the hop is {self.hop_s:g} s", f"allowed: above 0, up to the window's {self.window_s:g} s")

    def predict(self, sounds: Sequence[AudioInput]) -> Iterator[Prediction]:
        """One answer for each sound, in order; one that cannot be heard gets its error in the answer's place."""
        for sound, mean in zip(sounds, self._means(sounds, SCORES), strict=True):
            if isinstance(mean, BadClip):
                yield Prediction(sound, error=mean)
                continue
            order = np.argsort(-mean, kind="stable")
            yield Prediction(sound, tuple((self._inference_model.labels[i], float(mean[i])) for i in order))

    def timeline(self, sound: AudioInput) -> Iterator[WindowScores]:
        """The probabilities (C,) in each window of a sound. Raises BadClip for one that cannot be heard."""
        for moment in self._moments([sound], SCORES):
            if isinstance(moment, BadClip):
                raise moment
            if moment is not None:
                yield moment

    def frames(self, sound: AudioInput) -> Iterator[WindowScores]:
        """The probabilities (C,) in each frame of a sound, of a listener that `answers_by_frame`. Raises BadClip."""
        front_end = self._inference_model.front_end
        minimum_samples = round(self._inference_model.minimum_s * front_end.sample_rate_hz)
        return frame_timeline(blocks(sound, front_end.sample_rate_hz), front_end, minimum_samples, self._framewise)

    def embed(self, sound: AudioInput) -> np.ndarray:
        """The embedding of a sound (E,): the mean over its windows. Raises BadClip for one that cannot be heard."""
        (vector,) = self.embeddings([sound])
        if isinstance(vector, BadClip):
            raise vector
        return vector

    def embeddings(self, sounds: Sequence[AudioInput]) -> Iterator[np.ndarray | BadClip]:
        """The embedding of each sound (E,), in order, or its error. Raises UserError if the network has none."""
        return self._means(sounds, EMBEDDING)

    def _means(self, sounds: Sequence[AudioInput], output: str) -> Iterator[np.ndarray | BadClip]:
        """For each sound the mean of its answers, or its error."""
        total, count = np.zeros(()), 0
        for moment in self._moments(sounds, output):
            if isinstance(moment, WindowScores):
                total, count = total + moment.answer.astype(np.float64), count + 1
                continue
            yield (total / count).astype(np.float32) if moment is None else moment
            total, count = np.zeros(()), 0

    def _moments(self, sounds: Sequence[AudioInput], output: str) -> Iterator[WindowScores | BadClip | None]:
        """The moments of each sound in turn, each sound's followed by None, or by its error."""
        rate_hz, heard = self._inference_model.rate_hz, self._heard(sounds)
        while waiting := list(islice(heard, WINDOWS_TO_SORT)):
            answers: dict[int, np.ndarray] = {}
            for place, item in enumerate(waiting):
                if not isinstance(item, Window):
                    yield item
                    continue
                if place not in answers:
                    answers.update(self._answers(waiting, place, output))
                yield WindowScores(item.first / rate_hz, item.end / rate_hz, answers.pop(place))

    def _answers(
        self, waiting: Sequence[Window | BadClip | None], first: int, output: str
    ) -> Iterable[tuple[int, np.ndarray]]:
        """The answers to the window at `first` and to the next ones of its length, each with its place."""
        windows_at = {place: item for place, item in enumerate(waiting) if place >= first and isinstance(item, Window)}
        samples = len(windows_at[first].waveform)
        batch = [place for place, window in windows_at.items() if len(window.waveform) == samples][:WINDOWS_AT_ONCE]
        waveforms = np.stack([windows_at[place].waveform for place in batch])
        return zip(batch, self._engine.ask(output, waveforms), strict=True)

    def _heard(self, sounds: Sequence[AudioInput]) -> Iterator[Window | BadClip | None]:
        """The windows of each sound in turn, each sound's followed by None, or by its error."""
        for source in ahead(partial(self._windows, sound) for sound in sounds):
            try:
                yield from source
            except BadClip as error:
                yield error
            else:
                yield None

    def _windows(self, sound: AudioInput) -> Iterator[Window]:
        rate_hz = self._inference_model.rate_hz
        lengths_s = (self.window_s, self.hop_s, min(self.window_s, self._inference_model.shortest_s))
        return windows(blocks(sound, rate_hz), *(max(1, round(length_s * rate_hz)) for length_s in lengths_s))

    def _framewise(self, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (B, S) -> probabilities (B, T, C); of one label, odds add up to one as softmax's."""
        answers = self._engine.ask(FRAMEWISE, waveforms)
        if self._inference_model.multi_label:
            return answers
        odds = np.maximum(answers, np.finfo(np.float32).tiny) / np.maximum(1.0 - answers, np.finfo(np.float32).eps)
        probabilities: np.ndarray = odds / odds.sum(axis=-1, keepdims=True)
        return probabilities
