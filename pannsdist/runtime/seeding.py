"""One seed for a run, and every other random number a pure function of it.

What a clip looks like in an epoch depends on (seed, epoch, clip id) and on nothing else: not on the number of workers,
nor on the number of processes, nor on what was drawn before. A run that continues needs no random state from a file.
Each use has a stream of its own, so that the crops stay the same when an augmentation is added.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _number(*parts: object) -> int:
    """128 bits out of the parts, the same on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def epoch_generator(seed: int, epoch: int, use: str) -> np.random.Generator:
    """The randomness of one use in one epoch, such as which clips a balanced epoch takes."""
    return np.random.default_rng(_number("epoch", seed, epoch, use))


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits `count` clips: a permutation (count,) int64."""
    return np.random.default_rng(_number("order", seed, epoch)).permutation(count)


def step_generator(seed: int, epoch: int, step: int, use: str) -> np.random.Generator:
    """The randomness that the clips of a global batch share, the same in every process; steps counted from 0."""
    return np.random.default_rng(_number("batch", seed, epoch, step, use))


def clip_generator(seed: int, epoch: int, clip_id: str, use: str = "crop", occurrence: int = 0) -> np.random.Generator:
    """The randomness of one use (crop, augmentation, mixup, chances) of one clip in one epoch.

    `occurrence` counts from 0 how often the epoch has met the clip before.
    """
    return np.random.default_rng(_number("clip", seed, epoch, clip_id, use, occurrence))


def initial_seed(seed: int) -> int:
    """The seed under which layers get their random weights; the same in every process."""
    return _number("weights", seed) % 2**31


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of the device for one step of one process: dropout and what else is drawn there."""
    return _number("step", seed, step, rank) % 2**31
