"""The plugins that decide a run: further metrics, an optimizer, a schedule; names, and what they give, are checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
import paddle

from pannsdist.contracts.predictions import Predictions
from pannsdist.registry import LIST_COMMAND, Catalog, Registry
from pannsdist.registry.building import Part, blamed, broken, choose, choose_each, number_of
from pannsdist.run.planning.data import Data
from pannsdist.runtime.errors import AmbiguousPlugin, SettingsError, candidates_line
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import SHAPES, ScheduleSettings, Settings
from pannsdist.training.metrics import METRICS, Metric
from pannsdist.training.optimization.optimizers import optimizer_class, paddle_optimizers, slot_names, trainable

PROBES = 1000
"""Steps at which a schedule is asked before a run: all of a short one, evenly spaced ones of a long one."""
OF_SHAPES = ("final_lr_factor", "gamma")
"""Settings of the built-in shapes whose defaults say something; the others are refused as contradictions."""


@dataclass(frozen=True)
class TrainingPlugins:
    """What decides a run beside what is built in: metrics by their names, and an optimizer and a schedule, if any."""

    metrics: Mapping[str, Part] = field(default_factory=dict)
    optimizer: Part | None = None
    schedule: Part | None = None

    @property
    def further_metrics(self) -> tuple[Metric, ...]:
        """The metrics as an evaluation computes them."""
        chosen = self.metrics.items()
        return tuple(Metric(name, _Score(part), part.plugin.higher_is_better) for name, part in chosen)

    @property
    def by_key(self) -> dict[str, Part]:
        """All of them, by the key of the settings that names each."""
        own = {"optimizer": self.optimizer, "schedule": self.schedule}
        return {f"metrics.{name}": part for name, part in self.metrics.items()} | {
            key: part for key, part in own.items() if part is not None
        }


def choose_metrics(
    named: Mapping[str, object], source: SettingsOrigin, catalog: Catalog, data: Data
) -> dict[str, Part]:
    """The metric plugins under the names that their scores bear: those of the section, `distribution:name` too.

    Raises SettingsError for the name of a built-in metric, and for a metric that says nothing of such a dataset.
    """
    for name, params in named.items():
        if name in METRICS and params is not None:
            _refuse_built_in(str(name), source, catalog)
    chosen = choose_each(named, catalog.metrics, source, "metrics")
    for name, part in chosen.items():
        if not isinstance(part.plugin.higher_is_better, bool):
            raise broken(part.entry, f"says {part.plugin.higher_is_better!r} as higher_is_better, not True or False")
        with blamed(part.entry, part.params):
            applies = part.plugin.applies(data.multi_label, len(data.labels))
        if not applies:
            bears = "several labels" if data.multi_label else "one label"
            wrong = (
                f"{source.where(f'metrics.{name}')}: {part} does not apply to {len(data.labels)} classes of which a "
            )
            wrong += f"clip bears {bears}"
            raise SettingsError(wrong, f"leave it out: metrics.{name}=null", source.command)
    return chosen


def _refuse_built_in(name: str, source: SettingsOrigin, catalog: Catalog) -> None:
    wrong = f"{source.where(f'metrics.{name}')}: '{name}' is a metric of pannsdist itself"
    offered = catalog.metrics.entries.get(name, ())
    if not offered:
        raise SettingsError(wrong, "built-in metrics are computed without being named: leave it out", source.command)
    wrong += "".join(f", and {entry.origin} offers another" for entry in offered)
    others = " or ".join(f"metrics.{entry.qualified_name}={{}}" for entry in offered)
    raise SettingsError(wrong, f"the built-in one is computed anyway; for the other: {others}", source.command)


class _Score:
    """A metric plugin that is blamed by name for what it raises, and for what is no number."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def __call__(self, predictions: Predictions) -> float:
        with blamed(self._part.entry, self._part.params):
            value = self._part.plugin(predictions)
        return number_of(self._part, value, "a score")


def choose_optimizer(settings: Settings, source: SettingsOrigin, catalog: Catalog) -> Part | None:
    """The optimizer plugin that the settings name; None for a class of Paddle's, whose arguments are checked."""
    name, own = settings.optimizer.name, paddle_optimizers()
    if _is_plugin(name, tuple(own), "paddle.optimizer", source, catalog.optimizers):
        return choose(catalog.optimizers, settings.optimizer, source, "optimizer")
    optimizer_class(name, settings.optimizer.params)
    return None


