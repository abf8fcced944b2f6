"""A model to ask from Python: what is heard in sounds, from when to when, and a vector for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.registry import Catalog
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import BadClip, UserError

if TYPE_CHECKING:
    import numpy as np

    from pannsdist.audio.stream import AudioInput
    from pannsdist.contracts import FrontEnd
    from pannsdist.inference.bundle import BundleRecord
    from pannsdist.inference.detection import Event, WindowScores
    from pannsdist.inference.inference_model import InferenceModel
    from pannsdist.inference.predictor import Prediction, Predictor
    from pannsdist.inference.sounds import SoundInput

DETECTION_WINDOW_S = 1.0
ON_BAD = ("stop", "skip")


@dataclass(frozen=True)
class Answer:
    """What is heard in one sound: a probability for each label, the likeliest first; or why there is no answer."""

    sound: str
    scores: Mapping[str, float] = field(default_factory=dict)
    error: BadClip | None = None


@dataclass(frozen=True)
class Detection:
    """What is heard in one sound from when to when, by onset; or why there is no answer."""

    sound: str
    events: Sequence[Event] = ()
    error: BadClip | None = None


def load_model(
    model: str | os.PathLike[str],
    weights: str = "",
    engine: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
) -> Model:
    """A model folder of a run, or a published network by its plugin's name, to be asked for what it hears.

    A Path, a name with a slash and the name of a folder that is there are folders; any other name is a plugin's.
    `weights`, for a plugin: a tag of it, or a file; empty for its first tag. `engine` is dygraph, paddle or onnx; by
    itself paddle on a CPU, once it is worth it. Sounds are heard `window_s` seconds at a time, one window every
    `hop_s`; by itself a model hears what it was evaluated on (a published one 10 s) side by side. Importing this
    imports no Paddle; on an AMD processor this call puts it on its fast path, if it comes first.
    Raises UserError for what is not there, does not fit or is not whole.
    """
    cpu.use_fast_kernels()
    from pannsdist.inference.bundle import load_bundle
    from pannsdist.inference.inference_model import audioset_model

    catalog = Catalog.installed()
    folder = Path(model).expanduser()
    if isinstance(model, os.PathLike) or len(folder.parts) > 1 or folder.is_dir():
        if weights:
            raise UserError(f"weights '{weights}' beside the model folder {folder}", "leave them out: it has its own")
        bundle = load_bundle(folder, catalog)
        return Model(bundle.inference_model, bundle.record, engine, window_s, hop_s)
    return Model(audioset_model(catalog, str(model), weights), None, engine, window_s, hop_s)


class Model:
    """A network that answers about sounds: files of any length and rate, folders of them, and arrays.

    Every method takes one sound or several: a path, a folder (its sound files, by name), or an array (S,) or
    (S, channels) of floats in [-1, 1] at `sample_rate_hz`; it gives one answer for each, in their order. The first
    sound that cannot be heard raises BadClip; with on_bad="skip" it gets its error in the answer's place.
    """

    def __init__(
        self,
        inference_model: InferenceModel,
        record: BundleRecord | None = None,
        engine: str | None = None,
        window_s: float | None = None,
        hop_s: float | None = None,
    ) -> None:
        from pannsdist.inference.engines import engine as engines
        from pannsdist.inference.predictor import Predictor

        self.inference_model = inference_model
        self._lengths_s = (window_s, hop_s)
        self._engine = engines.engine(inference_model, engine or "")
        self.predictor = Predictor(inference_model, window_s, hop_s, self._engine)
        self.record = record
        """What the model folder says of itself; None for a published network."""

    @property
    def labels(self) -> Sequence[str]:
        """All class names, in the order of the network's outputs."""
        return self.inference_model.labels

    @property
    def multi_label(self) -> bool:
        """Whether probabilities stand side by side; otherwise those of a sound add up to one."""
        return self.inference_model.multi_label

    @property
    def front_end(self) -> FrontEnd:
        """How the network hears."""
        return self.inference_model.front_end

    @property
    def sample_rate_hz(self) -> int:
        """The rate that every sound is brought to."""
        return self.inference_model.rate_hz

    def predict(
        self,
        sounds: SoundInput | Sequence[SoundInput],
        sample_rate_hz: float | None = None,
        topk: int | None = None,
        on_bad: str = "stop",
    ) -> list[Answer]:
        """The probability of every label in each sound, the likeliest first; with `topk`, of so many.

        Of a sound that is longer than a window it is the mean over its windows.
        """
        if topk is not None and topk < 1:
            raise UserError(f"topk is {topk}", "give a number from 1 up, or None for every label")
        predictions = self._predictions(sounds, sample_rate_hz, on_bad)
        return [Answer(str(one.sound), dict(one.scores[:topk]), one.error) for one in predictions]

    def tag(
        self,
        sounds: SoundInput | Sequence[SoundInput],
        sample_rate_hz: float | None = None,
        threshold: float = 0.3,
        on_bad: str = "stop",
    ) -> list[Answer]:
        """The labels that `predict` gives a probability of `threshold` or more: none, one or several of each sound."""
        from pannsdist.inference.detection import Rule

        least = Rule(threshold).threshold
        predictions = self._predictions(sounds, sample_rate_hz, on_bad)
        heard = [(one, {label: score for label, score in one.scores if score >= least}) for one in predictions]
        return [Answer(str(one.sound), scores, one.error) for one, scores in heard]

    def detect(  # noqa: PLR0913 - what a person types, by name
        self,
        sounds: SoundInput | Sequence[SoundInput],
        sample_rate_hz: float | None = None,
        *,
        threshold: float = 0.3,
        min_duration_s: float = 0.0,
        min_gap_s: float = 0.0,
        on_bad: str = "stop",
    ) -> list[Detection]:
        """Which labels are heard in each sound from when to when, by `timeline` and a `Rule` of these three."""
        from pannsdist.inference.detection import Rule, events

        rule = Rule(threshold, min_duration_s, min_gap_s)
        _check_on_bad(on_bad)
        found = []
        for source in self._sources(sounds, sample_rate_hz):
            try:
                found.append(Detection(str(source), events(self.timeline(source), self.labels, rule)))
            except BadClip as error:
                if on_bad == "stop":
                    raise
                found.append(Detection(str(source), error=error))
        return found

    def embed(self, sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None = None) -> np.ndarray:
        """The embedding of each sound, the mean over its windows: (N, E) float32. A bad sound raises, always."""
        import numpy as np

        vectors = []
        for vector in self.predictor.embeddings(self._sources(sounds, sample_rate_hz)):
            if isinstance(vector, BadClip):
                raise vector
            vectors.append(vector)
        if not vectors:
            raise UserError("there is no sound to embed", "give at least one")
        return np.stack(vectors)

    def timeline(self, source: AudioInput) -> Iterator[WindowScores]:
        """The probabilities (C,) of every moment of one sound, in constant memory. Raises BadClip.

        A network that decides frame by frame gives its frames, unless the model was loaded with a window or a hop; any
        other is asked about windows of 1 s, or its own where that is shorter.
        """
        by_frame = self.inference_model.answers_by_frame and self._lengths_s == (None, None)
        return self.predictor.frames(source) if by_frame else self._slider.timeline(source)

    @cached_property
    def _slider(self) -> Predictor:
        from pannsdist.inference.predictor import Predictor

        window_s, hop_s = self._lengths_s
        if window_s is None:
            window_s = max(self.inference_model.minimum_s, min(DETECTION_WINDOW_S, self.inference_model.window_s))
        return Predictor(self.inference_model, window_s, hop_s, self._engine)

    def _predictions(
        self, sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None, on_bad: str
    ) -> Iterator[Prediction]:
        _check_on_bad(on_bad)
        for prediction in self.predictor.predict(self._sources(sounds, sample_rate_hz)):
            if prediction.error is not None and on_bad == "stop":
                raise prediction.error
            yield prediction

    def _sources(self, sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None) -> list[AudioInput]:
        from pannsdist.inference.sounds import sources

        return sources(sounds, sample_rate_hz)


def _check_on_bad(on_bad: str) -> None:
    if on_bad not in ON_BAD:
        raise UserError(f"on_bad is '{on_bad}'", f"allowed: {', '.join(ON_BAD)}")
