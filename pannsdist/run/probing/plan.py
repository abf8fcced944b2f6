"""The decision before a probe: settings become the plugins, the clips of each fold, and how clips are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pannsdist import settings as settings_module
from pannsdist.audio.batches import ClipTable
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part
from pannsdist.run.planning.compatibility import refuse_front_end
from pannsdist.run.planning.data import TRAIN, VALID, Data, load_train_and_valid
from pannsdist.run.planning.folds import dataset_folds
from pannsdist.run.planning.lengths import refuse_short_crop
from pannsdist.run.planning.metrics import refuse_unsuitable_metrics
from pannsdist.run.planning.selection import Plugins, choose_dataset, choose_metrics, choose_network
from pannsdist.run.planning.waveforms import INT16
from pannsdist.run.planning.weights import fetch_weights, refuse_weights_of_others
from pannsdist.run.probing.solvers import KINDS
from pannsdist.runtime import outputs, reading
from pannsdist.runtime.errors import BadRunFolder, SettingsError, candidates_line, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

SUFFIX = "_probe"
RECORD_FILE = "probe.json"
WHOLE = "train"
"""The name of the one division of the data where there are no folds."""


@dataclass(frozen=True)
class ProbeRequest:
    """What the command asks for: all folds of the dataset with `folds`, else its `train` and `valid`."""

    config: Path
    overrides: tuple[str, ...] = ()
    kind: str = "linear"
    folds: bool = False


@dataclass(frozen=True)
class ProbePlan:
    """A checked probe: `divisions` are the data by name, one or one for each fold. Nothing is built yet."""

    request: ProbeRequest
    settings: Settings
    plugins: Plugins
    metrics: Mapping[str, Part]
    divisions: Mapping[str, Data]
    weights: Path | None
    ignored: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the result goes: beside the run that `train` makes of the same settings."""
        return Path(self.settings.runs) / f"{self.settings.name}{SUFFIX}"

    @property
    def data(self) -> Data:
        """The data of the first division; labels, and train and valid together, are those of all."""
        return next(iter(self.divisions.values()))

    @property
    def crop_s(self) -> float:
        """How much of each clip is read, from its start."""
        return self.settings.valid.crop_s or self.settings.train.crop_s

    @property
    def pads_to_crop(self) -> bool:
        """Whether shorter clips are padded to the crop."""
        return not self.settings.train.group_by_length

    @cached_property
    def reader(self) -> ClipReader:
        """Reads a clip as `evaluate` does with the model folder."""
        rate_hz, minimum = self.plugins.front_end.sample_rate_hz, self.plugins.minimum_samples
        chosen_s = self.settings.data.min_clip_s
        samples = round(self.crop_s * rate_hz)
        return ClipReader(
            rate_hz,
            samples,
            minimum / rate_hz if chosen_s is None else chosen_s,
            samples if self.pads_to_crop else minimum,
            is_16_bit=self.settings.data.cache_dtype == INT16,
        )

    @property
    def tables(self) -> list[ClipTable]:
        """Every split of every division."""
        return [table for data in self.divisions.values() for table in (*data.splits.values(), data.test) if table]


def decide(request: ProbeRequest, catalog: Catalog) -> ProbePlan:
    """The plan of a probe. Raises UserError for what cannot work; writes nothing but downloaded weights."""
    if request.kind not in KINDS:
        raise SettingsError(f"no kind of probe '{request.kind}'", candidates_line(request.kind, KINDS, "kinds"))
    chosen, origin = settings_module.load(request.config, request.overrides)
    plugins = choose_network(chosen, origin, catalog)
    refuse_front_end(plugins, chosen.model.weights)
    key = "train.crop_s" if chosen.valid.crop_s is None else "valid.crop_s"
    refuse_short_crop(key, chosen.valid.crop_s or chosen.train.crop_s, origin, plugins)
    divisions = _divisions(request, chosen, origin, catalog)
    data = next(iter(divisions.values()))
    metrics = choose_metrics(chosen.metrics, origin, catalog)
    refuse_unsuitable_metrics(metrics, data, origin, has_frames=False)
    weights = fetch_weights(chosen.model.weights, plugins.model, origin)
    refuse_weights_of_others(weights, plugins.model, data.labels, plugins.front_end, catalog)
    plan = ProbePlan(request, chosen, plugins, metrics, divisions, weights, tuple(_ignored(chosen)))
    refuse_other_folder(plan.folder)
    return plan


