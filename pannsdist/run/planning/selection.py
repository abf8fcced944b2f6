"""The plugins of a run: sections of the settings become requests, and all requests are built in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pannsdist import settings as settings_module
from pannsdist.contracts import FrontEnd
from pannsdist.contracts.sound_files import Skipped
from pannsdist.registry import Catalog, Registry
from pannsdist.registry.building import Builtin, Part, PluginRequest, build_plugins
from pannsdist.runtime.errors import SettingsError
from pannsdist.runtime.redaction import HIDDEN, hidden_keys
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import (
    SHAPES,
    DataSettings,
    FeatureSettings,
    ModelSettings,
    OptimizerSettings,
    ScheduleSettings,
    Settings,
)
from pannsdist.training.metrics import METRICS
from pannsdist.training.optimization.optimizers import optimizer_class, paddle_optimizers

RECORDED = ("augment", "metrics", "optimizer", "schedule")
"""Sections whose plugins a model folder lists beside its model, feature and dataset."""


@dataclass(frozen=True)
class Plugins:
    """The chosen plugins of a run by settings key, such as `model` or `augment.gain`."""

    by_key: Mapping[str, Part]

    @property
    def model(self) -> Part:
        """The network."""
        return self.by_key["model"]

    @property
    def feature(self) -> Part:
        """The feature extractor."""
        return self.by_key["feature"]

    @property
    def dataset(self) -> Part:
        """The dataset."""
        return self.by_key["data"]

    @property
    def optimizer(self) -> Part | None:
        """The optimizer plugin; None for a class of Paddle's."""
        return self.by_key.get("optimizer")

    @property
    def schedule(self) -> Part | None:
        """The schedule plugin; None for a built-in shape."""
        return self.by_key.get("schedule")

    @property
    def augmentations(self) -> dict[str, Part]:
        """The augmentations by name, in the order of the settings."""
        return self._in_section("augment")

    @property
    def metrics(self) -> dict[str, Part]:
        """The metric plugins by the name of their score, such as `hits` or `distribution:hits`."""
        return self._in_section("metrics")

    @property
    def trackers(self) -> dict[str, Part]:
        """The trackers by name."""
        return self._in_section("trackers")

    @property
    def recorded(self) -> dict[str, Part]:
        """The plugins that a model folder lists beside its model, feature and dataset, by settings key."""
        return {key: part for key, part in self.by_key.items() if key.partition(".")[0] in RECORDED}

    @property
    def front_end(self) -> FrontEnd:
        """The front end of the feature, which is the input of the network."""
        front_end: FrontEnd = self.feature.plugin.front_end
        return front_end

    @property
    def minimum_samples(self) -> int:
        """Samples of the shortest waveform that the network accepts."""
        minimum: int = self.model.plugin.minimum_samples(self.front_end)
        return minimum

    @property
    def padded_samples(self) -> int:
        """Samples to which the network pads shorter inputs itself, or its shortest input: less saves nothing."""
        own = getattr(self.model.plugin, "padded_samples", None)
        return self.minimum_samples if own is None else max(self.minimum_samples, int(own(self.front_end)))

    @property
    def skipped(self) -> list[Skipped]:
        """What searches for sound files left out: those of the dataset and of augmentations."""
        return [one for part in self.by_key.values() for one in part.skipped]

    @property
    def model_masks(self) -> bool:
        """Whether the network has its own SpecAugment masks, as PANNs have after their first batch norm."""
        return hasattr(self.model.params, "spec_augment")

    def _in_section(self, section: str) -> dict[str, Part]:
        prefix = f"{section}."
        return {key.removeprefix(prefix): part for key, part in self.by_key.items() if key.startswith(prefix)}


def choose_plugins(
    settings: Settings, origin: SettingsOrigin, catalog: Catalog, dataset: Part | None = None
) -> Plugins:
    """Every plugin that the settings name. Raises UserError for a name or params that are invalid.

    `dataset` is that of the settings where it has been built before: to list many sounds takes its time.
    """
    _refuse_hidden(settings, origin)
    requests = [
        _model_request(settings.model, settings.train.spec_augment, origin),
        _feature_request(settings.feature, origin),
        *_of_section("augmentation", "augment", settings.augment, origin),
        *_metric_requests(settings.metrics, origin, catalog.metrics),
        _optimizer_request(settings.optimizer, origin),
        _schedule_request(settings.schedule, origin),
        *_of_section("tracker", "trackers", settings.trackers, origin),
        *([] if dataset else [_dataset_request(settings.data, origin)]),
    ]
    built = build_plugins(requests, catalog, origin)
    return Plugins({**built, "data": dataset} if dataset else built)


