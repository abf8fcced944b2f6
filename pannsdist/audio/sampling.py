"""Which clips an epoch takes, and in what order: a function of (seed, epoch), the same in every process.

Whatever the sampling, an epoch of N clips has N places.
"""

from __future__ import annotations

import numpy as np

from pannsdist.runtime import seeding


def epoch_steps(clips: int, step_clips: int, limit_steps: int | None = None) -> int:
    """Steps of an epoch of `clips` clips where a step uses up `step_clips`, at most `limit_steps`.

    The clips that do not fill a step are left out.
    """
    steps = clips // step_clips
    return steps if limit_steps is None else min(steps, limit_steps)


def visited(targets: np.ndarray, sampling: str, seed: int, epoch: int) -> np.ndarray:
    """The rows of a split in the order of an epoch: (N,) int64. `targets` are (N,) classes or (N, C) zeros and ones.

    shuffled: each clip once. balanced: each class equally often, in turn. weighted: drawn with replacement, a clip by
    the inverse of how many clips its class has.
    """
    if sampling == "shuffled":
        return seeding.epoch_order(len(targets), seed, epoch)
    generator = seeding.epoch_generator(seed, epoch, sampling)
    return _balanced(targets, generator) if sampling == "balanced" else _weighted(targets, generator)


def occurrences(rows: np.ndarray) -> np.ndarray:
    """How often each place's row has come before: (N,) -> (N,) int64."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(np.append(first, len(rows)))
    before = np.empty(len(rows), np.int64)
    before[order] = np.arange(len(rows)) - np.repeat(first, counts)
    return before


def _balanced(targets: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """All classes in a random order, again and again, and of each its next clip (N,).

    The clips of a class are shuffled, and shuffled anew when all have had their turn. A clip of several labels waits
    in each of their rows; classes without clips are passed over, and so are clips without labels.
    Source: BalancedTrainSampler of PANNs (Kong et al. 2020); there an epoch has no end, here each begins anew.
    """
    members = _members(targets)
    rounds = -(-len(targets) // len(members))
    turns = generator.permuted(np.tile(np.arange(len(members)), (rounds, 1)), axis=1).ravel()[: len(targets)]
    rows = np.empty(len(targets), np.int64)
    places = np.split(np.argsort(turns, kind="stable"), np.cumsum(np.bincount(turns, minlength=len(members)))[:-1])
    for clips, own in zip(members, places, strict=True):
        decks = [generator.permutation(clips) for _ in range(-(-len(own) // len(clips)))]
        rows[own] = np.concatenate([*decks, clips[:0]])[: len(own)]
    return rows


def _weighted(targets: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Drawn with replacement: (N,). A clip of several labels weighs the sum of theirs, one without labels nothing.

    Source: the sampler of AST (Gong et al. 2021, arXiv 2104.01778), which PaSST and others took over.
    """
    weights = np.zeros(len(targets))
    for clips in _members(targets):
        weights[clips] += 1.0 / len(clips)
    return generator.choice(len(targets), size=len(targets), p=weights / weights.sum())


def _members(targets: np.ndarray) -> list[np.ndarray]:
    """The rows of each class that has any."""
    if targets.ndim == 1:
        order = np.argsort(targets, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(targets[order])) + 1)
    return [rows for rows in (np.flatnonzero(column) for column in targets.T) if len(rows)]
