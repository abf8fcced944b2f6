"""The metrics of a run: the built-in ones that apply to its dataset, metric plugins, and the one that selects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pannsdist.contracts.predictions import Predictions
from pannsdist.registry import Registry
from pannsdist.registry.building import Part, blamed, broken, number_of
from pannsdist.registry.own_distributions import distribution_of
from pannsdist.run.planning.data import TRAIN, VALID, Data
from pannsdist.runtime.errors import SettingsError, candidates_line, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.training.metrics import Metric, metrics_for


@dataclass(frozen=True)
class BestMetric:
    """The score that selects the best epoch, as split/metric, and its direction."""

    name: str
    higher_is_better: bool


def plugin_metrics(parts: Mapping[str, Part]) -> tuple[Metric, ...]:
    """Metric plugins as an evaluation computes them."""
    return tuple(Metric(name, _Score(part), part.plugin.higher_is_better) for name, part in parts.items())


def score_names(data: Data, parts: Mapping[str, Part]) -> list[str]:
    """Every score of an epoch, as split/metric."""
    return [f"{TRAIN}/loss", *_validation_metrics(data, parts)]


def choose_best_metric(
    name: str, data: Data, parts: Mapping[str, Part], origin: SettingsOrigin, installed: Registry
) -> BestMetric:
    """The score of that name; without a name accuracy, or mean average precision for several labels a clip.

    Raises SettingsError for a score that is not computed.
    """
    computed = _validation_metrics(data, parts)
    name = name or f"{VALID}/" + ("mean_average_precision" if data.multi_label else "accuracy")
    if name in computed:
        return BestMetric(name, computed[name].higher_is_better)
    wrong = f"no score '{name}' is computed ({origin.where('select.metric')})"
    offered = installed.entries.get(plugin := name.removeprefix(f"{VALID}/"), ())
    if offered:
        origins = " and ".join(str(entry.origin) for entry in offered)
        right = f"{origins} offers it, but the settings do not name it: metrics.{plugin}={{}}"
    elif distribution := distribution_of("metric", plugin):
        right = f"the distribution {distribution} provides it; install that and name it too: metrics.{plugin}={{}}"
        raise SettingsError(wrong, right, shell_command("pip", "install", distribution))
    else:
        right = candidates_line(name, computed, "computed")
    raise SettingsError(wrong, right, origin.command)


def refuse_unsuitable_metrics(parts: Mapping[str, Part], data: Data, origin: SettingsOrigin, has_frames: bool) -> None:
    """Raise SettingsError for a metric plugin that does not apply to the dataset, BrokenPlugin for a faulty one.

    One that needs events does not apply without frames of a network.
    """
    for name, part in parts.items():
        if not isinstance(part.plugin.higher_is_better, bool):
            raise broken(part.entry, f"has higher_is_better {part.plugin.higher_is_better!r}, not True or False")
        with blamed(part.entry, part.params):
            applies = part.plugin.applies(data.multi_label, len(data.labels))
        if getattr(part.plugin, "needs_events", False) and not has_frames:
            wrong = f"{origin.where(f'metrics.{name}')}: {part} is a score of sound events, and no events are learned"
            right = "it needs clips with events and a model that answers by frame: task=events; or leave it out: "
            raise SettingsError(wrong, f"{right}metrics.{name}=null", origin.command)
        if not applies:
            wrong = f"{origin.where(f'metrics.{name}')}: {part} does not apply to {len(data.labels)} classes "
            wrong += f"with {data.labels_of_clip} per clip"
            raise SettingsError(wrong, f"leave it out: metrics.{name}=null", origin.command)


def _validation_metrics(data: Data, parts: Mapping[str, Part]) -> dict[str, Metric]:
    plugins = plugin_metrics(parts)
    built_in = metrics_for(data.multi_label, len(data.labels)).values()
    return {f"{VALID}/{metric.name}": metric for metric in (*built_in, *plugins)}


class _Score:
    """A metric plugin whose exceptions and invalid results become a BrokenPlugin that names it.

    The score of events is NaN where no clip is strongly labelled.
    """

    def __init__(self, part: Part) -> None:
        self._part = part

    def __call__(self, predictions: Predictions) -> float:
        needs_events = getattr(self._part.plugin, "needs_events", False)
        if needs_events and not (predictions.frames and predictions.frames.ids):
            return math.nan
        with blamed(self._part.entry, self._part.params):
            value = self._part.plugin(predictions)
        return number_of(self._part, value, "a score")
