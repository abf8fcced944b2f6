"""Datasets as PaddleHub's users know them. Axes: S samples, T frames, F bins."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.contracts import Clip
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part, build_plugin
from pannsdist.runtime.errors import UserError
from pannsdist.settings import SettingsOrigin
from pannsdist.weights.downloads import cache

ENVIRONMENT = "PANNSDIST_ESC50"
FOLDER = "ESC-50-master"
DOWNLOAD = "https://github.com/karolpiczak/ESC-50/archive/master.zip"
FEATURES = ("mel", "raw")
DEVELOPMENT_FOLD = 1

NAMES = """\
Dog; Rooster; Pig; Cow; Frog; Cat; Hen; Insects (flying); Sheep; Crow; \
Rain; Sea waves; Crackling fire; Crickets; Chirping birds; Water drops; Wind; Pouring water; Toilet flush; \
Thunderstorm; Crying baby; Sneezing; Clapping; Breathing; Coughing; Footsteps; Laughing; Brushing teeth; Snoring; \
Drinking, sipping; Door knock; Mouse click; Keyboard typing; Door, wood creaks; Can opening; Washing machine; \
Vacuum cleaner; Clock alarm; Clock tick; Glass breaking; Helicopter; Chainsaw; Siren; Car horn; Engine; Train; \
Church bells; Airplane; Fireworks; Hand saw"""

OTHER_NAMES = {
    "insects": "Insects (flying)",
    "drinking_sipping": "Drinking, sipping",
    "door_wood_knock": "Door knock",
    "door_wood_creaks": "Door, wood creaks",
}
"""What PaddleHub calls categories of the table, where it is not the same word."""


class ESC50(paddle.io.Dataset):
    """Environmental sounds of 50 classes (Piczak 2015): `train` is folds 2 to 5, any other mode is fold 1.

    Items are (features, label int64). Features of 'mel' are what the 32 kHz PANNs hear, log-mel (T, F) = (501, 64) in
    dB; those of 'raw' are samples (S,) at `sample_rate`. A shorter clip is followed by silence, a longer one is cut.
    What was computed once stays in memory: 205 MB for all of 'mel' in training.

    The corpus is looked for in the folder that PANNSDIST_ESC50 names, else in datasets/ESC-50-master of PANNSDIST_HOME.
    """

    sample_rate = 44100
    input_length = 5 * sample_rate
    num_class = 50
    label_list = NAMES.split("; ")
    """Names by class number."""

    def __init__(self, mode: str = "train", feat_type: str = "mel") -> None:
        if feat_type not in FEATURES:
            raise UserError(f"feat_type is {feat_type!r}", f"allowed: {', '.join(FEATURES)}")
        self.mode, self.feat_type = mode, feat_type
        catalog = Catalog.installed()
        self._clips = corpus(catalog).plugin.clips("train" if mode == "train" else "valid")
        self._feature = build_plugin(catalog.features.find("logmel"), {}, SettingsOrigin(), "feature.params")
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        if index not in self._kept:
            self._kept[index] = self._computed(self._clips[index])
        return self._kept[index], np.int64(label_of(self._clips[index]))

    def __getstate__(self) -> dict[str, Any]:
        """For a worker: what was computed stays here."""
        return {**{name: value for name, value in vars(self).items() if name != "_layer"}, "_kept": {}}

    def _computed(self, clip: Clip) -> np.ndarray:
        if self.feat_type == "raw":
            return ClipReader(self.sample_rate, self.input_length).read(clip, None)
        rate_hz = self._feature.plugin.front_end.sample_rate_hz
        waveform = ClipReader(rate_hz, self.input_length * rate_hz // self.sample_rate).read(clip, None)
        with paddle.no_grad():
            features: np.ndarray = self._layer(paddle.to_tensor(waveform[None]))[0, 0].numpy()
        return features

    @cached_property
    def _layer(self) -> paddle.nn.Layer:
        return self._feature.plugin.build()


def corpus(catalog: Catalog) -> Part:
    """The dataset plugin `esc50` on the corpus. Raises UserError where either is not on this machine."""
    if "esc50" not in catalog.datasets.entries:
        wrong = "hub.datasets.ESC50 reads the corpus through the plugin 'esc50', which is not installed"
        raise UserError(wrong, "it is the distribution pannsdist-esc50", "pip install pannsdist-esc50")
    named = os.environ.get(ENVIRONMENT)
    root = Path(named).expanduser() if named else cache.home() / "datasets" / FOLDER
    if not (root / "meta" / "esc50.csv").is_file():
        right = f"download {DOWNLOAD} (600 MB) and unpack it in {cache.home() / 'datasets'}\n"
        right += f"or set {ENVIRONMENT} to the folder that holds meta/esc50.csv and audio/"
        raise UserError(f"ESC-50 is not at {root}" + (f", which {ENVIRONMENT} names" if named else ""), right)
    params = {"root": str(root), "valid_fold": DEVELOPMENT_FOLD}
    return build_plugin(catalog.datasets.find("esc50"), params, SettingsOrigin(), "data.params")


def label_of(clip: Clip) -> int:
    """The class number of a clip. Raises UserError for a category that ESC-50 does not have."""
    category = clip.labels[0]
    name = OTHER_NAMES.get(category, category.replace("_", " ").capitalize())
    if name not in ESC50.label_list:
        raise UserError(f"clip '{clip.id}' is of category '{category}', which ESC-50 does not have")
    return ESC50.label_list.index(name)
