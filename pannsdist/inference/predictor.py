"""What a trained model answers about sound files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F

from pannsdist.audio.clips import ClipReader
from pannsdist.audio.decode import SOUND_FILE_ENDINGS
from pannsdist.contracts import Clip
from pannsdist.errors import BadClip, UserError
from pannsdist.inference.bundle import Bundle

WINDOWS_AT_ONCE = 16


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
    """Answers with one model. A file is heard in windows of the length that the model was evaluated on.

    A shorter file is followed by silence, as in evaluation; of a longer one, the probabilities of its windows are
    averaged, the last window ending with the file.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        rate_hz = bundle.record.front_end.sample_rate_hz
        self._window_samples = round(bundle.record.crop_s * rate_hz)
        self._reader = ClipReader(rate_hz, self._window_samples)

    def predict(self, paths: Sequence[Path]) -> Iterator[Prediction]:
        """One answer for each file, in order; a file that cannot be read gets its error in the answer's place."""
        for path in paths:
            try:
                waveform = self._reader.read_whole(Clip(path.name, path, ()))
            except BadClip as error:
                yield Prediction(path, error=error)
                continue
            probabilities = self.probabilities(waveform)
            order = np.argsort(-probabilities, kind="stable")
            yield Prediction(path, tuple((self._bundle.record.labels[i], float(probabilities[i])) for i in order))

    def probabilities(self, waveform: np.ndarray) -> np.ndarray:
        """Waveform (S,) float32 at the front end's rate -> probabilities (C,): softmax, sigmoid for several labels."""
        windows = cut_windows(waveform, self._window_samples)
        answers = []
        with paddle.no_grad():
            for first in range(0, len(windows), WINDOWS_AT_ONCE):
                logits = self._bundle.network(paddle.to_tensor(windows[first : first + WINDOWS_AT_ONCE]))
                answers.append((F.sigmoid(logits) if self._bundle.record.multi_label else F.softmax(logits)).numpy())
        mean: np.ndarray = np.concatenate(answers).mean(axis=0)
        return mean


def cut_windows(waveform: np.ndarray, window_samples: int) -> np.ndarray:
    """Waveform (S,) -> windows (N, window_samples) side by side, the last one ending with the waveform."""
    if len(waveform) <= window_samples:
        return np.pad(waveform, (0, window_samples - len(waveform)))[None]
    starts = [*range(0, len(waveform) - window_samples, window_samples), len(waveform) - window_samples]
    return np.stack([waveform[start : start + window_samples] for start in starts])
