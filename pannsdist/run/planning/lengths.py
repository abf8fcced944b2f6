"""The lengths of a run in steps, clips and seconds: arithmetic on the settings and the number of clips."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.audio.mixup import Mixup
from pannsdist.audio.sampling import epoch_steps
from pannsdist.run.planning.selection import Plugins
from pannsdist.run.planning.training_plugins import refuse_invalid_lr_factors
from pannsdist.runtime.errors import SettingsError, at_least
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings
from pannsdist.training.run_length import RunLength


@dataclass(frozen=True)
class Lengths:
    """The lengths of a run. `clips` are those of the training split, `step_clips` those that one step uses up."""

    run: RunLength
    clips: int
    step_clips: int
    warmup_steps: int
    hold_steps: int
    train_crop_s: float
    valid_crop_s: float
    min_clip_s: float

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch."""
        return self.run.steps

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.run.total_steps


def run_lengths(settings: Settings, clips: int, mixup: Mixup | None, minimum_s: float) -> Lengths:
    """The lengths of a run on `clips` training clips; `minimum_s` is the shortest input of the network in seconds."""
    train, schedule = settings.train, settings.schedule
    step_clips = train.batch_size * (mixup.clips_of_output if mixup else 1)
    steps = epoch_steps(clips, step_clips, train.limit_steps)
    run = RunLength(
        epochs=train.epochs,
        steps=steps,
        seed=settings.seed,
        report_every_steps=settings.log.every_steps,
        max_steps=train.max_steps,
        max_minutes=train.max_minutes,
        patience_epochs=train.patience_epochs,
        max_bad_steps=train.max_bad_steps,
        save_every_steps=settings.save.every_steps,
        save_every_minutes=settings.save.every_minutes,
    )
    return Lengths(
        run,
        clips,
        step_clips,
        warmup_steps=schedule.warmup_steps or round(schedule.warmup_epochs * steps),
        hold_steps=round(schedule.hold_epochs * steps),
        train_crop_s=train.crop_s,
        valid_crop_s=settings.valid.crop_s or train.crop_s,
        min_clip_s=minimum_s if settings.data.min_clip_s is None else settings.data.min_clip_s,
    )


def refuse_lengths(
    lengths: Lengths, settings: Settings, origin: SettingsOrigin, plugins: Plugins, world_size: int
) -> None:
    """Raise SettingsError for crops, batches or a warm-up of an impossible length.

    Raises BrokenPlugin for a schedule plugin without a valid learning rate factor at every step.
    """
    _refuse_short_crops(lengths, origin, plugins)
    if settings.train.group_by_length:
        _refuse_one_length(lengths, origin, plugins)
    _refuse_large_batch(lengths, settings.train.batch_size, world_size, origin)
    _refuse_long_warmup(lengths, settings, origin)
    if plugins.schedule:
        steps_after_warmup = lengths.total_steps - lengths.warmup_steps
        refuse_invalid_lr_factors(plugins.schedule, steps_after_warmup, lengths.epoch_steps)


def _refuse_short_crops(lengths: Lengths, origin: SettingsOrigin, plugins: Plugins) -> None:
    for key, crop_s in (("train.crop_s", lengths.train_crop_s), ("valid.crop_s", lengths.valid_crop_s)):
        refuse_short_crop(key, crop_s, origin, plugins)


def refuse_short_crop(key: str, crop_s: float, origin: SettingsOrigin, plugins: Plugins) -> None:
    """Raise SettingsError for a crop, the setting `key`, that is shorter than the shortest input of the network."""
    rate_hz, minimum = plugins.front_end.sample_rate_hz, plugins.minimum_samples
    if round(crop_s * rate_hz) < minimum:
        wrong = f"{origin.where(key)} is {crop_s:g} s, {round(crop_s * rate_hz)} samples at {rate_hz} Hz"
        right = f"{plugins.model.entry.name} needs {minimum} samples, {at_least(minimum / rate_hz)}"
        raise SettingsError(wrong, right, origin.command)


def _refuse_one_length(lengths: Lengths, origin: SettingsOrigin, plugins: Plugins) -> None:
    rate_hz, padded = plugins.front_end.sample_rate_hz, plugins.padded_samples
    if padded >= round(lengths.train_crop_s * rate_hz):
        pads = "needs at least" if padded == plugins.minimum_samples else "itself pads its input to"
        wrong = f"{origin.where('train.group_by_length')} is true, but {plugins.model.entry.name} {pads} {padded} "
        wrong += f"samples ({padded / rate_hz:.3f} s), and train.crop_s is {lengths.train_crop_s:g} s"
        right = "shorter batches would save nothing: train.group_by_length=false, or a longer train.crop_s"
        raise SettingsError(wrong, right, origin.command)


def _refuse_large_batch(lengths: Lengths, batch_size: int, world_size: int, origin: SettingsOrigin) -> None:
    clips, step_clips = lengths.clips, lengths.step_clips
    if clips < step_clips:
        twice = " and mixup.pairs=panns takes two" if step_clips > batch_size else ""
        wrong = f"{origin.where('train.batch_size')} is {batch_size}{twice}, but there are only {clips} clips "
        size = clips * batch_size // step_clips // world_size * world_size
        right = f"at most {size}" if size else "fewer processes, or more clips"
        raise SettingsError(f"{wrong}to train on", right, origin.command)


def _refuse_long_warmup(lengths: Lengths, settings: Settings, origin: SettingsOrigin) -> None:
    schedule, train, total = settings.schedule, settings.train, lengths.total_steps
    if lengths.warmup_steps + lengths.hold_steps > total:
        warmup = "warmup_epochs" if lengths.warmup_steps else "hold_epochs"
        key, limit = "warmup_steps" if schedule.warmup_steps else warmup, "epochs"
        if total == train.max_steps:
            limit = "max_steps"
        wrong = f"{origin.where(f'schedule.{key}')} is {getattr(schedule, key):g}, longer than the run: "
        wrong += f"{origin.where(f'train.{limit}')} is {getattr(train, limit)}, {total} steps"
        raise SettingsError(wrong, "a shorter warm-up (and schedule.hold_epochs), or more epochs", origin.command)
