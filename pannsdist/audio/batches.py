"""Which process reads which clips, in which order, in training and in evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from pannsdist.audio.augmentation import Augmentation
from pannsdist.audio.batch_reading import BatchRandomness, BatchRequest
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.frame_targets import FrameGrid
from pannsdist.audio.length_groups import LengthGroups
from pannsdist.audio.mixup import Mixup, mixup_pairs
from pannsdist.audio.sampling import epoch_indices, epoch_steps, occurrences
from pannsdist.audio.targets import MultiHot
from pannsdist.contracts import Clip, Event
from pannsdist.contracts.clip_lists import ClipList, Ragged, events_of, groups_of, ids_of, taken
from pannsdist.runtime import seeding


@dataclass(frozen=True)
class Shard:
    """This process's shard: a slice of every training batch, and every `size`-th evaluation batch whole."""

    rank: int
    size: int

    def of_batch(self, batch_size: int) -> slice:
        """The rows of a global training batch that this process reads; `batch_size` is a multiple of `size`."""
        local_size = batch_size // self.size
        return slice(self.rank * local_size, (self.rank + 1) * local_size)

    def evaluation_batches(self, count: int, batch_size: int) -> Iterator[slice]:
        """The rows of each evaluation batch that this process computes, of a split of `count` clips."""
        for first in range(self.rank * batch_size, count, self.size * batch_size):
            yield slice(first, min(first + batch_size, count))


@dataclass(frozen=True)
class ClipTable:
    """The clips of a split and their targets: (N,) int64 class indices, or several of each clip."""

    clips: Sequence[Clip]
    targets: np.ndarray | MultiHot

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: np.ndarray) -> ClipTable:
        """Some of the clips, in the order of `rows` (R,)."""
        targets = self.targets.take(rows) if isinstance(self.targets, MultiHot) else self.targets[rows]
        return ClipTable(taken(self.clips, rows), targets)

    def rows(self, rows: slice) -> tuple[Sequence[Clip], np.ndarray | MultiHot]:
        """The clips and the targets of some rows."""
        part = self.take(np.arange(*rows.indices(len(self))))
        return part.clips, part.targets

    def clips_of_class(self, classes: int) -> np.ndarray:
        """The number of clips of each class: (C,) int64."""
        if isinstance(self.targets, MultiHot):
            return self.targets.clips_of_class
        return np.bincount(self.targets, minlength=classes)


def clip_table(clips: Sequence[Clip], labels: Sequence[str], multi_label: bool) -> ClipTable:
    """Clips with targets. The labels of every clip must be among `labels`, exactly one of them unless `multi_label`."""
    columns = _columns(clips, {label: column for column, label in enumerate(labels)})
    if multi_label:
        return ClipTable(clips, MultiHot(columns, len(labels)))
    return ClipTable(clips, columns.values[columns.starts].astype(np.int64))


def _columns(clips: Sequence[Clip], index: Mapping[str, int]) -> Ragged:
    """The columns of the labels of each clip."""
    if isinstance(clips, ClipList):
        column_of = np.array([index.get(label, len(index)) for label in clips.label_names], np.int32)
        return Ragged(column_of[clips.labels.values], clips.labels.starts, clips.labels.ends)
    own = [[index[label] for label in clip.labels] for clip in clips]
    columns = np.fromiter(chain.from_iterable(own), np.int32)
    return Ragged.of_lengths(columns, np.fromiter(map(len, own), np.int64, len(own)))


EpochOrder = tuple[np.ndarray, np.ndarray]
"""The indices of the clips of an epoch in their order (N,), and how often the epoch had each clip before (N,)."""


