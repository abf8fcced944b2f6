"""Where the batches of a run come from: the plans of audio, through the loader; and what is computed once a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from pannsdist.audio.augmentation import Augmentation
from pannsdist.audio.batches import ClipTable, EvaluationPlan, OverfitPlan, Shard, TrainingPlan
from pannsdist.audio.clip_lengths import SAMPLED_CLIPS, lengths_s
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.length_groups import length_groups
from pannsdist.audio.loader import Loader
from pannsdist.audio.waveform_cache import WaveformCache
from pannsdist.contracts.batch import Batch
from pannsdist.run.embeddings.frozen_body import FrozenBody
from pannsdist.run.embeddings.kept import KeptArrays
from pannsdist.run.planning.data import TRAIN
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.waveforms import INT16
from pannsdist.training.evaluator import SplitToEvaluate
from pannsdist.training.fit_context import TrainingData


@dataclass(frozen=True)
class Sources:
    """Where this process's batches come from; `clip_lengths_s` are those of `training_lengths_s`, `cache` of sounds.

    Embeddings of a `frozen_body` come before `features`.
    """

    loader: Loader
    shard: Shard
    clip_lengths_s: np.ndarray | None = None
    frozen_body: FrozenBody | None = None
    cache: WaveformCache | None = None
    features: KeptArrays | None = None

    def kept(self, epoch: int) -> FrozenBody | KeptArrays | None:
        """What stands in place of waveforms in an epoch, counted from 1, and in the evaluation after it."""
        return self.frozen_body if self.frozen_body and self.frozen_body.covers(epoch) else self.features


def training_lengths_s(plan: Plan, loader: Loader, mark: Callable[[str], None] = lambda _: None) -> np.ndarray | None:
    """The lengths of the training clips in seconds (N,), NaN where unknown; None if batches are not grouped by them.

    The loader's workers read the header of every file. Rank 0 only: a header may change while others read it. `mark`
    gets a line that says so, once in a while.
    """
    if not plan.groups_by_length:
        return None
    clips = plan.data.splits[TRAIN].clips
    parts = (tuple(clips[first : first + SAMPLED_CLIPS]) for first in range(0, len(clips), SAMPLED_CLIPS))
    read = []
    for some in loader.map(lengths_s, parts):
        read.append(some)
        mark("reading the headers of sound files")
    return np.concatenate(read)


def training_data(plan: Plan, sources: Sources) -> TrainingData:
    """This process's batches of every epoch, from a given step of the epoch on."""
    training, steps = _training(plan, sources), plan.lengths.epoch_steps

    def batches(epoch: int, first: int) -> Iterable[Batch]:
        requests = islice(training.requests(epoch, sources.shard, first), steps - first)
        kept = sources.kept(epoch)
        return kept.batches(requests) if kept else sources.loader.read(requests)

    return TrainingData(batches, steps)


def _training(plan: Plan, sources: Sources) -> TrainingPlan | OverfitPlan:
    chosen, clip_lengths_s = plan.settings, sources.clip_lengths_s
    table, reader = plan.data.splits[TRAIN], _reader(plan, plan.lengths.train_crop_s, sources.cache)
    skip_bad = chosen.data.on_bad_clip == "skip"
    grid = None if plan.frames is None else plan.frames.grid(plan.data.labels)
    if chosen.train.overfit_batches:
        return OverfitPlan(table, chosen.train.batch_size, reader, skip_bad, grid)
    groups = None
    if clip_lengths_s is not None:
        groups = length_groups(clip_lengths_s, reader.rate_hz, reader.crop_samples, plan.plugins.minimum_samples)
    return TrainingPlan(
        table,
        chosen.train.batch_size,
        chosen.seed,
        reader,
        skip_bad,
        chosen.train.sampling,
        tuple(Augmentation(key, p.params.probability, p.plugin) for key, p in plan.plugins.augmentations.items()),
        plan.mixup,
        groups,
        grid,
    )


def split_to_evaluate(name: str, table: ClipTable, plan: Plan, sources: Sources) -> SplitToEvaluate:
    """A split with this process's batches of it."""
    shard = sources.shard
    skip_bad = plan.settings.data.on_bad_clip == "skip"
    batch_size = 1 if plan.groups_by_length else plan.settings.valid.batch_size
    grid = None if plan.frames is None else plan.frames.grid(plan.data.labels)
    evaluation = EvaluationPlan(table, batch_size, valid_reader(plan, sources.cache), skip_bad, grid)

    def embedded(epoch: int) -> Iterable[Batch] | None:
        kept = sources.kept(epoch)
        return kept.batches(evaluation.requests(shard)) if kept else None

    def batches() -> Iterable[Batch]:
        return sources.loader.read(evaluation.requests(shard))

    of_frames = evaluation.events, evaluation.frame_s
    return SplitToEvaluate(name, evaluation.ids, batches, evaluation.groups, embedded, *of_frames)


def valid_reader(plan: Plan, cache: WaveformCache | None = None) -> ClipReader:
    """Reads a clip as the model folder's record says: padded to the crop, or no further than the network needs."""
    reader = _reader(plan, plan.lengths.valid_crop_s, cache)
    return replace(reader, pad_samples=plan.plugins.minimum_samples) if plan.groups_by_length else reader


def _reader(plan: Plan, crop_s: float, cache: WaveformCache | None) -> ClipReader:
    rate_hz, is_16_bit = plan.front_end.sample_rate_hz, plan.settings.data.cache_dtype == INT16
    return ClipReader(rate_hz, round(crop_s * rate_hz), plan.lengths.min_clip_s, cache=cache, is_16_bit=is_16_bit)
