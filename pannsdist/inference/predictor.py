"""What a network answers about sound files of any length, rate and channel count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F

from pannsdist.audio.decode import SOUND_FILE_ENDINGS
from pannsdist.audio.stream import blocks, windows
from pannsdist.errors import BadClip, UserError
from pannsdist.inference.detection import Moment
from pannsdist.inference.listener import Listener

WINDOWS_AT_ONCE = 8


@dataclass(frozen=True)
class Prediction:
    """The answer about one file: a probability for each label, the likeliest first; or why there is none."""

    path: Path
    scores: tuple[tuple[str, float], ...] = ()
    error: BadClip | None = None


def sound_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are given, and the sound files of folders, by name. Raises UserError for what does not exist."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SOUND_FILE_ENDINGS and p.is_file())
            if not inside:
                raise UserError(f"folder {path} holds no sound file", f"looked for {', '.join(SOUND_FILE_ENDINGS)}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"there is no file {path}", "give sound files or folders of them")
    return found


class Predictor:
    """Asks a listener. A file is heard in windows, so that memory does not grow with its length.

    Of a file that is longer than a window the answers of its windows are averaged, the last window ending with the
    file. `window_s` and `hop_s` are the listener's own window, side by side, unless given.
    """

    def __init__(self, listener: Listener, window_s: float | None = None, hop_s: float | None = None) -> None:
        self._listener = listener
        self.labels = listener.labels
        self.window_s = listener.window_s if window_s is None else window_s
        self.hop_s = self.window_s if hop_s is None else hop_s
        if self.window_s < listener.minimum_s:
            raise UserError(
                f"--window is {self.window_s:g} s", f"the network needs at least {listener.minimum_s:.3f} s"
            )
        if not 0 < self.hop_s <= self.window_s:
            raise UserError(f"--hop is {self.hop_s:g} s", f"allowed: above 0, up to the window's {self.window_s:g} s")

    def predict(self, paths: Sequence[Path]) -> Iterator[Prediction]:
        """One answer for each file, in order; a file that cannot be read gets its error in the answer's place."""
        for path in paths:
            try:
                mean = np.mean([moment.answer for moment in self.timeline(path)], axis=0)
            except BadClip as error:
                yield Prediction(path, error=error)
                continue
            order = np.argsort(-mean, kind="stable")
            yield Prediction(path, tuple((self._listener.labels[i], float(mean[i])) for i in order))

    def timeline(self, path: Path) -> Iterator[Moment]:
        """The probabilities (C,) in each window of a file. Raises BadClip for one that cannot be read."""
        return self._windows(path, self._probabilities)

    def embed(self, path: Path) -> np.ndarray:
        """The embedding of a file (E,): the mean over its windows. Raises BadClip for one that cannot be read."""
        model = self._listener.network.model
        if not hasattr(model, "embed"):
            raise UserError(f"the network {type(model).__name__} gives no embedding", "choose another model")
        network = self._listener.network
        vectors = self._windows(path, lambda batch: network.model.embed(network.feature(batch)))
        mean: np.ndarray = np.mean([moment.answer for moment in vectors], axis=0)
        return mean

    def _windows(self, path: Path, ask: Callable[[paddle.Tensor], paddle.Tensor]) -> Iterator[Moment]:
        rate_hz = self._listener.rate_hz
        lengths_s = (self.window_s, self.hop_s, min(self.window_s, self._listener.shortest_s))
        cut = windows(blocks(path, rate_hz), *(max(1, round(length_s * rate_hz)) for length_s in lengths_s))
        while batch := list(islice(cut, WINDOWS_AT_ONCE)):
            with paddle.no_grad():
                answers = ask(paddle.to_tensor(np.stack([window.waveform for window in batch]))).numpy()
            for window, answer in zip(batch, answers, strict=True):
                yield Moment(window.first / rate_hz, window.end / rate_hz, answer)

    def _probabilities(self, waveforms: paddle.Tensor) -> paddle.Tensor:
        logits = self._listener.network(waveforms)
        return F.sigmoid(logits) if self._listener.multi_label else F.softmax(logits)