def refuse_other_folder(folder: Path) -> None:
    """Raise BadRunFolder for a folder with anything but an earlier probe; CannotWrite where it cannot be written."""
    outputs.require_folder(folder, "the folder of the probe")
    names = [name for name in reading.names_in(folder) if not name.startswith(".")]
    if names and RECORD_FILE not in names:
        wrong = f"{folder} is not empty, and has no {RECORD_FILE} of an earlier probe"
        raise BadRunFolder(wrong, "choose another name, as name=NAME, or remove it", shell_command("ls", folder))


def _divisions(request: ProbeRequest, chosen: Settings, origin: SettingsOrigin, catalog: Catalog) -> dict[str, Data]:
    if not request.folds:
        return {WHOLE: _data(chosen, origin, catalog)}
    key, folds = dataset_folds(chosen.data, origin, catalog)
    found = {}
    for fold in folds:
        of_fold, its_origin = settings_module.load(request.config, (*request.overrides, f"{key}={fold}"))
        found[f"fold_{fold}"] = _data(of_fold, its_origin, catalog)
    return found


def _data(chosen: Settings, origin: SettingsOrigin, catalog: Catalog) -> Data:
    """All clips, whatever the settings say about subsets for training."""
    train, valid = chosen.train, chosen.valid
    whole = replace(
        chosen,
        train=replace(train, overfit_batches=None, all_clips=False),
        valid=replace(valid, limit_batches=None),
    )
    return load_train_and_valid(choose_dataset(chosen.data, origin, catalog), whole, origin)


def _ignored(chosen: Settings) -> Iterator[str]:
    """What of the settings is meant for training and changes clips or their weight: a probe has none of it."""
    yield from (f"augment.{name}" for name, params in chosen.augment.items() if params is not None)
    train, loss = chosen.train, chosen.loss
    others = {
        "mixup.alpha": chosen.mixup.alpha,
        "train.spec_augment": train.spec_augment,
        "train.sampling": train.sampling != "shuffled",
        "train.all_clips": train.all_clips,
        "loss.class_weights": loss.class_weights != "none",
        "loss.label_weights": loss.label_weights,
        "loss.label_smoothing": loss.label_smoothing,
    }
    yield from (key for key, value in others.items() if value)


def plan_table(plan: ProbePlan) -> str:
    """One line for each property of the probe."""
    front_end, data, plugins = plan.plugins.front_end, plan.data, plan.plugins
    weights = plan.weights.name if plan.weights else "random weights: it knows nothing; set model.weights"
    several = ", several labels a clip" if data.multi_label else ""
    rows = {
        "probe": f"{plan.folder}, {plan.request.kind}",
        "model": f"{plugins.model}, {weights}",
        "feature": f"{plugins.feature}: {front_end.sample_rate_hz} Hz, {front_end.bins} bins",
        "data": f"{data.part}: {len(data.labels)} classes{several}",
        "left out": "; ".join(map(str, data.part.skipped)),
        "clips": f"{_clips(plan)}, {plan.crop_s:g} s of each, from its start",
        "not used": f"{', '.join(plan.ignored)}: a probe sees each clip as it is" if plan.ignored else "",
        "note": "; ".join(dict.fromkeys(note for one in plan.divisions.values() for note in one.notes)),
    }
    return "\n".join(f"{name:<10} {text}" for name, text in rows.items() if text)


def _clips(plan: ProbePlan) -> str:
    data = plan.data
    train, valid = len(data.splits[TRAIN]), len(data.splits[VALID])
    test = "" if data.test is None else f", test {len(data.test)}"
    if plan.request.folds:
        return f"{train + valid} in {len(plan.divisions)} folds{test}"
    return f"train {train}, valid {valid}{test}"
