"""Model folders: `model.pdparams` and `bundle.json`, all that inference with a trained model needs."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.frame_head import POOLINGS
from pannsdist.contracts.network import Network
from pannsdist.inference.decisions import Decisions, read_decisions
from pannsdist.inference.heads import last_linear, set_hidden_units
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.registry import Catalog, Origin
from pannsdist.registry.building import Part, build_plugin
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import BadBundle, BadWeightsFile, shell_command
from pannsdist.runtime.foreign import excerpt
from pannsdist.runtime.json_files import JsonFile
from pannsdist.runtime.redaction import published, without_secrets
from pannsdist.settings import SettingsOrigin
from pannsdist.weights import read_paddle
from pannsdist.weights.downloads.cache import sha256

FORMAT = 1
WEIGHTS_FILE, RECORD_FILE = "model.pdparams", "bundle.json"
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,99}")
"""Names and versions of distributions; they become part of a command to type."""
MAX_NAME_LETTERS = 1000
MAX_CROP_S = 3600
MAX_HIDDEN_UNITS = 1 << 16
MAX_FRAME_SAMPLES = 1 << 20
METRICS = "metrics."
"""The settings key of metric plugins, in front of their names."""


@dataclass(frozen=True)
class PluginRecord:
    """A plugin as it was used: name, params, and the distribution that installs it."""

    name: str
    params: Mapping[str, Any]
    origin: Origin


@dataclass(frozen=True)
class BundleRecord:
    """What `bundle.json` holds: the plugins, the front end, the labels, and the settings and scores of the run.

    `crop_s` is the length that clips were evaluated at, in seconds; with `pads_to_crop` shorter clips were padded to
    it, else only to the shortest input of the network. `scores` are those of `epoch`, NaN included.
    `further` are the other plugins of the run, by their settings key, such as `metrics.f2`. With `hidden_units` the
    head is not the plugin's own, but has a hidden layer of so many units. `frame_samples` and `pooling` are those of a
    network that answers by frame; 0 and empty for any other. `decisions` are what `pannsdist calibrate` fitted; None
    before it.
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
    pads_to_crop: bool = True
    hidden_units: int = 0
    frame_samples: int = 0
    pooling: str = ""
    decisions: Decisions | None = None

    @property
    def metrics(self) -> list[str]:
        """The names of the metric plugins of the run."""
        return [key.removeprefix(METRICS) for key in self.further if key.startswith(METRICS)]


@dataclass(frozen=True)
class Bundle:
    """A loaded model folder: the network in evaluation mode, and its record."""

    folder: Path
    record: BundleRecord
    network: Network
    minimum_s: float

    @property
    def inference_model(self) -> InferenceModel:
        """The network with the window that it was evaluated with; shorter sounds are padded as they were there."""
        record = self.record
        lengths_s = (record.crop_s, record.crop_s if record.pads_to_crop else self.minimum_s, self.minimum_s)
        name = f"{record.model.name}, {self.folder}"
        return InferenceModel(
            self.network,
            record.front_end,
            record.labels,
            record.multi_label,
            *lengths_s,
            name,
            record.frame_samples,
            record.decisions,
        )