def _refuse_hidden(settings: Settings, origin: SettingsOrigin) -> None:
    """Raise SettingsError for the settings file of an earlier run, from which secrets were left out."""
    for key in hidden_keys(settings_module.to_dict(settings)):
        wrong = f"{origin.where(key)} is '{HIDDEN}': the files of a run hold no secrets"
        raise SettingsError(
            wrong, "give your own settings file, or the value itself", f"the same command, with the value of {key}"
        )


def choose_dataset(chosen: DataSettings, origin: SettingsOrigin, catalog: Catalog) -> Part:
    """The dataset of the settings, without the other plugins of a run."""
    return build_plugins([_dataset_request(chosen, origin)], catalog, origin)["data"]


def choose_network(settings: Settings, origin: SettingsOrigin, catalog: Catalog) -> Plugins:
    """The model and the feature of the settings, without the other plugins of a run."""
    requests = [
        _model_request(settings.model, settings.train.spec_augment, origin),
        _feature_request(settings.feature, origin),
    ]
    return Plugins(build_plugins(requests, catalog, origin))


def choose_metrics(named: Mapping[str, Any], origin: SettingsOrigin, catalog: Catalog) -> dict[str, Part]:
    """The metric plugins of the settings by the names of their scores, without the other plugins of a run."""
    return Plugins(build_plugins(_metric_requests(named, origin, catalog.metrics), catalog, origin)).metrics


def _model_request(chosen: ModelSettings, spec_augment: bool | None, origin: SettingsOrigin) -> PluginRequest:
    """The network; `train.spec_augment` sets its own param of that name, if it has one."""
    masks = {} if spec_augment is None else {"spec_augment": spec_augment}
    return replace(_of_name("model", "model", chosen, origin), optional_params=masks)


def _feature_request(chosen: FeatureSettings, origin: SettingsOrigin) -> PluginRequest:
    """The feature; without a name the one that the model was made for."""
    return _of_name("feature", "feature", chosen, origin)


def _optimizer_request(chosen: OptimizerSettings, origin: SettingsOrigin) -> PluginRequest:
    builtin = Builtin(paddle_optimizers(), "paddle.optimizer", check=optimizer_class)
    return replace(_of_name("optimizer", "optimizer", chosen, origin), builtin=builtin)


def _schedule_request(chosen: ScheduleSettings, origin: SettingsOrigin) -> PluginRequest:
    def refuse_params(name: str, params: Mapping[str, Any]) -> None:
        if params:
            wrong = f"{origin.where('schedule.params')} is set, but {origin.where('schedule.name')} is {name}"
            raise SettingsError(wrong, "schedule.params are those of a schedule plugin", origin.command)

    builtin = Builtin(SHAPES, "built in", check=refuse_params)
    return replace(_of_name("schedule", "schedule", chosen, origin), builtin=builtin)


def _dataset_request(chosen: DataSettings, origin: SettingsOrigin) -> PluginRequest:
    return _of_name("dataset", "data", chosen, origin)


def _metric_requests(named: Mapping[str, Any], origin: SettingsOrigin, installed: Registry) -> Iterator[PluginRequest]:
    """The metric plugins that the settings name. Raises SettingsError for the name of a built-in metric."""
    for name, params in named.items():
        if name in METRICS and params is not None:
            raise _named_as_built_in(name, origin, installed)
    yield from _of_section("metric", "metrics", named, origin)


def _named_as_built_in(name: str, origin: SettingsOrigin, installed: Registry) -> SettingsError:
    wrong = f"{origin.where(f'metrics.{name}')}: '{name}' is a metric of pannsdist itself"
    offered = installed.entries.get(name, ())
    if not offered:
        right = "built-in metrics are computed without being named: leave it out"
        return SettingsError(wrong, right, origin.command)
    wrong += "".join(f", and {entry.origin} offers another" for entry in offered)
    others = " or ".join(f"metrics.{entry.qualified_name}={{}}" for entry in offered)
    return SettingsError(wrong, f"the built-in one is computed anyway; for the other: {others}", origin.command)


def _of_name(kind: str, section: str, chosen: Any, origin: SettingsOrigin) -> PluginRequest:
    """The plugin of a section with `name` and `params`."""
    named_by, params_key = origin.where(f"{section}.name"), f"{section}.params"
    return PluginRequest(kind, chosen.name, chosen.params, section, named_by, params_key)


def _of_section(kind: str, section: str, named: Mapping[str, Any], origin: SettingsOrigin) -> Iterator[PluginRequest]:
    """The plugins of a section that maps names to params, in its order; a name that is set to null is left out."""
    for name, params in named.items():
        key = f"{section}.{name}"
        if params is None:
            continue
        if not isinstance(params, Mapping):
            right = f"write {key}.KEY=VALUE, or {key}={{}} for its defaults, or {key}=null to switch it off"
            raise SettingsError(f"{origin.where(key)} is {params!r}, but it is a section", right, origin.command)
        yield PluginRequest(kind, str(name), params, key, origin.where(section), key)
