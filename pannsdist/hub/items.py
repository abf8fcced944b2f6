"""Batches from a map-style dataset. Axes: B batch, S samples, T frames, F bins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pannsdist.audio.batch_reading import Empty
from pannsdist.audio.batches import Shard
from pannsdist.audio.chunks import resample
from pannsdist.audio.loader import Loader
from pannsdist.audio.loudness import refusal
from pannsdist.audio.verdicts import rate_fault
from pannsdist.contracts import FrontEnd
from pannsdist.contracts.batch import Batch
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import UserError

Collate = Callable[[list[Any]], Sequence[Any]]
IN_WORKER: list[Items] = []
"""The worker's copy of the items, sent once and not with every batch."""


@dataclass(frozen=True)
class InputSpec:
    """The input of a network: its front end, minimum length in samples, and number of classes."""

    front_end: FrontEnd
    minimum_samples: int
    classes: int

    @property
    def minimum_frames(self) -> int:
        """The minimum number of feature frames."""
        return 1 + self.minimum_samples // max(1, self.front_end.hop_samples)


@dataclass(frozen=True)
class Items:
    """A dataset of (features (T, F) or waveform (S,), label), validated and batched for a network.

    `collate` turns a list of items into (features, labels), as in `paddle.io.DataLoader`; without it all items of a
    batch must have the same shape. Waveforms are resampled from the dataset's `sample_rate`, in Hz.
    """

    dataset: Any
    input_spec: InputSpec
    collate: Collate | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def loader(self, workers: int) -> Loader:
        """A loader with this number of worker processes; 0 reads in this process."""
        return Loader(workers, _read_in_worker, partial(_hold_in_worker, self)) if workers else Loader(0, self.read)

    def read(self, rows: Sequence[int], empty: Empty = np.empty) -> Batch:
        """A batch of the items with these indices, in what `empty` gives.

        Raises UserError for an item that does not fit the network.
        """
        items: Sequence[Any] = [self.dataset[int(row)] for row in rows]
        if self.collate:
            features, labels = (np.asarray(part) for part in self.collate(list(items))[:2])
            if len(features) != len(rows) or len(labels) != len(rows):
                wrong = f"collate_fn returned {len(features)} features and {len(labels)} labels for {len(rows)} items"
                raise UserError(wrong, "it must return (features, labels), both with one row per item")
            items = list(zip(features, labels, strict=True))
        checked = [self._checked(item[0], item[1], row) for item, row in zip(items, rows, strict=True)]
        shapes = sorted({array.shape for array, _ in checked})
        if len(shapes) > 1:
            wrong = f"items of one batch differ in shape, such as {shapes[0]} and {shapes[1]}"
            raise UserError(wrong, "batch_size=1, or a collate_fn that cuts or pads them")
        arrays, targets = zip(*checked, strict=True)
        stacked = np.stack(arrays, out=empty((len(arrays), *arrays[0].shape), np.float32))
        return Batch(tuple(str(row) for row in rows), stacked, np.array(targets, np.int64))

    def seconds(self) -> float:
        """The duration of the first item."""
        shape, front_end = self.read([0]).waveforms.shape, self.input_spec.front_end
        samples = shape[1] if len(shape) == 2 else (shape[1] - 1) * front_end.hop_samples
        return float(samples / front_end.sample_rate_hz)

    def _checked(self, features: Any, label: Any, row: int) -> tuple[np.ndarray, int]:
        array, target = np.asarray(features, np.float32), np.asarray(label).reshape(-1)
        what = f"item {row} of {type(self.dataset).__name__}"
        if (
            target.size != 1
            or not np.issubdtype(target.dtype, np.integer)
            or not 0 <= target[0] < self.input_spec.classes
        ):
            raise UserError(f"{what} has the label {label}", f"an integer from 0 to {self.input_spec.classes - 1}")
        if not np.isfinite(array).all() or array.size == 0:
            raise UserError(f"{what} is empty or has NaN or infinite values")
        if array.ndim == 1:
            return self._waveform(array, what), int(target[0])
        bins, kind = self.input_spec.front_end.bins, self.input_spec.front_end.kind
        if kind == "waveform" or array.ndim != 2 or array.shape[1] != bins:
            right = "waveforms (samples,)" if kind == "waveform" else f"features (frames, {bins}), or a waveform"
            raise UserError(f"{what} has the shape {array.shape}", f"the network takes {right}")
        if len(array) < self.input_spec.minimum_frames:
            raise UserError(
                f"{what} has {len(array)} frames", f"the network needs at least {self.input_spec.minimum_frames}"
            )
        return array, int(target[0])

    def _waveform(self, samples: np.ndarray, what: str) -> np.ndarray:
        rate_hz = getattr(self.dataset, "sample_rate", None)
        if rate_hz is None:
            raise UserError(
                f"{what} is a waveform of unknown sample rate", "add an attribute `sample_rate` in Hz to the dataset"
            )
        if rate_fault(rate_hz):
            raise UserError(f"{what}: {rate_fault(rate_hz)}", "correct the dataset's attribute `sample_rate`")
        if why := refusal(samples):
            raise UserError(f"{what}: {why}")
        mono = resample(samples, int(rate_hz), self.input_spec.front_end.sample_rate_hz)
        return np.pad(mono, (0, max(0, self.input_spec.minimum_samples - len(mono))))


@contextmanager
def opened(items: Items, workers: int) -> Iterator[Loader]:
    """A loader whose workers end with the block."""
    if workers < 0:
        raise UserError(f"num_workers is {workers}", "allowed: 0 or more")
    loader = items.loader(workers)
    try:
        yield loader
    finally:
        loader.close()


def _hold_in_worker(items: Items) -> None:
    IN_WORKER.append(items)


def _read_in_worker(rows: Sequence[int], empty: Empty) -> Batch:
    return IN_WORKER[-1].read(rows, empty)


@dataclass(frozen=True)
class TrainingRows:
    """The items that each process reads in each step; `batch_size` is per process.

    Items are shuffled in each epoch, and the last batch may be smaller. A remainder of fewer items than processes is
    dropped, different items in each epoch.
    """

    count: int
    batch_size: int
    shard: Shard
    seed: int

    @property
    def all_items(self) -> int:
        """Items per step over all processes."""
        return self.batch_size * self.shard.size

    @property
    def steps(self) -> int:
        """Steps per epoch, equal in all processes."""
        return self.count // self.all_items + (self.count % self.all_items >= self.shard.size)

    def __str__(self) -> str:
        return f"{self.steps} steps per epoch, {self.all_items} items per step"

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[np.ndarray]:
        """The rows of each step of an epoch (counted from 1), starting after `first_step` steps."""
        order = seeding.epoch_order(self.count, self.seed, epoch)
        for step in range(first_step, self.steps):
            together = order[step * self.all_items : (step + 1) * self.all_items]
            yield np.array_split(together, self.shard.size)[self.shard.rank]


def evaluation_rows(count: int, batch_size: int, shard: Shard) -> Iterator[range]:
    """The rows of this process. Batches are distributed round-robin, so that each item is read exactly once."""
    for first in range(shard.rank * batch_size, count, shard.size * batch_size):
        yield range(first, min(count, first + batch_size))
