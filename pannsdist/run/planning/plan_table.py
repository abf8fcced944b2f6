"""A plan as text: the table that a run and `--dry-run` print."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pannsdist.audio.workers.count import AUTO
from pannsdist.run.planning import frames, frozen_body, kept_features, subset, waveforms
from pannsdist.run.planning.data import TEST, TRAIN, VALID
from pannsdist.run.planning.padding import CropFit, crop_fits, length_lines, padding_warnings, refusal_warnings
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.weights import awaited_download
from pannsdist.runtime import cpu

SAMPLED = {
    "balanced": "every class equally often",
    "weighted": "drawn with the inverse of the class size as weight",
}
"""What `train.sampling` means where an epoch is not every clip once."""


def plan_table(plan: Plan) -> str:
    """One line per property of the run. Reads the headers of some clips; rank 0 only."""
    return "\n".join(f"{name:<10} {text}" for name, text in _rows(plan).items())


def subset_note(plan: Plan) -> str:
    """How the run is limited to a subset of the data; empty for a full run."""
    return subset.description(plan.settings, plan.lengths.epoch_steps, len(plan.data.splits[VALID]))


def _rows(plan: Plan) -> dict[str, str]:
    fits = crop_fits(plan)
    train_fit = next((fit for fit in fits if fit.split == TRAIN), None)
    settings, plugins, lengths, data = plan.settings, plan.plugins, plan.lengths, plan.data
    batch_size, front_end = settings.train.batch_size, plan.front_end
    best, direction = plan.best_metric.name, "higher" if plan.best_metric.higher_is_better else "lower"
    rows = {
        "run": str(Path(settings.runs) / settings.name),
        "model": f"{plugins.model}, {plan.weights.name if plan.weights else 'random weights'}",
        "weights": awaited_download(settings.model.weights, plugins.model, plan.weights),
        "feature": f"{plugins.feature}: {front_end.sample_rate_hz} Hz, {front_end.bins} bins",
        "data": f"{data.part}: {_dataset(plan)}",
        "left out": _below(map(str, plugins.skipped)),
        TRAIN: f"{lengths.clips} clips, {lengths.train_crop_s:g} s of each{_sampling(plan)}{_padding(plan)}",
        "events": _listed(frames.remarks(settings, plan.frames, plugins, data)),
        "augment": "; ".join(frozen_body.changes(plan)) or "nothing",
        VALID: _valid(plan),
        TEST: "" if data.test is None else f"{len(data.test)} clips, evaluated once, with the best model",
        "lengths": _below(length_lines(fits)),
        "warning": _below(_warnings(plan, fits)),
        "note": _listed(data.notes),
        "cache": waveforms.chosen(plan, fits).text,
        "features": kept_features.described(plan, train_fit),
        "batch": f"{batch_size} = {plan.world_size} x {batch_size // plan.world_size}",
        "length": _listed([_length(plan), subset_note(plan)]),
        "frozen": frozen_body.described(plan, train_fit),
        "optimizer": _optimizer(plan),
        "kernels": str(plan.kernels),
        "workers": _workers(plan),
        "metrics": _listed(map(str, plugins.metrics.values())),
        "trackers": _listed(map(str, plugins.trackers.values())) or "none; scores are in the run folder",
        "best by": "" if settings.train.all_clips else f"{best}, {direction} is better",
    }
    return {name: text for name, text in rows.items() if text}


def _valid(plan: Plan) -> str:
    if plan.settings.train.all_clips:
        return "no clips: all are trained on (train.all_clips), and the last epoch is the model"
    return f"{len(plan.data.splits[VALID])} clips, {plan.lengths.valid_crop_s:g} s of each{_unpadded(plan)}"


def _warnings(plan: Plan, fits: list[CropFit]) -> list[str]:
    rate_hz, plugins = plan.front_end.sample_rate_hz, plan.plugins
    can_group = plugins.padded_samples < round(plan.lengths.train_crop_s * rate_hz)
    of_padding = padding_warnings(fits, plugins.minimum_samples / rate_hz, can_group)
    return of_padding + refusal_warnings(fits, plan.settings.data.on_bad_clip)


def _dataset(plan: Plan) -> str:
    missing = len(getattr(plan.data.part.plugin, "missing", ()))
    several = ", several labels a clip" if plan.data.multi_label else ""
    skipped = f"; {missing} listed clips have no file and are left out" if missing else ""
    return f"{len(plan.data.labels)} classes{several}{skipped}"


def _sampling(plan: Plan) -> str:
    sampling, lengths = plan.settings.train.sampling, plan.lengths
    if sampling in SAMPLED:
        return f"; {sampling}: {SAMPLED[sampling]}"
    unused = lengths.clips - lengths.epoch_steps * lengths.step_clips
    return f"; {unused} left out of each epoch, others each time" if unused else ""


def _padding(plan: Plan) -> str:
    return "; batches by length, padded to their longest clip" if plan.groups_by_length else ""


def _unpadded(plan: Plan) -> str:
    return "; one at a time, not padded" if plan.groups_by_length else ""


def _workers(plan: Plan) -> str:
    if not plan.workers:
        return "none: each process reads its clips itself"
    by = f"; for {cpu.cores()} cores" if plan.settings.data.workers == AUTO else ""
    return f"{plan.workers} of each process{by}"


def _length(plan: Plan) -> str:
    train = plan.settings.train
    parts = [f"{train.epochs} epochs of {plan.lengths.epoch_steps} steps"]
    parts += [f"at most {train.max_steps} steps"] if train.max_steps else []
    parts += [f"at most {train.max_minutes:g} minutes"] if train.max_minutes else []
    return ", ".join(parts)


def _optimizer(plan: Plan) -> str:
    optimizer, schedule = plan.settings.optimizer, plan.settings.schedule
    warmup = f"{schedule.warmup_steps} steps" if schedule.warmup_steps else f"{schedule.warmup_epochs:g} epochs"
    return (
        f"{plan.plugins.optimizer or optimizer.name}, learning rate {optimizer.learning_rate:g}, "
        f"{plan.plugins.schedule or schedule.name} after {warmup} of warm-up"
    )


def _below(texts: Iterable[str]) -> str:
    """Each text on a line of its own, below the first."""
    return f"\n{'':<11}".join(texts)


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(filter(None, texts))
