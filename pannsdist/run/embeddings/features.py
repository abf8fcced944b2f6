"""Features in place of waveforms, where the settings ask for it: the front end is computed once for each clip.

Axes: R rows, S samples, T frames, F bins.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
import paddle
from paddle import nn

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.identity import reader_versions
from pannsdist.audio.loader import Loader
from pannsdist.contracts.network import Network, evaluation_mode, training_mode
from pannsdist.distributed.world import World
from pannsdist.inference.heads import agree
from pannsdist.run import history
from pannsdist.run.embeddings.identity import params_of, reader_recipe
from pannsdist.run.embeddings.kept import KeptArrays, Place
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.waveforms import waveform_cache
from pannsdist.runtime import cpu, devices
from pannsdist.runtime.errors import SettingsError

ROWS, LEVEL = 2, 0.1
"""Rows of noise, and its standard deviation."""


def build_feature_cache(plan: Plan, world: World, network: Network, loader: Loader) -> KeptArrays | None:
    """The features of a run that keeps them; None for any other. All processes must call this. Raises SettingsError."""
    if not plan.settings.data.cache_features:
        return None
    world.on_main(lambda: refuse_unsuitable(plan, network.feature))
    place = Place(waveform_cache(plan.settings).root, plan.settings.data.cache_limit_gb)
    return KeptArrays(FeaturePart(plan, network.feature), loader, place)


def refuse_unsuitable(plan: Plan, feature: nn.Layer) -> None:
    """Raise SettingsError for a front end whose output is not a function of each waveform alone, as noise shows."""
    samples = round(plan.lengths.train_crop_s * plan.front_end.sample_rate_hz)
    noise = np.random.default_rng(0).normal(0.0, LEVEL, (ROWS, samples)).astype(np.float32)
    with training_mode(feature):
        first, again = (_seeded(feature, noise, seed) for seed in (0, 1))
        alone = _seeded(feature, noise[:1], 2)
    with evaluation_mode(feature):
        evaluated = _seeded(feature, noise, 3)
    name = plan.plugins.feature
    wrong = ""
    if not np.array_equal(first, again, equal_nan=True):
        wrong = "is random in training"
    elif not agree(evaluated, first):
        wrong = "is another one in evaluation than in training"
    elif not agree(alone, first[:1]):
        wrong = "depends on the other clips of a batch"
    if wrong:
        text = f"data.cache_features is true, but what the feature {name} gives for a clip {wrong}"
        raise SettingsError(text, "it has to be computed in every step: data.cache_features=false")


def _seeded(feature: nn.Layer, waveforms: np.ndarray, seed: int) -> np.ndarray:
    paddle.seed(seed)
    return features(feature, waveforms)


def features(feature: nn.Layer, waveforms: np.ndarray) -> np.ndarray:
    """Waveforms (R, S) float32 -> features (R, T, F) float32, as the network computes them."""
    with paddle.no_grad(), paddle.amp.auto_cast(enable=False):
        found: np.ndarray = feature(paddle.to_tensor(waveforms)).astype("float32").numpy()
    return found[:, 0]


class FeaturePart:
    """The front end of a network, which gives features (T, F) for a clip: the layer of the run itself."""

    name = "features"

    def __init__(self, plan: Plan, feature: nn.Layer) -> None:
        self._part, self._front_end, self._feature = plan.plugins.feature, plan.front_end, feature
        self.shape = cache(self._shape)

    def _shape(self, reader: ClipReader) -> tuple[int, ...]:
        return self.alone(np.zeros((1, reader.crop_samples), np.float32)).shape

    def recipe(self, reader: ClipReader) -> dict[str, Any]:
        """Everything but the clip that a feature depends on; not the model, so that those of one feature have one."""
        return {
            "what": "output of the feature, float32",
            "computed": f"one by one, on {_device()}",
            "plugins": {"feature": [self._part.entry.name, str(self._part.entry.origin), params_of(self._part)]},
            "front_end": repr(self._front_end),
            "reader": reader_recipe(reader),
            "processor": cpu.processor().name,
            "libraries": {name: os.environ.get(name, "") for name in (cpu.THREADS, cpu.MKL_SWITCH)},  # they round
            "versions": {**history.versions(), **reader_versions()},
        }

    def alone(self, waveform: np.ndarray) -> np.ndarray:
        """A waveform (1, S) -> its features (T, F)."""
        found: np.ndarray = self.together(waveform)[0]
        return found

    def together(self, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (R, S) -> features (R, T, F)."""
        return features(self._feature, waveforms)

    def gives(self, waveform: np.ndarray, array: np.ndarray) -> bool:
        """Whether these are the features of a waveform (S,), up to rounding."""
        return agree(array, self.alone(waveform[None]))


def _device() -> str:
    device = paddle.get_device()
    return device if device == devices.CPU else str(paddle.device.cuda.get_device_name())
