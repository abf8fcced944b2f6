"""Random generators that are pure functions of the run's seed.

The augmented form of a clip in an epoch depends on (seed, epoch, clip id) only: not on the number of workers or
processes, nor on earlier draws. A resumed run needs no saved random state. Each `use` has its own stream, so that crops
do not change when an augmentation is added.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _number(*parts: object) -> int:
    """A 128-bit hash of the parts, equal on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def epoch_generator(seed: int, epoch: int, use: str) -> np.random.Generator:
    """Generator for one use in one epoch, such as balanced sampling."""
    return np.random.default_rng(_number("epoch", seed, epoch, use))


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Shuffled order of an epoch's clips: a permutation (count,) int64."""
    return np.random.default_rng(_number("order", seed, epoch)).permutation(count)


def step_generator(seed: int, epoch: int, step: int, use: str) -> np.random.Generator:
    """Generator common to all clips of a global batch, equal in every process; steps are counted from 0."""
    return np.random.default_rng(_number("batch", seed, epoch, step, use))


def clip_generator(seed: int, epoch: int, clip_id: str, use: str = "crop", occurrence: int = 0) -> np.random.Generator:
    """Generator for one use (crop, augmentation, mixup, augment noise) of one clip in one epoch.

    `occurrence` counts, from 0, how often the clip has appeared in the epoch before.
    """
    return np.random.default_rng(_number("clip", seed, epoch, clip_id, use, occurrence))


def soundscape_generator(seed: int, split: str, number: int, use: str) -> np.random.Generator:
    """Generator for one use (plan, background) in one soundscape of a split."""
    return np.random.default_rng(_number("soundscape", seed, split, number, use))


def initial_seed(seed: int) -> int:
    """Seed of the random weight initialisation; equal in every process."""
    return _number("weights", seed) % 2**31


def step_seed(seed: int, step: int, rank: int) -> int:
    """Device seed for one step of one process, used by dropout and other random operators."""
    return _number("step", seed, step, rank) % 2**31
