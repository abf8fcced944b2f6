"""Model folders: `model.pdparams` and `bundle.json`, all that inference with a trained model needs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import Network
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.registry import Catalog, Origin
from pannsdist.registry.building import Part, build_plugin
from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadBundle, BadWeightsFile, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.weights import read_paddle
from pannsdist.weights.downloads.cache import sha256

FORMAT = 1
WEIGHTS_FILE, RECORD_FILE = "model.pdparams", "bundle.json"


@dataclass(frozen=True)
class PluginRecord:
    """A plugin as it was used: name, params, and the distribution that installs it."""

    name: str
    params: Mapping[str, Any]
    origin: Origin


@dataclass(frozen=True)
class BundleRecord:
    """What `bundle.json` holds: the plugins, the front end, the labels, and the settings and scores of the run.

    `crop_s` is the length that clips were evaluated at, in seconds. `scores` are those of `epoch`, NaN included.
    `further` are the other plugins of the run, by their settings key, such as `metrics.f2`.
    """

    model: PluginRecord
    feature: PluginRecord
    dataset: PluginRecord
    front_end: FrontEnd
    labels: Sequence[str]
    multi_label: bool
    crop_s: float
    metric: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    epoch: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    further: Mapping[str, PluginRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A loaded model folder: the network in evaluation mode, and its record."""

    folder: Path
    record: BundleRecord
    network: Network
    minimum_s: float

    @property
    def inference_model(self) -> InferenceModel:
        """The network with the window that it was evaluated with; shorter sounds are padded to it."""
        record = self.record
        lengths_s = (record.crop_s, record.crop_s, self.minimum_s)
        return InferenceModel(self.network, record.front_end, record.labels, record.multi_label, *lengths_s)


def write_bundle(folder: Path, record: BundleRecord, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a model folder atomically, replacing an older one. Rank 0 only."""

    def fill(temporary: Path) -> None:
        paddle.save(dict(arrays), str(temporary / WEIGHTS_FILE))
        content = dataclasses.asdict(record)
        content["scores"] = {k: v if math.isfinite(v) else repr(v) for k, v in record.scores.items()}
        content = {"format": FORMAT, "sha256": sha256(temporary / WEIGHTS_FILE), **content}
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        (temporary / RECORD_FILE).write_text(text + "\n", encoding="utf-8")

    storage.write_folder_atomic(folder, fill)


def read_record(folder: Path) -> BundleRecord:
    """The record of a model folder. Raises BadBundle for another folder, and for a damaged or incomplete one."""
    path = folder / RECORD_FILE
    if not path.is_file():
        right = "give the best_model folder of a run, such as runs/NAME/best_model"
        raise BadBundle(f"{folder} is not a model folder: it has no {RECORD_FILE}", right, "ls runs/*/best_model")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise BadBundle(f"{path} was written by a newer pannsdist", "upgrade it", "pip install -U pannsdist")
        checksum = content.pop("sha256")
        for kind in ("model", "feature", "dataset"):
            content[kind] = _plugin_record(content[kind])
        content["further"] = {key: _plugin_record(one) for key, one in content.get("further", {}).items()}
        details = tuple((name, value) for name, value in content["front_end"].pop("details"))
        content["front_end"] = FrontEnd(**content["front_end"], details=details)
        content["scores"] = {name: float(value) for name, value in content["scores"].items()}
        content["labels"] = tuple(content["labels"])
        record = BundleRecord(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadBundle(f"{path} cannot be read: {error}", "copy the whole folder again") from error
    if not (folder / WEIGHTS_FILE).is_file() or sha256(folder / WEIGHTS_FILE) != checksum:
        raise BadBundle(f"{folder / WEIGHTS_FILE} is missing or damaged", "copy the whole folder again")
    return record


def load_bundle(folder: Path, catalog: Catalog) -> Bundle:
    """A model folder as a network in evaluation mode, on Paddle's current device.

    Raises BadBundle for a damaged or incomplete folder, for a plugin that is not installed (naming the distribution to
    install) and for one whose front end or layer is no longer the recorded one; BrokenPlugin for one that fails.
    """
    record = read_record(folder)
    feature = build_recorded(record.feature, "feature", catalog).plugin
    if feature.front_end != record.front_end:
        wrong = f"feature '{record.feature.name}' no longer computes what the model in {folder} was trained on"
        right = f"then {record.front_end}\nnow  {feature.front_end}"
        raise BadBundle(wrong, right, _install(record.feature.origin))
    model = build_recorded(record.model, "model", catalog).plugin
    network = Network(feature.build(), model.build(tuple(record.labels), record.front_end))
    try:
        network.restore(read_paddle(folder / WEIGHTS_FILE))
    except (ValueError, BadWeightsFile) as error:
        wrong = f"the weights in {folder} do not fit model '{record.model.name}': {error}"
        raise BadBundle(wrong, f"it was made with {record.model.origin}", "pannsdist plugins list") from error
    network.eval()
    minimum_s = model.minimum_samples(record.front_end) / record.front_end.sample_rate_hz
    return Bundle(folder, record, network, minimum_s)


def _plugin_record(content: Mapping[str, Any]) -> PluginRecord:
    return PluginRecord(content["name"], content["params"], Origin(**content["origin"]))


def require_installed(record: PluginRecord, kind: str, catalog: Catalog, otherwise: str = "") -> None:
    """Raise BadBundle, naming the distribution to install, where no plugin of this name is installed."""
    if record.name not in catalog.registry(kind).entries:
        wrong = f"the model was made with {kind} '{record.name}', which is not installed"
        right = "; ".join(filter(None, (f"it came with {record.origin}", otherwise)))
        raise BadBundle(wrong, right, _install(record.origin))


def build_recorded(record: PluginRecord, kind: str, catalog: Catalog) -> Part:
    """A plugin as it was used.

    Raises BadBundle where it is not installed, UserError where it refuses its params, BrokenPlugin where it fails.
    """
    require_installed(record, kind, catalog)
    registry = catalog.registry(kind)
    distributions = {entry.origin.distribution for entry in registry.entries[record.name]}
    qualified = f"{record.origin.distribution}:{record.name}"
    name = qualified if record.origin.distribution in distributions else record.name
    return build_plugin(registry.find(name), record.params, SettingsOrigin(), f"{kind}.params")


def _install(origin: Origin) -> str:
    """The command that installs a distribution in the recorded version, where that is known."""
    return shell_command("pip", "install", "==".join((origin.distribution, origin.version)))