@dataclass(frozen=True)
class TrainingPlan:
    """The batches of every training epoch: full global batches, in an order that differs in each epoch.

    The last, incomplete batch of an epoch is dropped. `batch_size` is the global one, and every process reads its slice
    of every batch, so the global batches are the same for any number of processes. `sampling` is shuffled, balanced or
    weighted; augmentations are applied after the crop, in order. With `groups` a global batch has clips of similar
    length, all of them as long as the longest one.
    """

    table: ClipTable
    batch_size: int
    seed: int
    reader: ClipReader
    skip_bad: bool = False
    sampling: str = "shuffled"
    augmentations: tuple[Augmentation, ...] = ()
    mixup: Mixup | None = None
    groups: LengthGroups | None = None
    grid: FrameGrid | None = None

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return epoch_steps(len(self.table), self._places)

    @property
    def _places(self) -> int:
        """Places of the epoch's order that a step uses up."""
        return self.batch_size * (self.mixup.clips_of_output if self.mixup else 1)

    def requests(self, epoch: int, shard: Shard, first_step: int = 0) -> Iterator[BatchRequest]:
        """This process's slice of each batch of an epoch (counted from 1), from step `first_step` (from 0) on."""
        yield from self.slices(self.order(epoch), epoch, shard, first_step)

    def slices(self, order: EpochOrder, epoch: int, shard: Shard, first_step: int = 0) -> Iterator[BatchRequest]:
        """`requests` with the order of the epoch, which is the same for every shard."""
        indices, counts = order
        local = shard.of_batch(self.batch_size)
        for step in range(first_step, self.steps):
            first, partners = step * self._places, None
            reader = self._reader(indices[first : first + self._places])
            if self.mixup:
                positions = np.arange(first, first + self._places)
                generator = seeding.step_generator(self.seed, epoch, step, "pairs")
                firsts, seconds = (part[local] for part in mixup_pairs(self.mixup, positions, generator))
                positions, partners = _with_partners(firsts, seconds)
            else:
                positions = np.arange(first + local.start, first + local.stop)
            randomness = BatchRandomness(self.seed, epoch, counts[positions], self.augmentations, self.mixup, partners)
            rows = self.table.take(indices[positions])
            grid = self.grid and self.grid.of_clips(rows.clips)
            yield BatchRequest(rows.clips, rows.targets, reader, self.skip_bad, randomness, grid)

    def order(self, epoch: int) -> EpochOrder:
        """The clips of an epoch in their order, and how often each was before."""
        indices = epoch_indices(self.table.targets, self.sampling, self.seed, epoch)
        if self.groups is not None:
            indices = self.groups.order(indices, self._places, self.seed, epoch)
        return indices, np.zeros_like(indices) if self.sampling == "shuffled" else occurrences(indices)

    def _reader(self, indices: np.ndarray) -> ClipReader:
        """The reader of the global batch of these clips."""
        if self.groups is None:
            return self.reader
        return replace(self.reader, crop_samples=self.groups.batch_samples(indices))


def _with_partners(firsts: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R positions, (B) rows of the partners): the firsts, then the partners that are not among them."""
    positions = np.concatenate([firsts, np.setdiff1d(seconds, firsts)])
    row_of = {int(position): row for row, position in enumerate(positions)}
    return positions, np.array([row_of[int(position)] for position in seconds], np.int64)


@dataclass(frozen=True)
class OverfitPlan:
    """The same batches in the same order in every epoch, without random crop and without augmentation.

    A model that cannot overfit these will not learn the whole data set either.
    """

    table: ClipTable
    batch_size: int
    reader: ClipReader
    skip_bad: bool = False
    grid: FrameGrid | None = None

    def requests(self, epoch: int, shard: Shard, first_step: int = 0) -> Iterator[BatchRequest]:  # noqa: ARG002
        """This process's slice of each batch, from step `first_step` (from 0) on; the same in every epoch."""
        local = shard.of_batch(self.batch_size)
        for first in range(first_step * self.batch_size, len(self.table), self.batch_size):
            rows = slice(first + local.start, first + local.stop)
            yield _unchanged(self, rows)


@dataclass(frozen=True)
class EvaluationPlan:
    """The batches of one pass over a split: each clip once, in the order of the split.

    Whole batches are assigned to processes, so that a clip is always computed in the same batch, and its score is the
    same to the last digit on any number of processes. No padding, no clip twice.
    """

    table: ClipTable
    batch_size: int
    reader: ClipReader
    skip_bad: bool = False
    grid: FrameGrid | None = None

    @property
    def ids(self) -> list[str]:
        """The clips of the whole split, of which each must get a prediction or be reported as bad."""
        return list(ids_of(self.table.clips))

    @property
    def events(self) -> list[tuple[Event, ...] | None]:
        """The events of each clip, None of one that is not strongly labelled; empty without a grid."""
        return list(events_of(self.table.clips)) if self.grid else []

    @property
    def frame_s(self) -> float:
        """The length of a frame in seconds; 0 without a grid."""
        return self.grid.frame_samples / self.grid.rate_hz if self.grid else 0.0

    @property
    def groups(self) -> list[str]:
        """The group of each clip; empty if every clip is its own."""
        groups = groups_of(self.table.clips)
        return [group or name for group, name in zip(groups, self.ids, strict=bool(groups))]

    def requests(self, shard: Shard) -> Iterator[BatchRequest]:
        """This process's batches."""
        for rows in shard.evaluation_batches(len(self.table), self.batch_size):
            yield _unchanged(self, rows)


def _unchanged(plan: OverfitPlan | EvaluationPlan, rows: slice) -> BatchRequest:
    """Some rows of a plan from their start, without augmentation."""
    clips, targets = plan.table.rows(rows)
    return BatchRequest(clips, targets, plan.reader, plan.skip_bad, grid=plan.grid and plan.grid.of_clips(clips))
