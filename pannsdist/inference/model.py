"""The Python API of inference: tagging, sound event detection and embeddings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from pannsdist.inference.answers import Answer, Detection, answer_of, check_on_bad, warned
from pannsdist.inference.options import InferenceOptions
from pannsdist.registry import Catalog
from pannsdist.runtime import devices, paddle_import, reading
from pannsdist.runtime.errors import BadClip, UserError
from pannsdist.runtime.names import expanded, shown

if TYPE_CHECKING:
    import numpy as np

    from pannsdist.audio.loudness import LevelMeter
    from pannsdist.audio.reader import AudioInput
    from pannsdist.contracts import FrontEnd
    from pannsdist.inference.bundle import BundleRecord
    from pannsdist.inference.decisions import Decisions
    from pannsdist.inference.detection import Rule, WindowScores
    from pannsdist.inference.engines.engine import Engine
    from pannsdist.inference.engines.selection import EngineChoice
    from pannsdist.inference.inference_model import InferenceModel
    from pannsdist.inference.predictor import Prediction, Predictor
    from pannsdist.inference.sounds import SoundInput
    from pannsdist.inference.streaming import Stream

DEFAULTS = InferenceOptions()


def load_model(  # noqa: PLR0913 - keyword arguments of the public API
    model: str | os.PathLike[str],
    weights: str = "",
    engine: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    raw: bool = False,
) -> Model:
    """Load a trained model from its folder, or a model plugin with published weights by its name.

    A Path, a string with a slash and the name of an existing folder are folders, `hf://USER/NAME[@REVISION]` and
    `modelscope://...` published ones; any other string is a plugin's name. `weights`, for a plugin, is one of its tags,
    or a file; empty for its first tag. `engine` is dygraph, paddle, onnx or onednn, by default that of a table;
    `precision` fp32 (the default) or bf16, which has other probabilities. Sounds are cut into windows of `window_s`
    seconds, one every `hop_s`; by default the evaluation length of the model (10 s for published weights), without
    overlap. `device` is cpu, gpu or gpu:N; the default is Paddle's current one, which a device of the model does not
    change. A forward pass takes up to `batch_size` windows, by default 8. With `raw` the decisions of a model folder
    are left out: scores are those of the network, as before `pannsdist calibrate`. Paddle is imported by this call,
    with the kernels of MKL that are fast on AMD processors.
    Raises UserError for an unsuitable or damaged model or a device that is not there, BrokenPlugin for a bad plugin.
    """
    with paddle_import.paddle_imported():
        from pannsdist.inference.bundle import load_bundle
        from pannsdist.inference.inference_model import audioset_model
        from pannsdist.inference.publishing.copies import model_folder

        options = InferenceOptions(engine, window_s, hop_s, device, batch_size, precision)
        catalog, folder = Catalog.installed(), expanded(model := model_folder(model))
        with devices.selected(device or ""):
            if not (isinstance(model, os.PathLike) or len(folder.parts) > 1 or reading.is_folder(folder)):
                return Model(audioset_model(catalog, str(model), weights), None, options)
            if weights:
                raise UserError(f"weights '{weights}' beside the model folder {folder}", "it has its own weights")
            bundle = load_bundle(folder, catalog)
            own = bundle.inference_model
            return Model(replace(own, decisions=None) if raw else own, bundle.record, options)


class Model:
    """A model for inference on files of any length and rate, folders of them, and arrays.

    Every method takes one sound or several: a path, a folder (its sound files, sorted by name), or an array (S,) or
    (S, channels) of floats in [-1, 1] at `sample_rate_hz`; it gives one result for each, in order. A bad sound raises
    BadClip; with on_bad="skip" its result holds the error instead.
    """

    def __init__(
        self,
        inference_model: InferenceModel,
        record: BundleRecord | None = None,
        options: InferenceOptions = DEFAULTS,
    ) -> None:
        from pannsdist.inference.engines.selection import EngineWish, build, choose

        self.inference_model = inference_model
        self._options = options
        wish = EngineWish(options.engine or "", options.precision or "", options.device or "")
        self.engine: EngineChoice = choose(inference_model, wish)
        """The engine, its precision, windows per batch, threads, and why it is this one."""
        self._engine = build(inference_model, self.engine, wish.device)
        self.predictor = self._predictor(options.window_s)
        self.record = record
        """The content of the model folder's `bundle.json`; None for published weights."""

    def __repr__(self) -> str:
        """Plugin and weights, classes, sample rate and window, on one line."""
        return f"<pannsdist.Model {self.inference_model.summary(self._options.window_s)}>"

    def run_through(self, exchanged: Callable[[Engine], Engine]) -> None:
        """Have every forward pass go through what `exchanged` makes of the engine. Call it before the first sound."""
        self._engine = exchanged(self._engine)
        self.predictor = self._predictor(self._options.window_s)

    @property
    def labels(self) -> Sequence[str]:
        """The class names, in the order of the network's outputs."""
        return self.inference_model.labels

    @property
    def multi_label(self) -> bool:
        """Whether each label has a sigmoid of its own; otherwise softmax: the probabilities of a sound add up to 1."""
        return self.inference_model.multi_label

    @property
    def decisions(self) -> Decisions | None:
        """What `pannsdist calibrate` fitted, applied by every method; None without it, and with raw=True."""
        return self.inference_model.decisions

    @property
    def front_end(self) -> FrontEnd:
        """The feature parameters that the network was trained with."""
        return self.inference_model.front_end

    @property
    def sample_rate_hz(self) -> int:
        """The rate that every sound is resampled to."""
        return self.inference_model.rate_hz

    def predict(
        self,
        sounds: SoundInput | Sequence[SoundInput],
        sample_rate_hz: float | None = None,
        topk: int | None = None,
        on_bad: str = "stop",
    ) -> list[Answer]:
        """The probability of every label in each sound, highest first; with `topk` only the first ones.

        Of a sound longer than a window it is the mean over its windows.
        """
        if topk is not None and topk < 1:
            raise UserError(f"topk is {topk}", "give 1 or more, or None for every label")
        predictions = self._predictions(sounds, sample_rate_hz, on_bad)
        return [answer_of(one, dict(one.scores[:topk])) for one in predictions]

    def tag(
        self,
        sounds: SoundInput | Sequence[SoundInput],
        sample_rate_hz: float | None = None,
        threshold: float | None = None,
        on_bad: str = "stop",
    ) -> list[Answer]:
        """The labels whose probability in `predict` is at least `threshold`: none, one or several of each sound.

        Without a threshold those that the `decisions` of the model choose; without decisions, those of at least 0.3.
        """
        from pannsdist.inference.detection import Rule

        rule = Rule() if threshold is None else Rule(threshold)
        found = []
        for one in self._predictions(sounds, sample_rate_hz, on_bad):
            decided = one.decision if threshold is None else None
            kept = {name: p for name, p in one.scores if (rule.reached(p) if decided is None else name in decided)}
            found.append(answer_of(one, kept))
        return found

    def detect(  # noqa: PLR0913 - keyword arguments of the public API
        self,
        sounds: SoundInput | Sequence[SoundInput],
        sample_rate_hz: float | None = None,
        *,
        threshold: float | None = None,
        min_duration_s: float = 0.0,
        min_gap_s: float = 0.0,
        on_bad: str = "stop",
    ) -> list[Detection]:
        """The sound events of each sound: the `rule` of these three applied to its `timeline`."""
        from pannsdist.audio.loudness import LevelMeter
        from pannsdist.audio.reader import missing_part
        from pannsdist.inference.detection import events

        rule = self.rule(threshold, min_duration_s, min_gap_s)
        check_on_bad(on_bad)
        found = []
        for source in self._sources(sounds, sample_rate_hz):
            meter = LevelMeter()
            try:
                found_events = events(self.timeline(source, meter), self.labels, rule)
                remarks = warned(source, meter.remarks())
                found.append(Detection(shown(source), found_events, None, remarks, missing_part(source)))
            except BadClip as error:
                if on_bad == "stop":
                    raise
                found.append(Detection(shown(source), error=error))
        return found

    def rule(self, threshold: float | None = None, min_duration_s: float = 0.0, min_gap_s: float = 0.0) -> Rule:
        """When `detect` finds an event: without a threshold by those of the model's decisions, else from 0.3 on."""
        from pannsdist.inference.detection import Rule, decided_rule

        frame_s = self.inference_model.frame_s if self._is_by_frame else 0.0
        if self.decisions is None:
            return Rule(0.3 if threshold is None else threshold, min_duration_s, min_gap_s)
        return decided_rule(self.decisions, frame_s, threshold, min_duration_s, min_gap_s)

    def stream(
        self,
        rate_hz: float,
        threshold: float | None = None,
        min_duration_s: float = 0.0,
        min_gap_s: float = 0.0,
        channels: int = 1,
    ) -> Stream:
        """The events of a sound that arrives at a rate in pieces of any length: those of `detect`, as soon as decided.

        Raises UserError for a rate, a number of channels or values of the rule that are out of range.
        """
        from pannsdist.inference.streaming import Stream

        timeline = self.predictor.arriving_frames if self._is_by_frame else self._window_predictor.arriving_windows
        return Stream(rate_hz, channels, timeline(), self.labels, self.rule(threshold, min_duration_s, min_gap_s))

    def embed(self, sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None = None) -> np.ndarray:
        """The embedding of each sound, the mean over its windows: (N, E) float32. A bad sound always raises BadClip.

        Warns of each file of which only a part could be read.
        """
        import numpy as np

        from pannsdist.audio.reader import missing_part

        vectors = []
        for embedding in self.predictor.embeddings(self._sources(sounds, sample_rate_hz)):
            if embedding.error is not None:
                raise embedding.error
            if incomplete := missing_part(embedding.source):
                warnings.warn(f"{shown(embedding.source)}: {incomplete}", stacklevel=2)
            warned(embedding.source, embedding.remarks)
            vectors.append(embedding.vector)
        if not vectors:
            raise UserError("there is no sound to embed", "give at least one")
        return np.stack(vectors)

    def timeline(self, source: AudioInput, meter: LevelMeter | None = None) -> Iterator[WindowScores]:
        """The probabilities (C,) of one sound over time, in constant memory; `meter` measures its levels.

        Raises BadClip.

        A network with framewise outputs gives its frames, unless the model was loaded with a window or a hop; any other
        gives windows of 1 s, or of its own length where that is shorter.
        """
        chosen = self.predictor.frames if self._is_by_frame else self._window_predictor.timeline
        return chosen(source, meter)

    @property
    def _is_by_frame(self) -> bool:
        """Whether a timeline has frames: the network gives some, and neither window nor hop was asked for."""
        chosen = (self._options.window_s, self._options.hop_s)
        return self.inference_model.has_framewise and chosen == (None, None)

    @cached_property
    def _window_predictor(self) -> Predictor:
        window_s = self._options.window_s
        if window_s is None:
            window_s = self.inference_model.detection_window_s
        return self._predictor(window_s)

    def _predictor(self, window_s: float | None) -> Predictor:
        from pannsdist.inference.predictor import Predictor

        options = self._options
        size = self.engine.batch_size if options.batch_size is None else options.batch_size
        return Predictor(self.inference_model, window_s, options.hop_s, self._engine, size)

    def _predictions(
        self, sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None, on_bad: str
    ) -> Iterator[Prediction]:
        check_on_bad(on_bad)
        for prediction in self.predictor.predict(self._sources(sounds, sample_rate_hz)):
            if prediction.error is not None and on_bad == "stop":
                raise prediction.error
            warned(prediction.source, prediction.remarks)
            yield prediction

    def _sources(self, sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None) -> list[AudioInput]:
        from pannsdist.inference.sounds import sources

        return sources(sounds, sample_rate_hz)
