"""PaddleHub-compatible datasets. Axes: S samples, T frames, F bins."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import numpy as np
import paddle

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.contracts import Clip
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part, build_plugin
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import expanded
from pannsdist.runtime.user_folder import home
from pannsdist.settings import SettingsOrigin

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
"""PaddleHub's label names for categories of the metadata table, where they differ."""


class ESC50(paddle.io.Dataset):
    """ESC-50, environmental sounds of 50 classes (Piczak 2015): `train` is folds 2 to 5, any other mode is fold 1.

    Items are (features, label int64). `feat_type='mel'` gives the log-mel input of the 32 kHz PANNs, (T, F) = (501, 64)
    in dB; 'raw' gives samples (S,) at `sample_rate`. Clips are zero-padded or cut to 5 s. Computed items are cached in
    memory: 205 MB for the 'mel' features of the training set.

    The corpus is read from the folder named by PANNSDIST_ESC50, else from datasets/ESC-50-master in PANNSDIST_HOME.
    """

    sample_rate = 44100
    input_length = 5 * sample_rate
    num_class = 50
    label_list = NAMES.split("; ")
    """Label names by class index."""

    def __init__(self, mode: str = "train", feat_type: str = "mel") -> None:
        if feat_type not in FEATURES:
            raise UserError(f"feat_type is {feat_type!r}", f"allowed: {', '.join(FEATURES)}")
        self.mode, self.feat_type = mode, feat_type
        catalog = Catalog.installed()
        self._clips = corpus(catalog).plugin.clips("train" if mode == "train" else "valid")
        self._feature = build_plugin(catalog.features.find("logmel"), {}, SettingsOrigin(), "feature.params")
        self._cache: dict[int, np.ndarray] = {}

    @property
    def files(self) -> list[str]:
        """The file of each item."""
        return [str(clip.source) for clip in self._clips]

    @property
    def labels(self) -> list[int]:
        """The class index of each item."""
        return [label_of(clip) for clip in self._clips]

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        if index not in self._cache:
            self._cache[index] = self._compute(self._clips[index])
        return self._cache[index], np.int64(label_of(self._clips[index]))

    def __getstate__(self) -> dict[str, Any]:
        """The state sent to worker processes, without the cache."""
        return {**{name: value for name, value in vars(self).items() if name != "_layer"}, "_cache": {}}

    def _compute(self, clip: Clip) -> np.ndarray:
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
    """The dataset plugin `esc50` for the corpus. Raises UserError if the plugin or the corpus is missing."""
    entry = catalog.datasets.find("esc50", "for hub.datasets.ESC50")
    named = os.environ.get(ENVIRONMENT)
    root = expanded(named) if named else home() / "datasets" / FOLDER
    if not (root / "meta" / "esc50.csv").is_file():
        right = f"download {DOWNLOAD} (600 MB) and unpack it in {home() / 'datasets'}\n"
        right += f"or set {ENVIRONMENT} to the folder that contains meta/esc50.csv and audio/"
        raise UserError(f"ESC-50 not found in {root}" + (f" ({ENVIRONMENT})" if named else ""), right)
    params = {"root": str(root), "valid_fold": DEVELOPMENT_FOLD}
    return build_plugin(entry, params, SettingsOrigin(), "data.params")


def label_of(clip: Clip) -> int:
    """The class index of a clip. Raises UserError for an unknown category."""
    category = clip.labels[0]
    name = OTHER_NAMES.get(category, category.replace("_", " ").capitalize())
    if name not in ESC50.label_list:
        raise UserError(f"clip '{clip.id}' has the category '{category}', which ESC-50 does not have")
    return ESC50.label_list.index(name)
