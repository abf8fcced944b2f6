"""Reads one batch: decode, augment, mix. Runs in a worker process.

Axes: R clips read, B rows of the batch, S samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from pannsdist.audio.augmentation import Augmentation, Events, augment
from pannsdist.audio.clip_reader import SOUND_TOLERANCE_S, ClipReader
from pannsdist.audio.frame_targets import FrameGrid, events_within
from pannsdist.audio.mixup import Mixup
from pannsdist.audio.reader import clip_name
from pannsdist.audio.targets import MultiHot
from pannsdist.contracts import Clip, Event
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class BatchRandomness:
    """The random numbers of a training batch: those of a clip are a function of (seed, epoch, id, occurrence).

    `occurrences` (R) count how often the epoch had each clip before. With mixup the first B clips are the rows of the
    batch, and `partners` (B) are the indices of the clips that are mixed into them.
    """

    seed: int
    epoch: int
    occurrences: np.ndarray
    augmentations: tuple[Augmentation, ...] = ()
    mixup: Mixup | None = None
    partners: np.ndarray | None = None

    def generator(self, clip: Clip, row: int, use: str) -> np.random.Generator:
        """The generator for one use of the clip at `row`."""
        return seeding.clip_generator(self.seed, self.epoch, clip.id, use, int(self.occurrences[row]))

    def mix_weight(self, clip: Clip, row: int) -> float:
        """The mixup weight of the clip at `row`."""
        assert self.mixup is not None
        return self.mixup.mix_weight(self.seed, self.epoch, clip.id, int(self.occurrences[row]))


@dataclass(frozen=True)
class BatchRequest:
    """The clips (R) of a batch and their targets; without `randomness` from their start and unchanged.

    With a `grid` the targets of the batch are (B, T + 1, C) by frame, of the clips' events. It is small, since it goes
    to a worker: clips in columns, and of several labels of a clip their columns alone.
    """

    clips: Sequence[Clip]
    targets: np.ndarray | MultiHot
    reader: ClipReader
    skip_bad: bool
    randomness: BatchRandomness | None = None
    grid: FrameGrid | None = None


Empty = Callable[..., np.ndarray]
"""`np.empty`, or what makes such an array in memory that processes share."""


class ReadClips(Protocol):
    """What is known of the clips of a request: those at `rows` could be read, those in `bad` could not."""

    @property
    def rows(self) -> Sequence[int]:
        """The rows that could be read, in order."""
        ...

    @property
    def bad(self) -> Mapping[int, BadClip]:
        """The errors of the others, by row."""
        ...

    @property
    def targets(self) -> np.ndarray:
        """The targets of all clips (R, ...); anything for those that could not be read."""
        ...

    def sound_s(self, rows: list[int]) -> np.ndarray | None:
        """Seconds of the sound at these rows (len(rows),) float64; None of a request without a grid."""
        ...

    def of(self, rows: list[int]) -> np.ndarray:
        """What was read at these rows: (len(rows), ...) float32."""
        ...


class _Waveforms:
    """The waveforms of a request, each read right into its row: the clips at `rows` (R,) could be read.

    `sounds` says of them what is in each row.
    """

    def __init__(self, request: BatchRequest, empty: Empty) -> None:
        self.rows: list[int] = []
        self.bad: dict[int, BadClip] = {}
        self.sounds: list[_Sound] = []
        self._request, self._samples, self._empty = request, request.reader.crop_samples, empty
        self._all: np.ndarray | None = None
        for row, clip in enumerate(request.clips):
            try:
                sound = _read_sound(request, row, clip)
            except BadClip as error:
                if not request.skip_bad:
                    raise
                self.bad[row] = error
                continue
            self._add(sound.waveform, len(request.clips))
            self.rows.append(row)
            self.sounds.append(replace(sound, waveform=EMPTY))

    @property
    def targets(self) -> np.ndarray:
        """The targets of all clips (R, ...); anything for those that could not be read."""
        grid, known = self._request.grid, self._request.targets[:]
        if grid is None:
            return known
        samples = self._samples if self._all is None else self._all.shape[1]
        targets = np.full((len(known), grid.frames(samples) + 1, grid.classes), np.nan, np.float32)
        for row, sound in zip(self.rows, self.sounds, strict=True):
            targets[row] = grid.targets(self._request.clips[row], known[row], sound.events, samples)
        return targets

    def sound_s(self, rows: list[int]) -> np.ndarray | None:
        """Seconds of the sound at these rows, without padding (len(rows),) float64; None without a grid."""
        if self._request.grid is None:
            return None
        place = {row: number for number, row in enumerate(self.rows)}
        return np.array([self.sounds[place[row]].samples / self._request.reader.rate_hz for row in rows])

    def of(self, rows: list[int]) -> np.ndarray:
        """The waveforms of the clips at these rows: (len(rows), S); not copied where they were read in this order."""
        if self._all is None:
            return np.zeros((0, self._samples), np.float32)
        if rows == self.rows:
            return self._all[: len(rows)]
        place = {row: number for number, row in enumerate(self.rows)}
        return self._all[[place[row] for row in rows]]

    def _add(self, waveform: np.ndarray, count: int) -> None:
        """Every waveform of a request has the length of the first; ValueError for any other."""
        if self._all is None:
            self._all = self._empty((count, len(waveform)), np.float32)
        self._all[len(self.rows)] = waveform


def read_batch(request: BatchRequest, empty: Empty = np.empty) -> Batch:
    """Read the clips of a request into what `empty` gives. Raises BadClip unless bad clips are to be skipped."""
    mixup = None if request.randomness is None else request.randomness.mixup
    on_waveform = mixup is not None and mixup.domain == "waveform"
    return assembled(request, _Waveforms(request, np.empty if on_waveform else empty), empty)


def assembled(request: BatchRequest, read: ReadClips, empty: Empty = np.empty) -> Batch:
    """The batch of a request whose clips were read."""
    randomness = request.randomness
    if randomness is not None and randomness.mixup is not None and randomness.partners is not None:
        return _mixup_batch(request, randomness, read, empty)
    rows = list(read.rows)
    ids = tuple(request.clips[row].id for row in rows)
    noise, sound_s = _augment_noise(request, rows), read.sound_s(rows)
    return Batch(ids, read.of(rows), read.targets[rows], tuple(read.bad.values()), noise, sound_s=sound_s)


def read_marked(request: BatchRequest) -> tuple[Batch, np.ndarray]:
    """As `read_batch` for a request without mixup, and for each row (B,) whether training draws its crop."""
    batch = read_batch(request)
    clips = {clip.id: clip for clip in request.clips}
    return batch, np.array([request.reader.crops_at_random(clips[name]) for name in batch.ids], bool)


EMPTY = np.zeros(0, np.float32)


@dataclass(frozen=True)
class _Sound:
    """What was read of a clip: (S,) float32, of which the first `samples` are sound, and the events in it."""

    waveform: np.ndarray
    samples: int
    events: Events


def _read_sound(request: BatchRequest, row: int, clip: Clip) -> _Sound:
    randomness, reader = request.randomness, request.reader
    crop = reader.crop(clip, None if randomness is None else randomness.generator(clip, row, "crop"))
    samples, events = len(crop.waveform), None
    if request.grid is not None and clip.events is not None:
        _refuse_beyond(clip, clip.events, crop.clip_samples / reader.rate_hz)
        first_s = crop.offset_samples / reader.rate_hz
        events = events_within(clip.events, first_s, first_s + samples / reader.rate_hz)
    waveform = reader.padded(crop.waveform)
    if randomness is None or not randomness.augmentations:
        return _Sound(waveform, samples, events)
    writeable = waveform if waveform.flags.writeable else waveform.copy()
    generator_for = partial(randomness.generator, clip, row)
    changed, moved = augment(
        writeable, events, reader.rate_hz, randomness.augmentations, lambda name: generator_for(f"augment {name}")
    )
    return _Sound(changed, samples, moved)


def _refuse_beyond(clip: Clip, events: Iterable[Event], length_s: float) -> None:
    """Raise BadClip for an event that is mostly after the end of its clip; another one that ends after it is cut."""
    for event in events:
        if event.onset_s / 2 + event.offset_s / 2 > length_s + SOUND_TOLERANCE_S:
            named = f"its event {event.label!r} from {event.onset_s:.15g} to {event.offset_s:.15g} s"
            right = "times are in seconds from its start: correct its labels; all such clips: pannsdist data check"
            raise clip_name(clip).bad_clip(f"{named} is mostly after its end, at {length_s:.3f} s", right)


def _mixup_batch(request: BatchRequest, randomness: BatchRandomness, read: ReadClips, empty: Empty) -> Batch:
    """The batch with mixup: on the features later on the device, or on the waveforms here."""
    mixup, partners = randomness.mixup, randomness.partners
    assert mixup is not None and partners is not None
    in_pairs, on_waveform = mixup.pairs == "panns", mixup.domain == "waveform"
    pairs = _readable_pairs(request, randomness, partners, set(read.rows))
    firsts, seconds = [first for first, _, _ in pairs], [second for _, second, _ in pairs]
    mix_weights = np.array([mix_weight for _, _, mix_weight in pairs], np.float32)
    soft = mixup.soft_targets(read.targets)
    further = sorted(set(seconds) - set(firsts))
    ids, further_ids = (tuple(request.clips[row].id for row in rows) for rows in (firsts, further))
    reported = tuple(error for row, error in read.bad.items() if in_pairs or row < len(partners))
    mixed_targets = _blend(soft[firsts], soft[seconds], mix_weights, np.empty)
    if on_waveform:
        blended = _blend(read.of(firsts), read.of(seconds), mix_weights, empty)
        return Batch(ids, blended, mixed_targets, reported, _augment_noise(request, firsts), further_ids=further_ids)
    rows = firsts + further
    row_of = {clip: row for row, clip in enumerate(rows)}
    partner_rows = np.array([row_of[clip] for clip in seconds], np.int64)
    noise = _augment_noise(request, rows)
    return Batch(ids, read.of(rows), mixed_targets, reported, noise, partner_rows, mix_weights, further_ids)


def _readable_pairs(
    request: BatchRequest, randomness: BatchRandomness, partners: np.ndarray, readable: set[int]
) -> list[tuple[int, int, float]]:
    """(clip, partner, weight) of each row; a clip whose partner is bad stays unmixed.

    In pairs of PANNs this holds for both clips. A free partner is a row of the global batch itself, perhaps of another
    process, so it neither replaces a bad clip nor is reported here when it is bad.
    """
    assert randomness.mixup is not None
    in_pairs = randomness.mixup.pairs == "panns"
    pairs: list[tuple[int, int, float]] = []
    for row, partner in enumerate(partners.tolist()):
        if row in readable and partner in readable:
            pairs.append((row, partner, randomness.mix_weight(request.clips[row], row)))
        elif row in readable or (in_pairs and partner in readable):
            unmixed = row if row in readable else partner
            pairs.append((unmixed, unmixed, 1.0))
    return pairs


def _blend(first: np.ndarray, second: np.ndarray, mix_weights: np.ndarray, empty: Empty) -> np.ndarray:
    """(B, ...) float32 twice and mix_weights (B) -> (B, ...) float32. Nothing is known where one is NaN."""
    mix_weight = mix_weights.reshape(-1, *[1] * (first.ndim - 1))
    blended: np.ndarray = np.multiply(first, mix_weight, out=empty(first.shape, np.float32))
    blended += second * (1 - mix_weight)
    return blended


def _augment_noise(request: BatchRequest, rows: list[int]) -> np.ndarray | None:
    if request.randomness is None:
        return None
    noise = np.zeros((len(rows), AUGMENT_NOISE_SIZE), np.float32)
    for index, row in enumerate(rows):
        # "chances" is a seed: another word would draw other numbers
        generator = request.randomness.generator(request.clips[row], row, "chances")
        noise[index] = generator.random(AUGMENT_NOISE_SIZE, dtype=np.float32)
    return noise
