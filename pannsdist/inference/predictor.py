"""What a network answers about sounds of any length, rate and channel count, in files or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import paddle
import paddle.nn.functional as F

from pannsdist.audio.stream import Source, blocks, windows
from pannsdist.errors import BadClip, UserError
from pannsdist.inference.detection import Moment
from pannsdist.inference.frames import frame_timeline
from pannsdist.inference.listener import Listener

WINDOWS_AT_ONCE = 8


@dataclass(frozen=True)
class Prediction:
    """The answer about one sound: a probability for each label, the likeliest first; or why there is none."""

    sound: Source
    scores: tuple[tuple[str, float], ...] = ()
    error: BadClip | None = None


class Predictor:
    """Asks a listener. A sound is heard in windows, so that memory does not grow with its length.

    Of a sound that is longer than a window the answers of its windows are averaged, the last window ending with the
    sound. `window_s` and `hop_s` are the listener's own window, side by side, unless given.
    """

    def __init__(self, listener: Listener, window_s: float | None = None, hop_s: float | None = None) -> None:
        self._listener = listener
        self.labels = listener.labels
        self.window_s = listener.window_s if window_s is None else window_s
        self.hop_s = self.window_s if hop_s is None else hop_s
        if self.window_s < listener.minimum_s:
            raise UserError(
                f"the window is {self.window_s:g} s", f"the network needs at least {listener.minimum_s:.3f} s"
            )
        if not 0 < self.hop_s <= self.window_s:
            raise UserError(f"the hop is {self.hop_s:g} s", f"allowed: above 0, up to the window's {self.window_s:g} s")

    def predict(self, sounds: Sequence[Source]) -> Iterator[Prediction]:
        """One answer for each sound, in order; one that cannot be heard gets its error in the answer's place."""
        for sound in sounds:
            try:
                mean = np.mean([moment.answer for moment in self.timeline(sound)], axis=0)
            except BadClip as error:
                yield Prediction(sound, error=error)
                continue
            order = np.argsort(-mean, kind="stable")
            yield Prediction(sound, tuple((self._listener.labels[i], float(mean[i])) for i in order))

    def timeline(self, sound: Source) -> Iterator[Moment]:
        """The probabilities (C,) in each window of a sound. Raises BadClip for one that cannot be heard."""
        return self._windows(sound, self._probabilities)

    def frames(self, sound: Source) -> Iterator[Moment]:
        """The probabilities (C,) in each frame of a sound, of a listener that `answers_by_frame`. Raises BadClip."""
        front_end = self._listener.front_end
        minimum_samples = round(self._listener.minimum_s * front_end.sample_rate_hz)
        return frame_timeline(blocks(sound, self._listener.rate_hz), front_end, minimum_samples, self._framewise)

    def embed(self, sound: Source) -> np.ndarray:
        """The embedding of a sound (E,): the mean over its windows. Raises BadClip for one that cannot be heard."""
        model = self._listener.network.model
        if not hasattr(model, "embed"):
            raise UserError(f"the network {type(model).__name__} gives no embedding", "choose another model")
        network = self._listener.network
        vectors = self._windows(sound, lambda batch: network.model.embed(network.feature(batch)))
        mean: np.ndarray = np.mean([moment.answer for moment in vectors], axis=0)
        return mean

    def _windows(self, sound: Source, ask: Callable[[paddle.Tensor], paddle.Tensor]) -> Iterator[Moment]:
        rate_hz = self._listener.rate_hz
        lengths_s = (self.window_s, self.hop_s, min(self.window_s, self._listener.shortest_s))
        cut = windows(blocks(sound, rate_hz), *(max(1, round(length_s * rate_hz)) for length_s in lengths_s))
        while batch := list(islice(cut, WINDOWS_AT_ONCE)):
            with paddle.no_grad():
                answers = ask(paddle.to_tensor(np.stack([window.waveform for window in batch]))).numpy()
            for window, answer in zip(batch, answers, strict=True):
                yield Moment(window.first / rate_hz, window.end / rate_hz, answer)

    def _probabilities(self, waveforms: paddle.Tensor) -> paddle.Tensor:
        logits = self._listener.network(waveforms)
        return F.sigmoid(logits) if self._listener.multi_label else F.softmax(logits)

    def _framewise(self, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (B, S) -> probabilities (B, T, C); of one label, odds add up to one as softmax's."""
        network = self._listener.network
        with paddle.no_grad():
            answers: np.ndarray = network.model.framewise(network.feature(paddle.to_tensor(waveforms))).numpy()
        if self._listener.multi_label:
            return answers
        odds = np.maximum(answers, np.finfo(np.float32).tiny) / np.maximum(1.0 - answers, np.finfo(np.float32).eps)
        shares: np.ndarray = odds / odds.sum(axis=-1, keepdims=True)
        return shares
