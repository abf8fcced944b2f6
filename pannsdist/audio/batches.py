"""Clips become batches: which process reads which clips, and in what order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.augmentation import Augmentation, augmented
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.mixup import Mixup, partners_of
from pannsdist.audio.sampling import epoch_steps, occurrences, visited
from pannsdist.contracts import Clip
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class Shard:
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
class OrderRandomness:
    """The randomness of an order: each clip's is a function of (seed, epoch, id, occurrence).

    `occurrences` (R) count how often the epoch has met each clip before. With mixup the first B clips are those that
    come out, and `partners` (B) are the rows that are mixed into them.
    """

    seed: int
    epoch: int
    occurrences: np.ndarray
    augmentations: tuple[Augmentation, ...] = ()
    mixup: Mixup | None = None
    partners: np.ndarray | None = None

    def generator(self, clip: Clip, row: int, use: str) -> np.random.Generator:
        """The randomness of one use of the clip of a row."""
        return seeding.clip_generator(self.seed, self.epoch, clip.id, use, int(self.occurrences[row]))


@dataclass(frozen=True)
class BatchOrder:
    """What a worker is asked for: these clips (R) with their targets (R, ...), without `randomness` as they are."""

    clips: tuple[Clip, ...]
    targets: np.ndarray
    reader: ClipReader
    skip_bad: bool
    randomness: OrderRandomness | None = None


def read_batch(order: BatchOrder) -> Batch:
    """Decode the clips of an order; runs in a worker. Raises BadClip unless bad clips are to be skipped."""
    waveforms: dict[int, np.ndarray] = {}
    bad: dict[int, BadClip] = {}
    for row, clip in enumerate(order.clips):
        try:
            waveforms[row] = _waveform(order, row, clip)
        except BadClip as error:
            if not order.skip_bad:
                raise
            bad[row] = error
    if order.randomness is not None and order.randomness.mixup is not None and order.randomness.partners is not None:
        return _mixed(order, order.randomness, waveforms, bad)
    rows = list(waveforms)
    ids = tuple(order.clips[row].id for row in rows)
    stacked = _stacked(order, [waveforms[row] for row in rows])
    return Batch(ids, stacked, order.targets[rows], tuple(bad.values()), _augment_noise(order, rows))


def _waveform(order: BatchOrder, row: int, clip: Clip) -> np.ndarray:
    randomness = order.randomness
    if randomness is None:
        return order.reader.read(clip, None)
    waveform = order.reader.read(clip, randomness.generator(clip, row, "crop"))
    if not randomness.augmentations:
        return waveform
    rate_hz = order.reader.rate_hz
    return augmented(
        waveform, rate_hz, randomness.augmentations, lambda name: randomness.generator(clip, row, f"augment {name}")
    )


def _mixed(
    order: BatchOrder, randomness: OrderRandomness, waveforms: dict[int, np.ndarray], bad: dict[int, BadClip]
) -> Batch:
    """Mixup of what could be read: where a partner is missing a clip stands alone.

    In pairs of PANNs that holds both ways. A free partner has a place of its own in the global batch, where another
    process may meet it too, so that it neither takes the place of a bad clip nor is named here when it is bad.
    """
    mixup, partners, targets = randomness.mixup, randomness.partners, order.targets
    assert mixup is not None and partners is not None
    in_pairs = mixup.pairs == "panns"
    pairs: list[tuple[int, int, float]] = []
    for main, partner in enumerate(partners.tolist()):
        if main in waveforms and partner in waveforms:
            mix_weight = mixup.mix_weight(
                randomness.seed, randomness.epoch, order.clips[main].id, int(randomness.occurrences[main])
            )
            pairs.append((main, partner, mix_weight))
        elif main in waveforms or (in_pairs and partner in waveforms):
            alone = main if main in waveforms else partner
            pairs.append((alone, alone, 1.0))
    firsts, seconds = [first for first, _, _ in pairs], [second for _, second, _ in pairs]
    mix_weights = np.array([mix_weight for _, _, mix_weight in pairs], np.float32)
    soft = mixup.soft(targets)
    further = sorted(set(seconds) - set(firsts))
    ids, further_ids = (tuple(order.clips[row].id for row in rows) for rows in (firsts, further))
    named = tuple(error for row, error in bad.items() if in_pairs or row < len(partners))
    mixed_targets = _blend(soft[firsts], soft[seconds], mix_weights)
    if mixup.domain == "waveform":
        first, second = (_stacked(order, [waveforms[row] for row in rows]) for rows in (firsts, seconds))
        stacked = _blend(first, second, mix_weights)
        return Batch(ids, stacked, mixed_targets, named, _augment_noise(order, firsts), further_ids=further_ids)
    rows = firsts + further
    places = {row: place for place, row in enumerate(rows)}
    stacked = _stacked(order, [waveforms[row] for row in rows])
    places_of_partners = np.array([places[row] for row in seconds], np.int64)
    return Batch(
        ids, stacked, mixed_targets, named, _augment_noise(order, rows), places_of_partners, mix_weights, further_ids
    )


def _blend(first: np.ndarray, second: np.ndarray, mix_weights: np.ndarray) -> np.ndarray:
    """(B, ...) float32 and mix_weights (B) -> (B, ...) float32."""
    mix_weight = mix_weights[:, None]
    blended: np.ndarray = first * mix_weight + second * (1 - mix_weight)
    return blended


def _stacked(order: BatchOrder, waveforms: list[np.ndarray]) -> np.ndarray:
    return np.stack(waveforms) if waveforms else np.zeros((0, order.reader.crop_samples), np.float32)


def _augment_noise(order: BatchOrder, rows: list[int]) -> np.ndarray | None:
    if order.randomness is None:
        return None
    drawn = np.zeros((len(rows), AUGMENT_NOISE_SIZE), np.float32)
    for place, row in enumerate(rows):
        drawn[place] = order.randomness.generator(order.clips[row], row, "chances").random(
            AUGMENT_NOISE_SIZE, dtype=np.float32
        )
    return drawn


@dataclass(frozen=True)
class TrainingPlan:
    """The batches of every training epoch: whole global batches in an order drawn for each epoch.

    The clips that do not fill a batch are left out of that epoch; they are others in each. `batch_size` is the global
    one, and every process reads its slice of every batch, so any number of processes sees the same batches. `sampling`
    is shuffled, balanced or weighted; augmentations follow the crop in their order.
    """

    table: ClipTable
    batch_size: int
    seed: int
    reader: ClipReader
    skip_bad: bool = False
    sampling: str = "shuffled"
    augmentations: tuple[Augmentation, ...] = ()
    mixup: Mixup | None = None

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return epoch_steps(len(self.table), self._places)

    @property
    def _places(self) -> int:
        """Places of the epoch's order that a step uses up."""
        return self.batch_size * (self.mixup.clips_of_output if self.mixup else 1)

    def orders(self, epoch: int, shard: Shard, first_step: int = 0) -> Iterator[BatchOrder]:
        """This process's part of each batch of an epoch (counted from 1), from a step of it on."""
        order = visited(self.table.targets, self.sampling, self.seed, epoch)
        counted = occurrences(order)
        own = self.batch_size // shard.size
        mine = slice(shard.rank * own, (shard.rank + 1) * own)
        for step in range(first_step, self.steps):
            places = np.arange(step * self._places, (step + 1) * self._places)
            partners = None
            if self.mixup:
                generator = seeding.step_generator(self.seed, epoch, step, "pairs")
                firsts, seconds = (part[mine] for part in partners_of(self.mixup, places, generator))
                places, partners = _with_partners(firsts, seconds)
            else:
                places = places[mine]
            randomness = OrderRandomness(self.seed, epoch, counted[places], self.augmentations, self.mixup, partners)
            rows = order[places]
            clips = tuple(self.table.clips[row] for row in rows)
            yield BatchOrder(clips, self.table.targets[rows], self.reader, self.skip_bad, randomness)


def _with_partners(firsts: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R places, (B) rows of them): every place once, a partner that is not among the firsts behind them."""
    places = np.concatenate([firsts, np.setdiff1d(seconds, firsts)])
    row = {int(place): number for number, place in enumerate(places)}
    return places, np.array([row[int(place)] for place in seconds], np.int64)


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

    def orders(self, shard: Shard) -> Iterator[BatchOrder]:
        """This process's batches."""
        for first in range(shard.rank * self.batch_size, len(self.table), shard.size * self.batch_size):
            rows = slice(first, first + self.batch_size)
            yield BatchOrder(tuple(self.table.clips[rows]), self.table.targets[rows], self.reader, self.skip_bad)
