"""One seed for a run, and every other random number a pure function of it.

What a clip looks like in an epoch depends on (seed, epoch, clip id) and on nothing else: not on the number of workers,
nor on the number of processes, nor on what was drawn before. A run that continues needs no random state from a file.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _number(*parts: object) -> int:
    """128 bits out of the parts, the same on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits `count` clips: a permutation (count,) int64."""
    return np.random.default_rng(_number("order", seed, epoch)).permutation(count)


def clip_generator(seed: int, epoch: int, clip_id: str) -> np.random.Generator:
    """The randomness of one clip in one epoch: its crop and its augmentation."""
    return np.random.default_rng(_number("clip", seed, epoch, clip_id))


def initial_seed(seed: int) -> int:
    """The seed under which layers get their random weights; the same in every process."""
    return _number("weights", seed) % 2**31


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of the device for one step of one process: dropout and what else is drawn there."""
    return _number("step", seed, step, rank) % 2**31
