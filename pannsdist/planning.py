"""The decision before anything is built: settings and plugins become a checked plan, with nothing connected.

Every process comes to the same verdict, so that a mistake in the settings ends all of them with the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pannsdist import trial
from pannsdist.audio.mixing import Mixup
from pannsdist.choosing import (
    Part,
    check_front_end,
    choose_augmentations,
    choose_feature,
    choose_model,
    choose_trackers,
    masks_itself,
    refuse_impossible_augmentation,
)
from pannsdist.chosen_data import Data, choose_data
from pannsdist.chosen_weights import fetch_weights, locate_weights
from pannsdist.contracts import FrontEnd
from pannsdist.contradictions import refuse_contradictions, refuse_lengths, refuse_misfits, refuse_shares
from pannsdist.deciders import Deciders, choose_metrics, choose_optimizer, choose_schedule, refuse_odd_rates
from pannsdist.errors import (
    BadDataset,
    SettingsError,
    candidates_line,
)
from pannsdist.registry import Catalog
from pannsdist.schema import Settings
from pannsdist.settings import Source
from pannsdist.training import metrics
from pannsdist.training.course import Course

TRAIN, VALID = "train", "valid"
SAMPLED = {"balanced": "every class equally often", "weighted": "a clip by the inverse of its class's size"}
"""What an epoch takes where it is not every clip once."""


@dataclass(frozen=True)
class Plan:
    """Everything that a run is, before anything of it exists."""

    settings: Settings
    data: Data
    feature: Part
    model: Part
    augmentations: Mapping[str, Part]
    weights: Path | None
    metric: str
    higher_is_better: bool
    world_size: int
    deciders: Deciders
    trackers: Mapping[str, Part]

    @property
    def front_end(self) -> FrontEnd:
        """What the network hears."""
        front_end: FrontEnd = self.feature.plugin.front_end
        return front_end

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        steps = len(self.data.splits[TRAIN]) // self.clips_of_step
        return min(steps, self.settings.train.limit_steps or steps)

    @property
    def mixup(self) -> Mixup | None:
        """How training clips are mixed."""
        chosen, is_mixed = self.settings.mixup, not self.settings.train.overfit_batches
        return (
            Mixup(chosen.alpha, chosen.pairs, chosen.domain, len(self.data.labels))
            if chosen.alpha and is_mixed
            else None
        )

    @property
    def masks_features(self) -> bool:
        """Whether stripes are left out of the features, since the network has no place of its own for that."""
        return bool(self.settings.train.spec_augment) and not masks_itself(self.model)

    @property
    def augmented_by(self) -> list[str]:
        """What changes the training clips beside the crop, in its order, in words."""
        if self.settings.train.overfit_batches:
            return []
        has_stripes = self.masks_features or getattr(self.model.params, "spec_augment", False)
        stripes = ["SpecAugment"] if has_stripes else []
        return [*map(str, self.augmentations.values()), *stripes, *([str(self.mixup)] if self.mixup else [])]

    @property
    def clips_of_step(self) -> int:
        """Clips that a step uses up."""
        return self.settings.train.batch_size * (self.mixup.clips_of_output if self.mixup else 1)

    @property
    def score_names(self) -> list[str]:
        """Every score of an epoch."""
        computed = metrics.metrics_for(self.data.multi_label, len(self.data.labels))
        return ["train/loss", *(f"{VALID}/{name}" for name in (*computed, *self.deciders.metrics))]

    @property
    def course(self) -> Course:
        """How long the run is, and when something is told or saved."""
        train, save = self.settings.train, self.settings.save
        return Course(
            train.epochs,
            self.steps,
            self.settings.seed,
            self.settings.log.every_steps,
            train.max_steps,
            train.max_minutes,
            train.patience_epochs,
            train.max_bad_steps,
            save.every_steps,
            save.every_minutes,
        )

    @property
    def warmup_steps(self) -> int:
        """Steps in which the learning rate rises, as the settings say."""
        shape = self.settings.schedule
        return shape.warmup_steps or round(shape.warmup_epochs * self.steps)

    @property
    def further_parts(self) -> dict[str, Part]:
        """The plugins beside model, feature and dataset, by the key of the settings that names each."""
        augmentations = {f"augment.{name}": part for name, part in self.augmentations.items()}
        return augmentations | self.deciders.by_key

    @property
    def _warmup(self) -> str:
        steps = self.settings.schedule.warmup_steps
        return f"{steps} steps" if steps else f"{self.settings.schedule.warmup_epochs:g} epochs"

    @property
    def valid_crop_s(self) -> float:
        """Seconds of each clip that an evaluation hears."""
        return self.settings.valid.crop_s or self.settings.train.crop_s

    @property
    def min_clip_s(self) -> float:
        """Below this a clip is refused."""
        chosen = self.settings.data.min_clip_s
        minimum: int = self.model.plugin.minimum_samples(self.front_end)
        return minimum / self.front_end.sample_rate_hz if chosen is None else chosen

    @property
    def trial(self) -> str:
        """What is left out on purpose; empty for a run in earnest."""
        return trial.description(self.settings, self.steps, len(self.data.splits[VALID]))

    def __str__(self) -> str:
        chosen, train = self.settings, self.data.splits[TRAIN]
        left_out = len(train) - self.steps * self.clips_of_step
        missing = len(getattr(self.data.part.plugin, "missing", ()))
        taken = f"; {left_out} left out of each epoch, others each time" if left_out else ""
        if chosen.train.sampling in SAMPLED:
            taken = f"; {chosen.train.sampling}: {SAMPLED[chosen.train.sampling]}"
        rows = {
            "run": str(Path(chosen.runs) / chosen.name),
            "model": f"{self.model}, {self.weights.name if self.weights else 'random weights'}",
            "feature": f"{self.feature}: {self.front_end.sample_rate_hz} Hz, {self.front_end.bins} bins",
            "data": f"{self.data.part}: {len(self.data.labels)} classes"
            + (", several labels a clip" if self.data.multi_label else "")
            + (f"; {missing} listed clips have no file and are left out" if missing else ""),
            TRAIN: f"{len(train)} clips, {chosen.train.crop_s:g} s of each" + taken,
            "augment": "; ".join(self.augmented_by) or "nothing",
            VALID: f"{len(self.data.splits[VALID])} clips, {self.valid_crop_s:g} s of each",
            "batch": f"{chosen.train.batch_size} = {self.world_size} x {chosen.train.batch_size // self.world_size}",
            "length": trial.length(chosen.train, self.steps) + (f"; {self.trial}" if self.trial else ""),
            "optimizer": f"{self.deciders.optimizer or chosen.optimizer.name}, "
            f"learning rate {chosen.optimizer.learning_rate:g}, "
            f"{self.deciders.schedule or chosen.schedule.name} after {self._warmup} of warm-up",
            **({"metrics": "; ".join(map(str, self.deciders.metrics.values()))} if self.deciders.metrics else {}),
            "watched in": "; ".join(map(str, self.trackers.values())) or "nothing but the run's own files",
            "best by": f"{self.metric}, {'higher' if self.higher_is_better else 'lower'} is better",
        }
        return "\n".join(f"{name:<10} {text}" for name, text in rows.items())


def decide(settings: Settings, source: Source, catalog: Catalog, world_size: int) -> Plan:
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
    deciders = Deciders(further, optimizer, schedule)
    metric, higher_is_better = choose_metric(settings.select.metric, data, deciders, source, catalog)
    refuse_misfits(settings, source, data.labels, data.multi_label)
    _check_leaks(data)
    train, valid = trial.shortened(data.splits[TRAIN], data.splits[VALID], settings, source)
    data = replace(data, splits={TRAIN: train, VALID: valid})
    how = (metric, higher_is_better, world_size, deciders, trackers)
    plan = Plan(settings, data, feature, model, augmentations, weights, *how)
    _check_lengths(plan, source)
    refuse_lengths(settings, source, plan.steps, plan.warmup_steps, plan.course.total_steps)
    refuse_odd_rates(schedule, plan.course.total_steps - plan.warmup_steps, plan.steps)
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


def choose_metric(asked: str, data: Data, deciders: Deciders, source: Source, catalog: Catalog) -> tuple[str, bool]:
    """(split/metric, whether higher is better) that selects the best model."""
    every = [*metrics.metrics_for(data.multi_label, len(data.labels)).values(), *deciders.further_metrics]
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


def _check_batch_size(batch_size: int, world_size: int, source: Source) -> None:
    if batch_size % world_size:
        below, above = batch_size // world_size * world_size, -(-batch_size // world_size) * world_size
        nearest = " or ".join(str(size) for size in (below, above) if size)
        wrong = f"{source.where('train.batch_size')} is {batch_size}, which {world_size} processes cannot share equally"
        raise SettingsError(wrong, f"it is the batch of all processes together; nearest: {nearest}", source.command)


def _check_lengths(plan: Plan, source: Source) -> None:
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