def write_bundle(
    folder: Path,
    record: BundleRecord,
    arrays: Mapping[str, np.ndarray],
    further: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> None:
    """Write a model folder atomically, replacing an older one. Rank 0 only.

    `further` are more files of arrays, by file name. Paths in the settings and in the dataset's params become relative
    to the working folder; no credentials and no secrets are written.
    """

    def fill(temporary: Path) -> None:
        for name, tensors in {WEIGHTS_FILE: arrays, **(further or {})}.items():
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The input state dict is empty")  # SGD has no state
                paddle.save(dict(tensors), str(temporary / name))
        content = dataclasses.asdict(record)
        content["scores"] = {k: v if math.isfinite(v) else repr(v) for k, v in record.scores.items()}
        for part in (content["model"], content["feature"], *content["further"].values()):
            part["params"] = without_secrets(part["params"])
        content["settings"], content["dataset"] = published(content["settings"]), published(content["dataset"])
        content = {"format": FORMAT, "sha256": sha256(temporary / WEIGHTS_FILE), **content}
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        storage.write_file(temporary / RECORD_FILE, text + "\n")

    storage.write_folder_atomic(folder, fill)


def record_beside(weights: Path) -> BundleRecord | None:
    """The record of the model folder that a weights file belongs to; None for any other file.

    Raises BadBundle, CannotRead.
    """
    if weights.name != WEIGHTS_FILE or not reading.is_file(weights.parent / RECORD_FILE):
        return None
    return read_record(weights.parent)


def read_record(folder: Path) -> BundleRecord:
    """The record of a model folder. Raises BadBundle for another folder, and for a damaged or incomplete one.

    Raises CannotRead where the system cannot read it, which does not mean that it is damaged.
    """
    folder = storage.complete_version(folder)
    path = folder / RECORD_FILE
    written = BUNDLE.read(path)
    if written is None:
        raise _incomplete(folder)
    record, checksum = written
    try:
        found = reading.retried(lambda: sha256(folder / WEIGHTS_FILE))
    except FileNotFoundError as error:
        raise _incomplete(folder) from error
    except OSError as error:
        raise reading.cannot_read(folder, error) from error
    if found != checksum:
        raise BadBundle(f"{folder / WEIGHTS_FILE} is missing or damaged", "copy the whole folder again")
    return record


def _record(content: dict[str, Any]) -> tuple[BundleRecord, str]:
    """The record of `bundle.json`, and the checksum of the weights. Raises as `JsonFile` expects."""
    checksum = content.pop("sha256")
    for kind in ("model", "feature", "dataset"):
        content[kind] = _plugin_record(content[kind])
    content["further"] = {key: _plugin_record(one) for key, one in content.get("further", {}).items()}
    details = tuple((name, value) for name, value in content["front_end"].pop("details"))
    content["front_end"] = FrontEnd(**content["front_end"], details=details)
    content["scores"] = {name: float(value) for name, value in content["scores"].items()}
    content["labels"] = tuple(content["labels"])
    content["decisions"] = read_decisions(content.get("decisions"), len(content["labels"]))
    record = BundleRecord(**content)
    _require_bounds(record)
    return record, checksum


BUNDLE = JsonFile(_record, BadBundle, "copy the whole folder again", FORMAT)


def _incomplete(folder: Path) -> BadBundle:
    if reading.exists(folder / RECORD_FILE):
        return BadBundle(f"{folder / WEIGHTS_FILE} is missing or damaged", "copy the whole folder again")
    inside = folder / "best_model"
    if reading.exists(inside / RECORD_FILE):
        return BadBundle(f"{folder} is a folder of a run, not a model folder", f"give its best model: {inside}")
    right = "give the best_model folder of a run, such as runs/NAME/best_model"
    return BadBundle(f"{folder} is not a model folder: it has no {RECORD_FILE}", right, "ls runs/*/best_model")


def load_bundle(folder: Path, catalog: Catalog) -> Bundle:
    """A model folder as a network in evaluation mode, on Paddle's current device.

    Raises BadBundle for a damaged or incomplete folder, for a plugin that is not installed (naming the distribution to
    install) and for one whose front end or layer is no longer the recorded one; BrokenPlugin for one that fails.
    """
    folder = storage.complete_version(folder)
    record = read_record(folder)
    feature = build_recorded(record.feature, "feature", catalog).plugin
    if feature.front_end != record.front_end:
        wrong = f"feature '{record.feature.name}' no longer computes what the model in {folder} was trained on"
        right = f"then {record.front_end}\nnow  {feature.front_end}"
        raise BadBundle(wrong, right, _install(record.feature.origin))
    model = build_recorded(record.model, "model", catalog).plugin
    network = Network(feature.build(), _model_layer(model, record), frame_samples=record.frame_samples)
    if record.hidden_units:
        set_hidden_units(network, last_linear(network.model, model.head), record.hidden_units)
    try:
        network.restore(read_paddle(folder / WEIGHTS_FILE))
    except (ValueError, BadWeightsFile) as error:
        wrong = f"the weights in {folder} do not fit model '{record.model.name}': {error}"
        raise BadBundle(wrong, f"it was made with {record.model.origin}", "pannsdist plugins list") from error
    network.eval()
    minimum_s = model.minimum_samples(record.front_end) / record.front_end.sample_rate_hz
    return Bundle(folder, record, network, minimum_s)


def _model_layer(model: Any, record: BundleRecord) -> paddle.nn.Layer:
    labels, front_end = tuple(record.labels), record.front_end
    if not record.frame_samples:
        return model.build(labels, front_end)
    found = model.frame_samples(front_end) if hasattr(model, "build_frames") else 0
    if found != record.frame_samples:
        wrong = f"model '{record.model.name}' no longer answers by frames of {record.frame_samples} samples"
        raise BadBundle(wrong, f"now of {found}" if found else "it has no frames now", _install(record.model.origin))
    return model.build_frames(labels, front_end, record.pooling)


def _plugin_record(content: Mapping[str, Any]) -> PluginRecord:
    origin = Origin(**content["origin"])
    if not all(isinstance(part, str) and REQUIREMENT.fullmatch(part) for part in (origin.distribution, origin.version)):
        raise ValueError("a plugin whose distribution and version no index has")
    if not isinstance(content["name"], str) or not isinstance(content["params"], Mapping):
        raise ValueError("a plugin without name and params")
    return PluginRecord(content["name"], content["params"], origin)


def _require_bounds(record: BundleRecord) -> None:
    """Raise ValueError for values that no run writes: they are printed, and decide how much memory a sound takes."""
    names = (record.model.name, record.feature.name, record.dataset.name, record.metric, *record.labels)
    if not all(isinstance(name, str) and len(name) <= MAX_NAME_LETTERS for name in names):
        raise ValueError(f"a name or label that is no text of at most {MAX_NAME_LETTERS} letters")
    for name in names:
        if not name.isprintable():
            raise ValueError(f"'{excerpt(name)}' has letters that cannot be printed")
    if type(record.crop_s) not in (int, float) or not 0 < record.crop_s <= MAX_CROP_S:
        raise ValueError(f"crop_s is no number of seconds up to {MAX_CROP_S}")
    if type(record.pads_to_crop) is not bool:
        raise ValueError("pads_to_crop is neither true nor false")
    if type(record.hidden_units) is not int or not 0 <= record.hidden_units <= MAX_HIDDEN_UNITS:
        raise ValueError(f"hidden_units is no whole number up to {MAX_HIDDEN_UNITS}")
    if type(record.frame_samples) is not int or not 0 <= record.frame_samples <= MAX_FRAME_SAMPLES:
        raise ValueError(f"frame_samples is no whole number up to {MAX_FRAME_SAMPLES}")
    if record.pooling not in (POOLINGS if record.frame_samples else ("",)):
        raise ValueError(f"pooling is none of {', '.join(POOLINGS)}")


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
