"""Names in the settings become plugins with checked params."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from pannsdist import settings as settings_module
from pannsdist.contracts import FrontEnd
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part, build_plugin, choose, choose_each
from pannsdist.runtime.errors import BrokenPlugin, FrontEndMismatch, SettingsError
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings


def choose_model(settings: Settings, source: SettingsOrigin, catalog: Catalog) -> Part:
    """The network. Where it leaves out stripes by itself, `train.spec_augment` sets its own param of that name."""
    entry, params = catalog.models.find(settings.model.name, source.where("model.name")), dict(settings.model.params)
    wanted = settings.train.spec_augment
    names = {item.name for item in dataclasses.fields(entry.load().Params)}
    if wanted is not None and "spec_augment" in names and params.setdefault("spec_augment", wanted) != wanted:
        both = " and ".join(source.where(key) for key in ("train.spec_augment", "model.params.spec_augment"))
        right = "one of them is enough; the first is for every network"
        raise SettingsError(f"{both} contradict each other", right, source.command)
    return build_plugin(entry, params, source, "model.params")


def choose_feature(settings: Settings, model: Part, source: SettingsOrigin, catalog: Catalog) -> Part:
    """The feature that the settings name, else the one that the model was made for, with the model's own params."""
    if settings.feature.name:
        return choose(catalog.features, settings.feature, source, "feature")
    entry = catalog.features.find(model.plugin.feature, f"the feature of model '{model.entry.name}'")
    params = {**model.plugin.feature_params, **settings.feature.params}
    return build_plugin(entry, params, source, "feature.params")


def masks_itself(model: Part) -> bool:
    """Whether the network leaves out stripes at a place of its own, when it is told to."""
    return hasattr(model.params, "spec_augment")


def choose_augmentations(settings: Settings, source: SettingsOrigin, catalog: Catalog) -> dict[str, Part]:
    """The augmentations under their names, in the settings' order; one that is null is left out."""
    chosen = choose_each(settings.augment, catalog.augmentations, source, "augment")
    for name, part in chosen.items():
        probability = getattr(part.params, "probability", None)
        if probability is None:
            wrong = f"augmentation {part} has no param `probability`"
            raise BrokenPlugin(wrong, "it does not keep the contract", f"pannsdist plugins show augmentation {name}")
        if not 0.0 <= probability <= 1.0:
            wrong = f"{source.where(f'augment.{name}.probability')} is {probability}"
            raise SettingsError(wrong, "allowed: 0.0 to 1.0", source.command)
    return chosen


def choose_trackers(settings: Settings, source: SettingsOrigin, catalog: Catalog) -> dict[str, Part]:
    """Where the run is watched."""
    return choose_each(settings.trackers, catalog.trackers, source, "trackers")


def refuse_impossible_augmentation(
    settings: Settings, source: SettingsOrigin, masked: Part | None, targets: np.ndarray
) -> None:
    """Raise SettingsError for what cannot be done to these training clips; `masked` is a feature to be masked."""
    if settings.mixup.alpha and settings.mixup.pairs == "free" and settings.train.batch_size < 2:
        wrong = f"{source.where('mixup.pairs')} is free, but train.batch_size is {settings.train.batch_size}"
        right = "a clip is mixed with another of its batch, so 2 at least; or mixup.pairs=panns"
        raise SettingsError(wrong, right, source.command)
    if masked and masked.plugin.front_end.bins == 1:
        wrong = f"{source.where('train.spec_augment')} is true, but feature {masked} gives one bin"
        right = "a waveform has no stripes of frequency: train.spec_augment=false"
        raise SettingsError(wrong, right, source.command)
    if settings.train.sampling != "shuffled" and targets.ndim == 2 and not targets.any():
        wrong = f"{source.where('train.sampling')} is {settings.train.sampling}, but no training clip bears a label"
        raise SettingsError(wrong, "train.sampling=shuffled", source.command)


def check_front_end(model: Part, feature: Part, weights: Path | None, asked: str) -> None:
    """Refuse a network that cannot hear what the feature gives, or weights that were trained on another front end."""
    front_end: FrontEnd = feature.plugin.front_end
    known = model.plugin.weights.get(asked)
    expected = known.front_end if known else model.plugin.front_end
    if weights is not None and expected != front_end:
        wrong = f"the weights {weights.name} of {model} expect another front end than the feature gives"
        raise FrontEndMismatch(
            wrong, front_end_difference(expected, front_end, "weights", "feature"), _next(model, feature)
        )
    if not model.plugin.accepts(front_end):
        wrong = f"model {model} cannot hear the front end '{front_end.kind}'"
        right = f"it was made for feature '{model.plugin.feature}'; leave feature.name out to get that"
        raise FrontEndMismatch(wrong, right, f"pannsdist plugins show model {model.entry.name}")


def _next(model: Part, feature: Part) -> str:
    """What to type to get the front end that a model was made for."""
    if feature.entry.name != model.plugin.feature:
        return f"the same command without feature.name and feature.params, for its own '{model.plugin.feature}'"
    made_for = settings_module.fill_params(
        type(feature.params), model.plugin.feature_params, SettingsOrigin(), "feature.params"
    )
    other = {name: value for name, value in vars(made_for).items() if value != getattr(feature.params, name)}
    keys = " ".join(f"feature.params.{name}={value}" for name, value in other.items())
    return f"the same command with {keys}" if keys else f"pannsdist plugins show model {model.entry.name}"


def front_end_difference(left: FrontEnd, right: FrontEnd, left_name: str, right_name: str) -> str:
    """The fields in which two front ends differ, one a line, both sides named."""
    pairs = {name: (getattr(left, name), getattr(right, name)) for name in vars(left)}
    return "\n".join(f"{name}: {left_name} {a}, {right_name} {b}" for name, (a, b) in pairs.items() if a != b)
