"""What a network answers about sound files of any length, rate and channel count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from pannsdist.audio.ahead import ahead
from pannsdist.audio.decode import SOUND_FILE_ENDINGS
from pannsdist.audio.stream import Window, blocks, windows
from pannsdist.errors import BadClip, UserError
from pannsdist.inference.detection import Moment
from pannsdist.inference.engine import Engine, engine
from pannsdist.inference.graph import EMBEDDING, SCORES
from pannsdist.inference.listener import Listener

WINDOWS_AT_ONCE = 8
WINDOWS_TO_SORT = 4 * WINDOWS_AT_ONCE
"""Of so many windows that follow each other, those of one length share batches."""


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
    file. `window_s` and `hop_s` are the listener's own window, side by side, unless given. The next files are decoded
    while the network computes, and windows of equal length share batches, whichever file they come from.
    """

    def __init__(
        self,
        listener: Listener,
        window_s: float | None = None,
        hop_s: float | None = None,
        asking: Engine | None = None,
    ) -> None:
        self._listener = listener
        self._engine = asking or engine(listener)
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
        for path, mean in zip(paths, self._means(paths, SCORES), strict=True):
            if isinstance(mean, BadClip):
                yield Prediction(path, error=mean)
                continue
            order = np.argsort(-mean, kind="stable")
            yield Prediction(path, tuple((self._listener.labels[i], float(mean[i])) for i in order))

    def timeline(self, path: Path) -> Iterator[Moment]:
        """The probabilities (C,) in each window of a file. Raises BadClip for one that cannot be read."""
        for moment in self._moments([path], SCORES):
            if isinstance(moment, BadClip):
                raise moment
            if moment is not None:
                yield moment

    def embed(self, path: Path) -> np.ndarray:
        """The embedding of a file (E,): the mean over its windows. Raises BadClip for one that cannot be read."""
        (vector,) = self.embeddings([path])
        if isinstance(vector, BadClip):
            raise vector
        return vector

    def embeddings(self, paths: Sequence[Path]) -> Iterator[np.ndarray | BadClip]:
        """The embedding of each file (E,), in order, or why there is none. Raises UserError if the network has none."""
        return self._means(paths, EMBEDDING)

    def _means(self, paths: Sequence[Path], output: str) -> Iterator[np.ndarray | BadClip]:
        """For each file the mean of its answers, or its error."""
        total, count = np.zeros(()), 0
        for moment in self._moments(paths, output):
            if isinstance(moment, Moment):
                total, count = total + moment.answer.astype(np.float64), count + 1
                continue
            yield (total / count).astype(np.float32) if moment is None else moment
            total, count = np.zeros(()), 0

    def _moments(self, paths: Sequence[Path], output: str) -> Iterator[Moment | BadClip | None]:
        """The moments of each file in turn, each file's followed by None, or by its error."""
        rate_hz, heard = self._listener.rate_hz, self._heard(paths)
        while waiting := list(islice(heard, WINDOWS_TO_SORT)):
            answers: dict[int, np.ndarray] = {}
            for place, item in enumerate(waiting):
                if not isinstance(item, Window):
                    yield item
                    continue
                if place not in answers:
                    answers.update(self._answers(waiting, place, output))
                yield Moment(item.first / rate_hz, item.end / rate_hz, answers.pop(place))

    def _answers(
        self, waiting: Sequence[Window | BadClip | None], first: int, output: str
    ) -> Iterable[tuple[int, np.ndarray]]:
        """The answers to the window at `first` and to the next ones of its length, each with its place."""
        windows_at = {place: item for place, item in enumerate(waiting) if place >= first and isinstance(item, Window)}
        samples = len(windows_at[first].waveform)
        batch = [place for place, window in windows_at.items() if len(window.waveform) == samples][:WINDOWS_AT_ONCE]
        waveforms = np.stack([windows_at[place].waveform for place in batch])
        return zip(batch, self._engine.ask(output, waveforms), strict=True)

    def _heard(self, paths: Sequence[Path]) -> Iterator[Window | BadClip | None]:
        """The windows of each file in turn, each file's followed by None, or by its error."""
        for source in ahead(partial(self._windows, path) for path in paths):
            try:
                yield from source
            except BadClip as error:
                yield error
            else:
                yield None

    def _windows(self, path: Path) -> Iterator[Window]:
        rate_hz = self._listener.rate_hz
        lengths_s = (self.window_s, self.hop_s, min(self.window_s, self._listener.shortest_s))
        return windows(blocks(path, rate_hz), *(max(1, round(length_s * rate_hz)) for length_s in lengths_s))
