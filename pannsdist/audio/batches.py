"""Clips become batches: which process reads which clips, and in what order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist import seeding
from pannsdist.audio.clips import ClipReader
from pannsdist.batch import Batch
from pannsdist.contracts import Clip
from pannsdist.errors import BadClip


@dataclass(frozen=True)
class Share:
    """This process's part: every batch of training in slices, every `size`-th batch of evaluation whole."""

    rank: int
    size: int


@dataclass(frozen=True)
class ClipTable:
    """The clips of a split and their targets: (N,) int64 class indices, or (N, C) float32 zeros and ones."""

    clips: Sequence[Clip]
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.clips)


def clip_table(clips: Sequence[Clip], labels: Sequence[str], multi_label: bool) -> ClipTable:
    """Labels become targets. The labels of every clip must be among `labels`, exactly one unless `multi_label`."""
    index = {label: number for number, label in enumerate(labels)}
    if not multi_label:
        return ClipTable(clips, np.array([index[clip.labels[0]] for clip in clips], np.int64))
    targets = np.zeros((len(clips), len(labels)), np.float32)
    for row, clip in enumerate(clips):
        targets[row, [index[label] for label in clip.labels]] = 1.0
    return ClipTable(clips, targets)


@dataclass(frozen=True)
class BatchOrder:
    """What a worker is asked for: these clips, as they are in this epoch (None: without randomness)."""

    clips: tuple[Clip, ...]
    targets: np.ndarray
    reader: ClipReader
    skip_bad: bool
    seed: int = 0
    epoch: int | None = None


def read_batch(order: BatchOrder) -> Batch:
    """Decode the clips of an order; runs in a worker. Raises BadClip unless bad clips are to be skipped."""
    kept, waveforms, bad = [], [], []
    for row, clip in enumerate(order.clips):
        generator = None if order.epoch is None else seeding.clip_generator(order.seed, order.epoch, clip.id)
        try:
            waveforms.append(order.reader.read(clip, generator))
            kept.append(row)
        except BadClip as error:
            if not order.skip_bad:
                raise
            bad.append(error)
    stacked = np.stack(waveforms) if waveforms else np.zeros((0, order.reader.crop_samples), np.float32)
    return Batch(tuple(order.clips[row].id for row in kept), stacked, order.targets[kept], tuple(bad))


@dataclass(frozen=True)
class TrainingPlan:
    """The batches of every training epoch: whole global batches in an order drawn for each epoch.

    The clips that do not fill a batch are left out of that epoch; they are others in each. `batch_size` is the global
    one, and every process reads its slice of every batch, so any number of processes sees the same batches.
    """

    table: ClipTable
    batch_size: int
    seed: int
    reader: ClipReader
    skip_bad: bool = False

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return len(self.table) // self.batch_size

    def orders(self, epoch: int, share: Share, first_step: int = 0) -> Iterator[BatchOrder]:
        """This process's part of each batch of an epoch (counted from 1), from a step of it on."""
        visited = seeding.epoch_order(len(self.table), self.seed, epoch)
        own = self.batch_size // share.size
        for step in range(first_step, self.steps):
            first = step * self.batch_size + share.rank * own
            rows = visited[first : first + own]
            clips = tuple(self.table.clips[row] for row in rows)
            yield BatchOrder(clips, self.table.targets[rows], self.reader, self.skip_bad, self.seed, epoch)


@dataclass(frozen=True)
class EvaluationPlan:
    """The batches of one pass over a split, each clip once, in the split's order.

    Batches are cut before they are dealt out, so that a clip meets the same neighbours, and gets the same score to the
    last digit, on any number of processes. Nothing is padded and nothing is repeated.
    """

    table: ClipTable
    batch_size: int
    reader: ClipReader
    skip_bad: bool = False

    @property
    def ids(self) -> list[str]:
        """The clips that must be answered for."""
        return [clip.id for clip in self.table.clips]

    def orders(self, share: Share) -> Iterator[BatchOrder]:
        """This process's batches."""
        for first in range(share.rank * self.batch_size, len(self.table), share.size * self.batch_size):
            rows = slice(first, first + self.batch_size)
            yield BatchOrder(tuple(self.table.clips[rows]), self.table.targets[rows], self.reader, self.skip_bad)