def built_optimizer(part: Part, learning_rate: float, layer: paddle.nn.Layer) -> paddle.optimizer.Optimizer:
    """What an optimizer plugin builds of the layer's trainable parameters. Raises BrokenPlugin for what would go wrong.

    Its state is made here already, so that what cannot be saved is found before the first step.
    """
    parameters = trainable(layer)
    with blamed(part.entry, part.params):
        optimizer = part.plugin.build(list(parameters), learning_rate)
    if not isinstance(optimizer, paddle.optimizer.Optimizer):
        raise broken(part.entry, f"builds a {type(optimizer).__name__}, and no paddle.optimizer.Optimizer")
    if [id(one) for one in optimizer._parameter_list] != [id(one) for one in parameters]:
        raise broken(part.entry, "moves other parameters than those that it was given")
    if optimizer._grad_clip is not None:
        raise broken(part.entry, "clips gradients by itself", "train.clip_norm does")
    with blamed(part.entry, part.params):
        optimizer.set_lr(learning_rate)
        slot_names(optimizer, layer)
    return optimizer


def choose_schedule(settings: Settings, source: SettingsOrigin, catalog: Catalog) -> Part | None:
    """The schedule plugin that the settings name; None for a built-in shape. Raises SettingsError for others' keys."""
    shape = settings.schedule
    if not _is_plugin(shape.name, SHAPES, "built in", source, catalog.schedules):
        if shape.params:
            wrong = f"{source.where('schedule.params')} is set, but {source.where('schedule.name')} is {shape.name}"
            raise SettingsError(wrong, "schedule.params are those of a schedule plugin", source.command)
        return None
    defaults = {item.name: item.default for item in fields(ScheduleSettings)}
    for key in OF_SHAPES:
        if getattr(shape, key) != defaults[key]:
            wrong = f"{source.where(f'schedule.{key}')} is set, but {source.where('schedule.name')} is the plugin "
            wrong += f"{shape.name}"
            right = f"it belongs to the built-in shapes: schedule.{key}={defaults[key]} leaves it at its default"
            raise SettingsError(wrong, right, source.command)
    return choose(catalog.schedules, shape, source, "schedule")


def guarded_lr_factor(part: Part) -> Callable[[int, int, int], float]:
    """A schedule plugin's share; it raises BrokenPlugin, every process alike, for one that is no learning rate's."""

    def lr_factor(step: int, total_steps: int, epoch_steps: int) -> float:
        with blamed(part.entry, part.params):
            value = part.plugin.lr_factor(step, total_steps, epoch_steps)
        number = number_of(part, value, f"the lr_factor at step {step} of {total_steps}")
        if not 0.0 <= number < math.inf:
            raise broken(
                part.entry, f"gives {number} as the lr_factor at step {step} of {total_steps}: from 0 up is right"
            )
        return number

    return lr_factor


def refuse_odd_rates(part: Part | None, total_steps: int, epoch_steps: int) -> None:
    """Raise BrokenPlugin for a schedule that fails, or gives no share, at one of the steps that are tried."""
    if part is None or total_steps < 1:
        return
    lr_factor = guarded_lr_factor(part)
    for step in np.unique(np.linspace(1, total_steps, min(total_steps, PROBES)).astype(int)):
        lr_factor(int(step), total_steps, epoch_steps)


def _is_plugin(name: str, own: tuple[str, ...], place: str, source: SettingsOrigin, offered: Registry) -> bool:
    """Whether a name is a plugin's, and none of our own. Raises UserError for one that is both, or neither."""
    kind, asked = offered.kind, f"({source.where(f'{offered.kind}.name')})"
    if ":" in name:
        return True
    entries = offered.entries.get(name, ())
    if name in own and entries:
        origins = " and ".join(str(entry.origin) for entry in entries)
        others = " or ".join(entry.qualified_name for entry in entries)
        wrong = f"{kind} '{name}' {asked} is {place}, and {origins} offers another"
        raise AmbiguousPlugin(wrong, f"for the other: {others}; for the first, uninstall the other", LIST_COMMAND)
    if name not in own and not entries:
        right = candidates_line(name, {*own, *offered.entries}, f"{place} and installed")
        raise SettingsError(f"unknown {kind} '{name}' {asked}", right, source.command)
    return name not in own
