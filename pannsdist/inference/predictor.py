"""Runs a network on sounds of any length, rate and channel count, in files or in memory."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import numpy as np

from pannsdist.audio.loudness import LevelMeter
from pannsdist.audio.prefetch import prefetch
from pannsdist.audio.reader import AudioInput, missing_part
from pannsdist.audio.sounds import mono_blocks
from pannsdist.audio.verdicts import Verdict
from pannsdist.audio.windows import SlidingWindows, Window, sliding_windows
from pannsdist.inference.arriving import ArrivingTimeline
from pannsdist.inference.decisions import answer
from pannsdist.inference.detection import WindowScores
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.output_layer import DECIDED, EMBEDDING, FRAMEWISE, SCORES
from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.frames import FrameScorer, frame_scores, padded_first
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.inference.windowing import windowing
from pannsdist.runtime.errors import BadClip, UserError

BATCH_WINDOWS = 8
MAX_BATCH_WINDOWS = 1024
BUFFER_WINDOWS = 4 * BATCH_WINDOWS
"""Consecutive windows from which those of equal length are put into one batch; a larger batch has as many."""


@dataclass(frozen=True)
class Prediction:
    """The probability of each label for one source, highest first; or the error of a bad one.

    `remarks` say what is unusual about its levels. `incomplete` says how much was read of a file that is cut or
    damaged; None for a whole one. `decision` are the labels that a model with `Decisions` decides for, the most
    probable first, none for a sound of no class, and `energy` is how much it looks like a known one; else None.
    """

    source: AudioInput
    scores: tuple[tuple[str, float], ...] = ()
    remarks: tuple[str, ...] = ()
    error: BadClip | None = None
    incomplete: Verdict | None = None
    decision: tuple[str, ...] | None = None
    energy: float | None = None


@dataclass(frozen=True)
class Embedding:
    """The embedding of one source (E,), with its remarks; or the error of a bad one."""

    source: AudioInput
    vector: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    remarks: tuple[str, ...] = ()
    error: BadClip | None = None


@dataclass(frozen=True)
class End:
    """Follows the last window of a source, with its remarks."""

    remarks: tuple[str, ...]


class Predictor:
    """Runs a network window by window, in constant memory.

    The outputs of the windows of a sound are averaged; the last window ends where the sound ends. `window_s` and
    `hop_s` default to the model's own window, without overlap. The next sounds are decoded while the network computes,
    and up to `batch_size` windows of equal length are batched, also across sounds. Raises UserError for a window or a
    hop that does not suit the model, and for a batch out of range.
    """

    def __init__(
        self,
        inference_model: InferenceModel,
        window_s: float | None = None,
        hop_s: float | None = None,
        engine: Engine | None = None,
        batch_size: int | None = None,
    ) -> None:
        self._batch_windows = BATCH_WINDOWS if batch_size is None else batch_size
        if not 1 <= self._batch_windows <= MAX_BATCH_WINDOWS:
            raise UserError(f"the batch size is {batch_size}", f"allowed: 1 to {MAX_BATCH_WINDOWS} windows")
        self._inference_model = inference_model
        self._engine = engine or build_engine(inference_model)
        self._windowing = windowing(inference_model, window_s, hop_s)
        self._scores = SCORES if inference_model.decisions is None else DECIDED
        self.labels = inference_model.labels

    def predict(self, sources: Sequence[AudioInput]) -> Iterator[Prediction]:
        """One prediction for each source, in order; that of a bad source holds its error."""
        for source, mean in zip(sources, self._means(sources, self._scores), strict=True):
            yield Prediction(source, error=mean) if isinstance(mean, BadClip) else self._prediction(source, *mean)

    def _prediction(self, source: AudioInput, vector: np.ndarray, remarks: tuple[str, ...]) -> Prediction:
        """From the mean over the windows of a source: probabilities (C,), and their energy if there are decisions."""
        labels, decisions = self._inference_model.labels, self._inference_model.decisions
        probabilities = vector[: len(labels)]
        order = np.argsort(-probabilities, kind="stable")
        scores = tuple((labels[i], float(probabilities[i])) for i in order)
        found = Prediction(source, scores, remarks, incomplete=missing_part(source))
        if decisions is None:
            return found
        chosen = decisions.chosen(probabilities[None], vector[None, -1], self._inference_model.multi_label)[0]
        return replace(found, decision=answer(chosen, labels, probabilities), energy=float(vector[-1]))

    def timeline(self, source: AudioInput, meter: LevelMeter | None = None) -> Iterator[WindowScores]:
        """The probabilities (C,) of each window of a source; `meter` measures its levels. Raises BadClip."""
        with closing(self._windows([source], meter)) as windows:
            yield from self.scored(_sound_of(windows))

    def scored(self, windows: Iterable[Window]) -> Iterator[WindowScores]:
        """The probabilities (C,) of windows of equal length, in batches."""
        remaining, rate_hz = iter(windows), self._inference_model.rate_hz
        while batch := list(islice(remaining, self._batch_windows)):
            outputs = self._engine.run(self._scores, np.stack([window.waveform for window in batch]))
            for window, output in zip(batch, outputs, strict=True):
                yield self._decided(WindowScores(window.first / rate_hz, window.end / rate_hz, output))

    def _decided(self, window: WindowScores) -> WindowScores:
        """With decisions: a window without the column of its energy; an unknown sound in it has no event."""
        decisions, multi_label = self._inference_model.decisions, self._inference_model.multi_label
        if decisions is None:
            return window
        scores = window.output[:-1]
        is_unknown = not multi_label and not decisions.chosen(scores[None], window.output[None, -1], multi_label).any()
        return replace(window, output=scores, is_unknown=is_unknown)

    def frames(self, source: AudioInput, meter: LevelMeter | None = None) -> Iterator[WindowScores]:
        """The probabilities (C,) of each frame of a source, of a model that `has_framewise`. Raises BadClip."""
        rate_hz, plan = self._inference_model.rate_hz, self._inference_model.frame_windows
        windows = self._padded(plan.cut(mono_blocks(source, rate_hz, meter)))
        return frame_scores(windows, plan, rate_hz, self._framewise, self._frame_batch)

    def arriving_windows(self) -> ArrivingTimeline:
        """As `timeline`, of a sound that arrives in blocks."""
        lengths = self._windowing
        cutter = SlidingWindows(lengths.window, lengths.hop, lengths.pad_to)
        return ArrivingTimeline(self._inference_model.rate_hz, cutter, self.scored)

    def arriving_frames(self) -> ArrivingTimeline:
        """As `frames`, of a sound that arrives in blocks."""
        rate_hz, plan = self._inference_model.rate_hz, self._inference_model.frame_windows
        scorer = FrameScorer(plan, rate_hz, self._framewise, self._frame_batch)
        return ArrivingTimeline(rate_hz, plan.cutter(), lambda windows: scorer.add(self._padded(windows)), scorer.rest)

    def _padded(self, windows: Iterable[Window]) -> Iterator[Window]:
        return padded_first(windows, min(self._windowing.pad_to, self._inference_model.frame_windows.window_samples))

    @property
    def _frame_batch(self) -> int:
        return self._batch_windows if self._inference_model.frame_windows.is_whole else 1

    def embeddings(self, sources: Sequence[AudioInput]) -> Iterator[Embedding]:
        """The embedding of each source, in order: the mean over its windows. Raises UserError if there is none."""
        for source, mean in zip(sources, self._means(sources, EMBEDDING), strict=True):
            yield Embedding(source, error=mean) if isinstance(mean, BadClip) else Embedding(source, *mean)

    def _means(
        self, sources: Sequence[AudioInput], output: str
    ) -> Iterator[tuple[np.ndarray, tuple[str, ...]] | BadClip]:
        """The mean over the windows of each source, in order, with its remarks; or its error."""
        total, count = np.zeros(()), 0
        for item in self._window_outputs(sources, output):
            if isinstance(item, WindowScores):
                total, count = total + item.output.astype(np.float64), count + 1
                continue
            yield ((total / count).astype(np.float32), item.remarks) if isinstance(item, End) else item
            total, count = np.zeros(()), 0

    def _window_outputs(
        self, sources: Sequence[AudioInput], output: str, meter: LevelMeter | None = None
    ) -> Iterator[WindowScores | BadClip | End]:
        """The outputs of the windows of each source in turn, followed by its end or its error."""
        rate_hz = self._inference_model.rate_hz
        with closing(
            self._windows(sources, meter)
        ) as windows:  # an exception, which a notebook keeps, ends the reading
            while buffer := list(islice(windows, max(BUFFER_WINDOWS, self._batch_windows))):
                outputs: dict[int, np.ndarray] = {}
                for index, item in enumerate(buffer):
                    if not isinstance(item, Window):
                        yield item
                        continue
                    if index not in outputs:
                        outputs.update(self._run_batch(buffer, index, output))
                    yield WindowScores(item.first / rate_hz, item.end / rate_hz, outputs.pop(index))

    def _run_batch(
        self, buffer: Sequence[Window | BadClip | End], first: int, output: str
    ) -> Iterable[tuple[int, np.ndarray]]:
        """(index, output) of the window at index `first` of the buffer and of the next ones of its length."""
        later = {index: item for index, item in enumerate(buffer) if index >= first and isinstance(item, Window)}
        samples = len(later[first].waveform)
        batch = [index for index, window in later.items() if len(window.waveform) == samples][: self._batch_windows]
        waveforms = np.stack([later[index].waveform for index in batch])
        return zip(batch, self._engine.run(output, waveforms), strict=True)

    def _windows(
        self, sources: Sequence[AudioInput], meter: LevelMeter | None = None
    ) -> Generator[Window | BadClip | End]:
        """The windows of each source in turn, followed by its end or its error; `meter` measures a single source."""
        readers = (partial(self._windows_of, source, meter or LevelMeter()) for source in sources)
        with closing(prefetch(readers)) as prefetched:
            for windows in prefetched:
                try:
                    yield from windows
                except BadClip as error:
                    yield error

    def _windows_of(self, source: AudioInput, meter: LevelMeter) -> Iterator[Window | End]:
        lengths = self._windowing
        blocks = mono_blocks(source, self._inference_model.rate_hz, meter)
        yield from sliding_windows(blocks, lengths.window, lengths.hop, lengths.pad_to)
        yield End(meter.remarks())

    def _framewise(self, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (B, S) -> probabilities (B, T, C); of a single-label model they are normalised to add up to 1."""
        missing = round(self._inference_model.minimum_s * self._inference_model.rate_hz) - waveforms.shape[1]
        outputs = self._engine.run(FRAMEWISE, np.pad(waveforms, ((0, 0), (0, max(0, missing)))))
        decisions, multi_label = self._inference_model.decisions, self._inference_model.multi_label
        if self._inference_model.frame_samples or (decisions is None and multi_label):
            return outputs
        # Odds are the exponentials of the logits, so normalising them is a softmax.
        odds = np.maximum(outputs, np.finfo(np.float32).tiny) / np.maximum(1.0 - outputs, np.finfo(np.float32).eps)
        odds = odds ** (1.0 / (decisions.temperature if decisions else 1.0))
        probabilities: np.ndarray = odds / (1.0 + odds if multi_label else odds.sum(axis=-1, keepdims=True))
        return probabilities


def _sound_of(windows: Iterable[Window | BadClip | End]) -> Iterator[Window]:
    """The windows of one sound. Raises the BadClip of a bad one."""
    for item in windows:
        if isinstance(item, BadClip):
            raise item
        if isinstance(item, Window):
            yield item
