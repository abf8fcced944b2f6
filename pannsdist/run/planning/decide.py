"""The decision before anything is built: settings and plugins become a checked plan, with nothing connected.

Every process comes to the same verdict, so that a mistake in the settings ends all of them with the same message.
"""

from __future__ import annotations

from dataclasses import replace

from pannsdist.registry import Catalog
from pannsdist.run.planning import subset
from pannsdist.run.planning.checks import refuse_contradictions, refuse_lengths, refuse_misfits, refuse_shares
from pannsdist.run.planning.data import Data, choose_data
from pannsdist.run.planning.plan import TRAIN, VALID, Plan
from pannsdist.run.planning.selection import (
    check_front_end,
    choose_augmentations,
    choose_feature,
    choose_model,
    choose_trackers,
    refuse_impossible_augmentation,
)
from pannsdist.run.planning.training_plugins import (
    TrainingPlugins,
    choose_metrics,
    choose_optimizer,
    choose_schedule,
    refuse_odd_rates,
)
from pannsdist.run.planning.weights import fetch_weights, locate_weights
from pannsdist.runtime.errors import BadDataset, SettingsError, candidates_line
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings
from pannsdist.training import metrics


def decide(settings: Settings, source: SettingsOrigin, catalog: Catalog, world_size: int) -> Plan:
    """The plan of a run. Raises UserError for whatever would not work; connects, builds and writes nothing.

    But the weights that the settings name are fetched, last of all, and only where everything else is as it should be.
    """
    refuse_contradictions(settings, source)
    model = choose_model(settings, source, catalog)
    feature = choose_feature(settings, model, source, catalog)
    weights = locate_weights(settings.model.weights, model, source)
    check_front_end(model, feature, weights, settings.model.weights)
    optimizer = choose_optimizer(settings, source, catalog)
    schedule = choose_schedule(settings, source, catalog)
    augmentations = choose_augmentations(settings, source, catalog)
    trackers = choose_trackers(settings, source, catalog)
    _check_batch_size(settings.train.batch_size, world_size, source)
    refuse_shares(settings, source, world_size)
    data = choose_data(settings, source, catalog, (TRAIN, VALID))
    further = choose_metrics(settings.metrics, source, catalog, data)
    training_plugins = TrainingPlugins(further, optimizer, schedule)
    metric, higher_is_better = choose_metric(settings.select.metric, data, training_plugins, source, catalog)
    refuse_misfits(settings, source, data.labels, data.multi_label)
    _check_leaks(data)
    train, valid = subset.shortened(data.splits[TRAIN], data.splits[VALID], settings, source)
    data = replace(data, splits={TRAIN: train, VALID: valid})
    how = (metric, higher_is_better, world_size, training_plugins, trackers)
    plan = Plan(settings, data, feature, model, augmentations, weights, *how)
    _check_lengths(plan, source)
    refuse_lengths(settings, source, plan.steps, plan.warmup_steps, plan.run_length.total_steps)
    refuse_odd_rates(schedule, plan.run_length.total_steps - plan.warmup_steps, plan.steps)
    refuse_impossible_augmentation(
        settings, source, feature if plan.masks_features else None, data.splits[TRAIN].targets
    )
    fetch_weights(settings.model.weights, model)
    return plan


def _check_leaks(data: Data) -> None:
    train, valid = ({clip.id for clip in data.splits[name].clips} for name in (TRAIN, VALID))
    shared = sorted(train & valid)
    if shared:
        wrong = f"{len(shared)} clips are in {TRAIN} and in {VALID}, such as '{shared[0]}'"
        raise BadDataset(wrong, "a score over clips that were trained on says nothing")


def choose_metric(
    asked: str, data: Data, training_plugins: TrainingPlugins, source: SettingsOrigin, catalog: Catalog
) -> tuple[str, bool]:
    """(split/metric, whether higher is better) that selects the best model."""
    every = [*metrics.metrics_for(data.multi_label, len(data.labels)).values(), *training_plugins.further_metrics]
    computed = {f"{VALID}/{metric.name}": metric for metric in every}
    name = asked or f"{VALID}/" + ("mean_average_precision" if data.multi_label else "accuracy")
    if name not in computed:
        wrong = f"no score '{name}' is computed ({source.where('select.metric')})"
        right = candidates_line(name, computed, "computed")
        plugin = name.removeprefix(f"{VALID}/")
        if plugin in catalog.metrics.entries:
            origins = " and ".join(str(entry.origin) for entry in catalog.metrics.entries[plugin])
            right = f"{origins} offers it, but the settings do not name it: metrics.{plugin}={{}}"
        raise SettingsError(wrong, right, source.command)
    return name, computed[name].higher_is_better


def _check_batch_size(batch_size: int, world_size: int, source: SettingsOrigin) -> None:
    if batch_size % world_size:
        below, above = batch_size // world_size * world_size, -(-batch_size // world_size) * world_size
        nearest = " or ".join(str(size) for size in (below, above) if size)
        wrong = f"{source.where('train.batch_size')} is {batch_size}, which {world_size} processes cannot share equally"
        raise SettingsError(wrong, f"it is the batch of all processes together; nearest: {nearest}", source.command)


def _check_lengths(plan: Plan, source: SettingsOrigin) -> None:
    rate_hz, name = plan.front_end.sample_rate_hz, plan.model.entry.name
    minimum = plan.model.plugin.minimum_samples(plan.front_end)
    for key, crop_s in (("train.crop_s", plan.settings.train.crop_s), ("valid.crop_s", plan.valid_crop_s)):
        if round(crop_s * rate_hz) < minimum:
            wrong = f"{source.where(key)} is {crop_s:g} s, {round(crop_s * rate_hz)} samples at {rate_hz} Hz"
            right = f"{name} needs at least {minimum} samples, {minimum / rate_hz:.3f} s"
            raise SettingsError(wrong, right, source.command)
    clips, batch_size = len(plan.data.splits[TRAIN]), plan.settings.train.batch_size
    if clips < plan.clips_of_step:
        twice = " and mixup.pairs=panns takes two" if plan.clips_of_step > batch_size else ""
        wrong = (
            f"{source.where('train.batch_size')} is {batch_size}{twice}, but there are only {clips} clips to train on"
        )
        size = clips * batch_size // plan.clips_of_step // plan.world_size * plan.world_size
        raise SettingsError(wrong, f"at most {size}" if size else "fewer processes, or more clips", source.command)
