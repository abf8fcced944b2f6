"""Whether the chosen plugins, the dataset and the settings fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from pannsdist import settings as settings_module
from pannsdist.contracts import FrontEnd
from pannsdist.kernels.choice import KEY, PADDLE, Choice
from pannsdist.registry.building import Part
from pannsdist.run.planning.data import TRAIN, Data
from pannsdist.run.planning.selection import Plugins
from pannsdist.runtime.errors import BrokenPlugin, FrontEndMismatch, SettingsError, candidates_line, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import ScheduleSettings, Settings

Misfit = tuple[str, str]
"""What is wrong, and what would be right."""
BUILT_IN_SHAPE_KEYS = ("final_lr_factor", "gamma")
"""Keys of the built-in schedules that have a default other than 0 or empty."""


def refuse_front_end(plugins: Plugins, weights: str) -> None:
    """Raise FrontEndMismatch where the network does not accept the feature, or the weights expect another one."""
    model, front_end = plugins.model, plugins.front_end
    published = model.plugin.weights.get(weights)
    expected: FrontEnd = published.front_end if published else model.plugin.front_end
    if weights and expected != front_end:
        wrong = f"the weights {Path(weights).name} of {model} expect another front end than the feature gives"
        pairs = {name: (getattr(expected, name), getattr(front_end, name)) for name in vars(expected)}
        differences = [f"{name}: weights {a}, feature {b}" for name, (a, b) in pairs.items() if a != b]
        raise FrontEndMismatch(wrong, "\n".join(differences), _command_for_own_feature(model, plugins.feature))
    if not model.plugin.accepts(front_end):
        wrong = f"model {model} does not accept the front end '{front_end.kind}'"
        right = f"it was made for feature '{model.plugin.feature}'; leave feature.name out to get that"
        raise FrontEndMismatch(wrong, right, shell_command("pannsdist", "plugins", "show", "model", model.entry.name))


def refuse_static_graph(settings: Settings, origin: SettingsOrigin, model: Part, kernels: Choice) -> None:
    """Raise SettingsError for a static graph of a model that does not allow it, or that other kernels compute."""
    if not settings.train.to_static:
        return
    where = origin.where("train.to_static")
    if not getattr(model.plugin, "static_graph", False):
        wrong = f"{where} is set, but model {model} does not say that a static graph computes the same"
        raise SettingsError(wrong, "train.to_static=false; plugins say so by `static_graph = True`", origin.command)
    if kernels.kernels != PADDLE:
        wrong = f"{where} is set, but {KEY}={settings.train.cpu_kernels} takes the kernels of oneDNN"
        raise SettingsError(wrong, f"a static graph holds Paddle's own only: {KEY}={PADDLE}", origin.command)


def _command_for_own_feature(model: Part, feature: Part) -> str:
    """What to type to get the front end that a model was made for."""
    if feature.entry.name != model.plugin.feature:
        return f"the same command without feature.name and feature.params, for its own '{model.plugin.feature}'"
    made_for = settings_module.fill_params(
        type(feature.params), model.plugin.feature_params, SettingsOrigin(), "feature.params"
    )
    other = {name: value for name, value in vars(made_for).items() if value != getattr(feature.params, name)}
    keys = shell_command(*(f"feature.params.{name}={value}" for name, value in other.items()))
    return (
        f"the same command with {keys}"
        if keys
        else shell_command("pannsdist", "plugins", "show", "model", model.entry.name)
    )


def refuse_misfits(settings: Settings, origin: SettingsOrigin, plugins: Plugins, data: Data) -> None:
    """Raise SettingsError for settings that do not fit the plugins or the dataset.

    Raises BrokenPlugin for an augmentation without a probability.
    """
    for group in (_of_augmentation, _of_sampling, _of_schedule, _of_loss, _of_labels):
        for wrong, right in group(settings, origin, plugins, data):
            raise SettingsError(wrong, right, origin.command)


def _of_augmentation(settings: Settings, origin: SettingsOrigin, plugins: Plugins, _: Data) -> Iterator[Misfit]:
    for name, part in plugins.augmentations.items():
        probability = getattr(part.params, "probability", None)
        if probability is None:
            wrong = f"augmentation {part} has no param `probability`"
            raise BrokenPlugin(
                wrong,
                "it does not keep the contract",
                shell_command("pannsdist", "plugins", "show", "augmentation", name),
            )
        if not 0.0 <= probability <= 1.0:
            yield f"{origin.where(f'augment.{name}.probability')} is {probability}", "allowed: 0.0 to 1.0"
    if settings.train.spec_augment and not plugins.model_masks and plugins.front_end.bins == 1:
        wrong = f"{origin.where('train.spec_augment')} is true, but feature {plugins.feature} gives one bin"
        yield wrong, "a waveform has no frequency axis to mask: train.spec_augment=false"


def _of_sampling(settings: Settings, origin: SettingsOrigin, _: Plugins, data: Data) -> Iterator[Misfit]:
    sampling, of_class = settings.train.sampling, data.splits[TRAIN].clips_of_class(len(data.labels))
    if sampling != "shuffled" and not of_class.any():
        wrong = f"{origin.where('train.sampling')} is {sampling}, but no training clip has a label"
        yield wrong, "train.sampling=shuffled"


def _of_schedule(settings: Settings, origin: SettingsOrigin, plugins: Plugins, _: Data) -> Iterator[Misfit]:
    chosen, name = settings.schedule, origin.where("schedule.name")
    defaults = {item.name: item.default for item in fields(ScheduleSettings)}
    for key in BUILT_IN_SHAPE_KEYS if plugins.schedule else ():
        if getattr(chosen, key) != defaults[key]:
            wrong = f"{origin.where(f'schedule.{key}')} is set, but {name} is the plugin {chosen.name}"
            yield wrong, f"it belongs to the built-in shapes: schedule.{key}={defaults[key]} leaves it at its default"


def _of_loss(settings: Settings, origin: SettingsOrigin, _: Plugins, data: Data) -> Iterator[Misfit]:
    name, where = settings.loss.name, origin.where
    needs_several = {"cross_entropy": False, "binary_cross_entropy": True}
    if needs_several.get(name, data.multi_label) != data.multi_label:
        wrong = f"{where('loss.name')} is {name}, but a clip of {where('data.name')} has {data.labels_of_clip}"
        yield wrong, "leave loss.name out for the loss that fits"
    for label, weight in settings.loss.label_weights.items():
        if not 0 < weight < float("inf"):
            yield f"{where(f'loss.label_weights.{label}')} is {weight}", "allowed: above 0"


def _of_labels(settings: Settings, origin: SettingsOrigin, _: Plugins, data: Data) -> Iterator[Misfit]:
    named = [(label, origin.where("log.curves")) for label in settings.log.curves]
    named += [(label, origin.where(f"loss.label_weights.{label}")) for label in settings.loss.label_weights]
    for label, where in named:
        if label not in data.labels:
            yield f"no label '{label}' ({where})", candidates_line(label, data.labels, "labels")
