"""The order of the clips in an epoch: a function of (seed, epoch), the same in every process.

With every sampling, an epoch over N clips has N positions.
"""

from __future__ import annotations

import numpy as np

from pannsdist.audio.targets import MultiHot
from pannsdist.runtime import seeding


def epoch_steps(clips: int, step_clips: int, limit_steps: int | None = None) -> int:
    """Steps of an epoch of `clips` clips where a step uses up `step_clips`, at most `limit_steps`.

    The clips that do not fill a step are left out.
    """
    steps = clips // step_clips
    return steps if limit_steps is None else min(steps, limit_steps)


def epoch_indices(targets: np.ndarray | MultiHot, sampling: str, seed: int, epoch: int) -> np.ndarray:
    """The indices of a split in the order of an epoch: (N,) int64. `targets` are (N,) classes or several of each clip.

    shuffled: each clip once. balanced: each class equally often, in turn. weighted: drawn with replacement, a clip with
    the inverse of the number of clips of its class.
    """
    if sampling == "shuffled":
        return seeding.epoch_order(len(targets), seed, epoch)
    generator = seeding.epoch_generator(seed, epoch, sampling)
    return _balanced(targets, generator) if sampling == "balanced" else _weighted(targets, generator)


def occurrences(indices: np.ndarray) -> np.ndarray:
    """How often the index at each position occurred before it: (N,) -> (N,) int64."""
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(np.append(first, len(indices)))
    before = np.empty(len(indices), np.int64)
    before[order] = np.arange(len(indices)) - np.repeat(first, counts)
    return before


def _balanced(targets: np.ndarray | MultiHot, generator: np.random.Generator) -> np.ndarray:
    """All classes in random order, round after round, and of each class its next clip: (N,).

    The clips of a class are shuffled, and shuffled again when all of them were drawn. A clip with several labels is
    drawn for each of them; classes without clips and clips without labels are left out.
    Source: BalancedTrainSampler of PANNs (Kong et al. 2020); there an epoch has no end, here each starts anew.
    """
    by_class = _indices_by_class(targets)
    rounds = -(-len(targets) // len(by_class))
    classes = generator.permuted(np.tile(np.arange(len(by_class)), (rounds, 1)), axis=1).ravel()[: len(targets)]
    indices = np.empty(len(targets), np.int64)
    counts = np.bincount(classes, minlength=len(by_class))
    positions_by_class = np.split(np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1])
    for members, positions in zip(by_class, positions_by_class, strict=True):
        shuffles = [generator.permutation(members) for _ in range(-(-len(positions) // len(members)))]
        indices[positions] = np.concatenate([*shuffles, members[:0]])[: len(positions)]
    return indices


def _weighted(targets: np.ndarray | MultiHot, generator: np.random.Generator) -> np.ndarray:
    """Drawn with replacement: (N,). The weights of a clip's labels are added up; a clip without labels has none.

    Source: the sampler of AST (Gong et al. 2021, arXiv 2104.01778), which PaSST and others took over.
    """
    weights = np.zeros(len(targets))
    for members in _indices_by_class(targets):
        weights[members] += 1.0 / len(members)
    return generator.choice(len(targets), size=len(targets), p=weights / weights.sum())


def _indices_by_class(targets: np.ndarray | MultiHot) -> list[np.ndarray]:
    """The indices of the clips of each class that has any."""
    if isinstance(targets, MultiHot):
        return [rows for rows in targets.rows_by_class if len(rows)]
    order = np.argsort(targets, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(targets[order])) + 1)
