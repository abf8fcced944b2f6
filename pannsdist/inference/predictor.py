"""Runs a network on sounds of any length, rate and channel count, in files or in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from pannsdist.audio.prefetch import prefetch
from pannsdist.audio.reader import AudioInput, missing_part, mono_blocks
from pannsdist.audio.verdicts import Verdict
from pannsdist.audio.windows import Window, sliding_windows
from pannsdist.inference.detection import WindowScores
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.output_layer import EMBEDDING, FRAMEWISE, SCORES
from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.frames import frame_scores
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime.errors import BadClip, UserError

BATCH_WINDOWS = 8
BUFFER_WINDOWS = 4 * BATCH_WINDOWS
"""Consecutive windows from which those of equal length are put into one batch."""


@dataclass(frozen=True)
class Prediction:
    """The probability of each label for one source, highest first; or the error of a bad one.

    `incomplete` says how much was read of a file that is cut or damaged; None for a whole one.
    """

    source: AudioInput
    scores: tuple[tuple[str, float], ...] = ()
    error: BadClip | None = None
    incomplete: Verdict | None = None


class Predictor:
    """Runs a network window by window, in constant memory.

    The outputs of the windows of a sound are averaged; the last window ends where the sound ends. `window_s` and
    `hop_s` default to the model's own window, without overlap. The next sounds are decoded while the network computes,
    and windows of equal length are batched, also across sounds. Raises UserError for a window or a hop that does not
    suit the model.
    """

    def __init__(
        self,
        inference_model: InferenceModel,
        window_s: float | None = None,
        hop_s: float | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._inference_model = inference_model
        self._engine = engine or build_engine(inference_model)
        self.labels = inference_model.labels
        self.window_s = inference_model.window_s if window_s is None else window_s
        self.hop_s = self.window_s if hop_s is None else hop_s
        if self.window_s < inference_model.minimum_s:
            raise UserError(
                f"the window is {self.window_s:g} s", f"the network needs at least {inference_model.minimum_s:.3f} s"
            )
        if not 0 < self.hop_s <= self.window_s:
            raise UserError(f"the hop is {self.hop_s:g} s", f"allowed: above 0, up to the window's {self.window_s:g} s")

    def predict(self, sources: Sequence[AudioInput]) -> Iterator[Prediction]:
        """One prediction for each source, in order; that of a bad source holds its error."""
        for source, mean in zip(sources, self._means(sources, SCORES), strict=True):
            if isinstance(mean, BadClip):
                yield Prediction(source, error=mean)
                continue
            order = np.argsort(-mean, kind="stable")
            scores = tuple((self._inference_model.labels[i], float(mean[i])) for i in order)
            yield Prediction(source, scores, incomplete=missing_part(source))

    def timeline(self, source: AudioInput) -> Iterator[WindowScores]:
        """The probabilities (C,) of each window of a source. Raises BadClip."""
        for window_scores in self._window_outputs([source], SCORES):
            if isinstance(window_scores, BadClip):
                raise window_scores
            if window_scores is not None:
                yield window_scores

    def frames(self, source: AudioInput) -> Iterator[WindowScores]:
        """The probabilities (C,) of each frame of a source, of a model that `has_framewise`. Raises BadClip."""
        front_end = self._inference_model.front_end
        minimum_samples = round(self._inference_model.minimum_s * front_end.sample_rate_hz)
        return frame_scores(mono_blocks(source, front_end.sample_rate_hz), front_end, minimum_samples, self._framewise)

    def embed(self, source: AudioInput) -> np.ndarray:
        """The embedding of a source (E,), the mean over its windows. Raises BadClip."""
        (vector,) = self.embeddings([source])
        if isinstance(vector, BadClip):
            raise vector
        return vector

    def embeddings(self, sources: Sequence[AudioInput]) -> Iterator[np.ndarray | BadClip]:
        """The embedding of each source (E,), in order, or its error. Raises UserError if the network has none."""
        return self._means(sources, EMBEDDING)

    def _means(self, sources: Sequence[AudioInput], output: str) -> Iterator[np.ndarray | BadClip]:
        """The mean over the windows of each source, in order, or its error."""
        total, count = np.zeros(()), 0
        for item in self._window_outputs(sources, output):
            if isinstance(item, WindowScores):
                total, count = total + item.output.astype(np.float64), count + 1
                continue
            yield (total / count).astype(np.float32) if item is None else item
            total, count = np.zeros(()), 0

    def _window_outputs(self, sources: Sequence[AudioInput], output: str) -> Iterator[WindowScores | BadClip | None]:
        """The outputs of the windows of each source in turn, followed by None or by the source's error."""
        rate_hz, windows = self._inference_model.rate_hz, self._windows(sources)
        while buffer := list(islice(windows, BUFFER_WINDOWS)):
            outputs: dict[int, np.ndarray] = {}
            for index, item in enumerate(buffer):
                if not isinstance(item, Window):
                    yield item
                    continue
                if index not in outputs:
                    outputs.update(self._run_batch(buffer, index, output))
                yield WindowScores(item.first / rate_hz, item.end / rate_hz, outputs.pop(index))

    def _run_batch(
        self, buffer: Sequence[Window | BadClip | None], first: int, output: str
    ) -> Iterable[tuple[int, np.ndarray]]:
        """(index, output) of the window at index `first` of the buffer and of the next ones of its length."""
        later = {index: item for index, item in enumerate(buffer) if index >= first and isinstance(item, Window)}
        samples = len(later[first].waveform)
        batch = [index for index, window in later.items() if len(window.waveform) == samples][:BATCH_WINDOWS]
        waveforms = np.stack([later[index].waveform for index in batch])
        return zip(batch, self._engine.run(output, waveforms), strict=True)

    def _windows(self, sources: Sequence[AudioInput]) -> Iterator[Window | BadClip | None]:
        """The windows of each source in turn, followed by None or by the source's error."""
        for windows in prefetch(partial(self._windows_of, source) for source in sources):
            try:
                yield from windows
            except BadClip as error:
                yield error
            else:
                yield None

    def _windows_of(self, source: AudioInput) -> Iterator[Window]:
        rate_hz = self._inference_model.rate_hz
        lengths_s = (self.window_s, self.hop_s, min(self.window_s, self._inference_model.pad_to_s))
        samples = (max(1, round(length_s * rate_hz)) for length_s in lengths_s)
        return sliding_windows(mono_blocks(source, rate_hz), *samples)

    def _framewise(self, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (B, S) -> probabilities (B, T, C); of a single-label model they are normalised to add up to 1."""
        outputs = self._engine.run(FRAMEWISE, waveforms)
        if self._inference_model.multi_label:
            return outputs
        # Odds are the exponentials of the logits, so normalising them is a softmax.
        odds = np.maximum(outputs, np.finfo(np.float32).tiny) / np.maximum(1.0 - outputs, np.finfo(np.float32).eps)
        probabilities: np.ndarray = odds / odds.sum(axis=-1, keepdims=True)
        return probabilities
